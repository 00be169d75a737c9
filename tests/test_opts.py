"""opts/: where a scale stands in several places of a case, they agree; the cases of the SRCNN study have its sizes."""

import re
from pathlib import Path

import pytest
import torch
import yaml

import powerqe.algorithm
import powerqe.dataset
import powerqe.net
import powerqe.utils.metrics  # noqa: F401
from powerqe.utils.options.components import build
from powerqe.utils.options.tree import load_options

FILES = ("edsr.yml", "mdsr.yml", "rcan.yml", "srcnn.yml")
STUDY = {
    "bicubic-3": 40_320,
    "residual-3": 40_320,
    "residual-8": 224_640,
    "tail-8": 372_419,
    "tail-8-narrow": 94_051,
    "bn": 410_179,
    "resblocks": 594_371,
    "leaky-relu": 372_419,
    "prelu": 372_803,
    "deep-16": 704_195,
    "deep-32": 1_294_019,
    "wide-96": 918_051,
    "wide-128": 1_629_571,
    "mse": 409_283,
    "vgg54": 409_283,
}


def cases(root: Path, name: str) -> list[str]:
    return list(yaml.safe_load((root / "opts" / name).read_text(encoding="utf-8"))["cases"])


@pytest.mark.parametrize("name", FILES)
def test_scales_agree(root: Path, name: str) -> None:
    for case in cases(root, name):
        tree = load_options(root / "opts" / name, case).to_dict()
        data, network = tree["dataset"], tree["network"]
        tested = {test["scale"] for test in data["test"].values()}
        assert tested == {tree["test"]["protocol"]["scale"]}, case
        assert data["train"]["scale"] == data["val"]["scale"] == network.get("scale", network.get("scales")), case
        if "scale" in network:
            assert tested == {network["scale"]} == {tree["val"]["criterion"]["PSNR"]["border"]}, case


@pytest.mark.parametrize("method", ["edsr", "rcan"])
def test_x3_and_x4_start_from_the_x2_of_the_same_size(root: Path, method: str) -> None:
    path = root / f"opts/{method}.yml"
    larger = [case for case in cases(root, path.name) if case.endswith(("x3", "x4"))]
    assert larger
    for case in larger:
        start = load_options(path, case).train.warm_start
        assert start.ckp_load_path == f"exp/{method}-{case[:-1]}2/ckp-best.pt"
        assert start.skip == ("tail",)


def test_sizes_of_the_srcnn_study(root: Path) -> None:
    assert set(STUDY) == {case for case in cases(root, "srcnn.yml") if "bsds500" not in case}
    with torch.device("meta"):
        for case, count in STUDY.items():
            network = build(load_options(root / "opts/srcnn.yml", case).network)
            assert sum(parameter.numel() for parameter in network.parameters()) == count, case
        study = build(load_options(root / "opts/rcan.yml", "study-x2").network)
    assert sum(parameter.numel() for parameter in study.parameters()) == 3_534_907


@pytest.mark.parametrize("name", ["stdf.yml", "mfqe.yml"])
def test_videos_of_one_qp(root: Path, name: str) -> None:
    """The QP of a case's name is that of all its videos, and its windows are those that the network needs."""
    for case in cases(root, name):
        tree = load_options(root / "opts" / name, case).to_dict()
        qp = re.search(r"qp(\d+)", case)
        assert qp, case
        sets = [tree["dataset"]["train"], tree["dataset"]["val"], *tree["dataset"]["test"].values()]
        assert {re.search(r"qp(\d+)$", data["lq"], re.IGNORECASE)[1] for data in sets} == {qp[1]}, case
        if name == "stdf.yml":
            assert {data["window"]["radius"] for data in sets} == {tree["network"]["radius"]}, case
        else:
            assert {data["window"]["type"] for data in sets} == {"PeakFrames"}, case
            roles = [data["window"]["role"] for data in sets]
            expected = "peaks" if case.endswith("pqf") else "all" if "sample" in case else "others"
            assert roles == [expected, expected, "all"], case


def test_mfqe_of_peaks_starts_from_the_one_of_other_frames_and_is_tested_with_it(root: Path) -> None:
    path = root / "opts/mfqe.yml"
    of_peaks = [case for case in cases(root, path.name) if case.endswith("-pqf")]
    assert len(of_peaks) == 6
    for case in of_peaks:
        options, others = load_options(path, case), load_options(path, case.removesuffix("-pqf"))
        assert options.network == others.network, case
        start = options.train.warm_start
        assert start is not None
        assert start.ckp_load_path == options.test.ckp_load_path == f"exp/{others.name}/ckp-best.pt", case
        assert options.test.peaks_ckp_load_path == f"exp/{options.name}/ckp-best.pt", case
