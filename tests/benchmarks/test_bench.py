"""The measurements run, with PowerQE alone and with a stand-in for the process of the peer."""

import json
import sys
from pathlib import Path

import pytest
import torch

from powerqe.benchmarks import bench_data, bench_train, common
from powerqe.dataset.store import ImageStore
from powerqe.utils.image.io import read_image

TINY = ["--count", "2", "--size", "72x64", "--rounds", "2", "--seconds", "0.02"]

STAND_IN = f"""#!{sys.executable}
import json, sys
print(json.dumps(dict(basicsr="9.9", python="", torch="", numpy="", opencv="", parameters=20099)), flush=True)
for line in sys.stdin:
    count = int(line.split()[1])
    print(json.dumps(dict(count=count, wall=2.0 * count, cpu=count)), flush=True)
"""


@pytest.fixture(autouse=True)
def _same_threads_after():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A peer that claims one item per CPU second and half a one per second of the clock."""
    path = tmp_path / "python"
    path.write_text(STAND_IN)
    path.chmod(0o755)
    return path


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_data_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_data.main([*TINY, "--patch", "16", "--batch", "2"]) == 0
    text = capsys.readouterr().out
    assert "BasicSR was not measured" in text
    ours = [row for row in rows(text) if row[0] == bench_data.OURS]
    assert len(ours) == 2  # samples and batches
    assert all(float(row[1].split()[0].replace(",", "")) > 100 and row[3] == "" for row in ours)


def test_train_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_train.main([*TINY, "--setting", "2x16"]) == 0
    text = capsys.readouterr().out
    assert "2 patches of 16x16" in text
    assert [row[0] for row in rows(text)[2:]] == list(bench_train.OURS)


def test_ratio_to_the_peer(stand_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_train.main([*TINY, "--setting", "2x16", "--peer-python", str(stand_in)]) == 0
    text = capsys.readouterr().out
    assert "BasicSR 9.9" in text
    ours, _, theirs = rows(text)[2:]
    assert theirs == [bench_train.THEIRS, "1 (1 to 1)", "0.5 (0.5 to 0.5)", "", ""]
    assert ours[3] == ours[1]  # the peer does 1 per CPU second


def test_median_and_spread_of_ratios() -> None:
    turns = {"a": [common.Turn(n, 1.0, 2.0) for n in (30, 20, 90)], "b": [common.Turn(10, 1.0, 1.0)] * 3}
    assert rows(common.table("steps", turns, "b"))[2] == [
        "a", "15 (10 to 45)", "30 (20 to 90)", "1.5 (1 to 4.5)", "3 (2 to 9)",
    ]  # fmt: skip


def test_peer_that_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_data.main([*TINY, "--peer-python", str(tmp_path / "absent")]) == 2
    assert "--peer-python" in capsys.readouterr().err
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no module named basicsr >&2\nexit 1\n")
    broken.chmod(0o755)
    assert bench_data.main([*TINY, "--peer-python", str(broken)]) == 2
    assert "no module named basicsr" in capsys.readouterr().err


def test_both_see_the_same_pixels(tmp_path: Path, stand_in: Path) -> None:
    args = common.parser(None).parse_args([*TINY, "--peer-python", str(stand_in)])
    data = common.make_data(tmp_path, args)
    for kind, store in (("gt", data.ours.gt), ("lq", data.ours.lq)):
        for stem in ImageStore(store).stems():
            assert (ImageStore(store)[stem] == read_image(tmp_path / kind / f"{stem}.png")).all()
    assert json.dumps(data.theirs) == json.dumps([str(tmp_path / "gt.lmdb"), str(tmp_path / "lq.lmdb")])
