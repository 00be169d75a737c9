"""Tests shared by several machines: the merged results are those of the whole test."""

import json
from pathlib import Path

import pytest
import torch

from powerqe.cli import main
from powerqe.evaluation import partial_results, tester, video_tester
from powerqe.evaluation.results import FILE
from powerqe.net import save_weights
from powerqe.utils.metrics import METRICS
from powerqe.utils.options.components import build
from powerqe.utils.options.tree import Options, load_options
from powerqe.utils.ranks import Ranks
from powerqe.utils.shards import Shard

ALONE = Ranks(0, 0, 1, torch.device("cpu"))
TIMES = ("date", "seconds")


class Spread:
    """A metric of sets: how much the means of its images differ."""

    unit, higher_is_better = "", False

    def __call__(self, result: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torch.stack([result.mean((1, 2, 3)), target.mean((1, 2, 3))], 1)

    def pool(self, features: list[torch.Tensor]) -> float:
        return float(torch.stack(features).std()) if len(features) > 1 else float("nan")

    def describe(self, channels: int) -> str:
        return f"{channels} channels"


@pytest.fixture
def options(opt, pairs, monkeypatch) -> Options:
    """Two sets of images; one image equals its ground truth."""
    monkeypatch.chdir(pairs)
    METRICS.names()
    monkeypatch.setitem(METRICS._entries, "Spread", Spread)
    (pairs / "lq/5.png").write_bytes((pairs / "gt/5.png").read_bytes())
    options = load_options(opt)
    tree = options.to_dict()
    data = tree["dataset"]["test"]["test"]
    tree["dataset"]["test"] = {"a": {**data, "slice": [0, 4]}, "b": {**data, "slice": [4, 7]}}
    tree["test"] |= {"ckp_load_path": "w.safetensors", "criterion": {"PSNR": {}, "Spread": {}}}
    torch.manual_seed(0)
    save_weights(build(options.network), pairs / "w.safetensors", {})
    return Options.model_validate(tree)


@pytest.fixture
def parts(options) -> list[Path]:
    """The files of three shards."""
    shards = [Shard(index, 3) for index in range(3)]
    for shard in shards:
        tester.test(options, ALONE, shard)
    return [partial_results.partial_path(options, shard) for shard in shards]


def untimed(value):
    if isinstance(value, dict):
        return {key: untimed(each) for key, each in value.items() if key not in TIMES}
    return [untimed(each) for each in value] if isinstance(value, list) else value


def results(folder: str | Path) -> dict:
    return untimed(json.loads((Path(folder) / FILE).read_text()))


def test_merged_results_are_those_of_the_whole_test(options, parts):
    assert not (options.folder / FILE).exists()
    assert main(["merge-results", *map(str, reversed(parts)), "-o", "merged"]) == 0
    tester.test(options, ALONE)
    assert results("merged") == results(options.folder)
    written = {path.name for path in Path("merged").iterdir()}
    assert written == {f"results.{suffix}" for suffix in ("csv", "json", "md", "tex")}


def test_more_shards_than_images(options):
    for index in range(5):
        tester.test(options, ALONE, Shard(index, 5))
    assert main(["merge-results", str(options.folder), "-o", "merged"]) == 0
    assert len(results("merged")["images"]) == 7


def changed(path: Path, **same) -> None:
    content = json.loads(path.read_text())
    content["same"] |= same
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (lambda parts: parts[1].unlink(), ["1/3"]),
        (lambda parts: parts[1].with_name("results.9-of-3.json").write_bytes(parts[1].read_bytes()), ["1/3"]),
        (lambda parts: parts[2].write_text("{}"), ["results.2-of-3.json"]),
        (lambda parts: parts[2].write_text('{"shard": [2, 3], "same": {"format": 1}, "own": {}, "unavailable": {}, '
                                           '"items": [["a", 0, 7]]}'), ["results.2-of-3.json"]),
        (lambda parts: changed(parts[2], title="other"), ["results.2-of-3.json", "title"]),
        (lambda parts: changed(parts[2], format=99), ["results.2-of-3.json", "99"]),
        (lambda parts: [each.unlink() for each in parts], ["results.*-of-*.json"]),
        (lambda parts: parts[0].write_text(parts[0].read_text().replace('"shard": [0, 3]', '"shard": [0, 4]')), ["4"]),
    ],
)  # fmt: skip
def test_mistakes(parts, capsys, spoil, names):
    spoil(parts)
    capsys.readouterr()
    assert main(["merge-results", str(parts[0].parent), "-o", "merged"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert all(name in error for name in names)
    assert not Path("merged").exists()


def test_shards_of_other_weights_are_refused(options, parts, capsys):
    torch.manual_seed(1)
    save_weights(build(options.network), Path("w.safetensors"), {})
    tester.test(options, ALONE, Shard(2, 3))
    assert main(["merge-results", str(options.folder), "-o", "merged"]) == 2
    assert "weights" in capsys.readouterr().err


@pytest.mark.slow
def test_videos(video_tree, videos, monkeypatch):
    monkeypatch.chdir(videos)
    for module in (partial_results, video_tester):
        monkeypatch.setattr(module, "draw_curves", lambda *_: None)
    options = Options.model_validate(video_tree)
    save_weights(build(options.network), Path("w.safetensors"), {})
    tester.test(options, ALONE)
    for index in range(2):
        tester.test(options, ALONE, Shard(index, 2))
    assert main(["merge-results", str(options.folder), "-o", "merged"]) == 0
    assert results("merged") == results(options.folder)
    for name in ("frames.csv", "summary.md"):  # the frames are reused, with their times
        assert (Path("merged") / name).read_text() == (options.folder / name).read_text()
