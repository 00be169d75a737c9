"""Experiments that a test has left behind, and such as look so without having run one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from powerqe.evaluation import tester
from powerqe.evaluation.evaluate import Metrics, Record
from powerqe.evaluation.result_table import Table, write_tables
from powerqe.net import build_network, save_weights
from powerqe.utils.options.components import validate_component
from powerqe.utils.options.tree import load_options
from powerqe.utils.ranks import Ranks

ALONE = Ranks(0, 0, 1, torch.device("cpu"))

QUALITIES = {"qf10": 26.0, "qf20": 28.0, "qf40": 31.0}


def write_experiment(
    name: str,
    groups: Sequence[str] = ("qf10",),
    *,
    gain: float = 0.5,
    before: float | None = None,
    images: Sequence[str] = ("a", "b", "c"),
    criterion: dict[str, Any] | None = None,
    set_name: str = "live1",
    seconds: float = 0.25,
    width: int = 200,
    facts: dict[str, Any] | None = None,
    scores: dict[str, Any] | None = None,
) -> Path:
    """exp/<name> with results.json; the first image gains `gain`, the next one twice that, and so on.

    Args:
        before: PSNR of the compressed images, by default what `QUALITIES` says.
        scores: further scores, of all images after enhancement and before.
    """
    metrics = Metrics({key: validate_component("metric", {"type": key.split("-")[0], **options})
                       for key, options in (criterion or {"PSNR": {}}).items()})  # fmt: skip
    records = []
    for image in images:
        for group in groups:
            base = QUALITIES[group] if before is None else before
            label = f"{image}-{group}" if len(groups) > 1 else image
            record = Record(label, group, 100, width, 3, seconds=seconds)
            record.baseline = {"PSNR": base, **(scores or {})}
            record.result = {"PSNR": base + gain * (1 + images.index(image)), **(scores or {})}
            records.append(record)
    known = {
        "date": "2026-01-02T03:04:05+00:00",
        "network": {"type": "ARCNN", "residual": True},
        "parameters": 1234,
        "weights": {"all": {"path": "weights/w.safetensors", "sha256": "ab" * 32}},
        "device": "x86_64",
        "threads": 2,
        "versions": {"torch": "2.0"},
        "data": {set_name: {"type": "PairedImages", "gt": "nowhere/gt", "lq": "nowhere/lq"}},
    }
    folder = Path("exp") / name
    write_tables(Table(name, {set_name: records}, metrics, known | (facts or {})), folder)
    return folder


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """The function `write_experiment`, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return write_experiment


@pytest.fixture
def tested(tree: dict[str, Any], pairs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Tests a tiny AR-CNN with random weights on four of `pairs`; gives the experiment's folder."""
    monkeypatch.chdir(pairs)

    def tested(name: str, seed: int = 0, *overrides: str, data: dict[str, Any] | None = None, **test: Any) -> Path:
        torch.manual_seed(seed)
        options = {"ckp_load_path": f"{name}.safetensors", "criterion": {"PSNR": {}, "SSIM": {}}, **test}
        data = tree["dataset"]["test"] | {"slice": [0, 4]} if data is None else data
        changed = {**tree, "dataset": {**tree["dataset"], "test": {"some": data}}, "test": options}
        (pairs / f"{name}.yml").write_text(yaml.safe_dump({"defaults": changed, "cases": {"c": {}}}))
        network = build_network(changed["network"])
        for parameter in network.parameters():
            parameter.data *= 0.3
        save_weights(network, pairs / f"{name}.safetensors", {})
        tester.test(load_options(pairs / f"{name}.yml", overrides=overrides), ALONE)
        return Path("exp") / f"{name}-c"

    return tested
