"""benchmarks/bench_rbqe.py runs, and its loop over patches computes what the quality module computes."""

import json
from pathlib import Path

import pytest
import torch

from powerqe.benchmarks import bench_rbqe
from powerqe.net import save_weights
from powerqe.net.rbqe import RBQE
from powerqe.net.tchebichef import Codec, TchebichefQuality

TINY = ["--count", "2", "--size", "48x40", "--rounds", "1", "--seconds", "0.02", "--qf", "10", "90"]


@pytest.fixture(autouse=True)
def _same_threads_after():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_rbqe.main([*TINY, "--features", "4"]) == 0
    text = capsys.readouterr().out
    assert "untrained" in text
    found = {row[0]: row for row in rows(text)}
    macs = RBQE(num_features=4).macs_per_pixel()
    assert [float(found[str(number)][1]) for number in range(5)] == [round(cost / 1000, 1) for cost in macs]
    ratio = float(found[bench_rbqe.MODULE][3].split()[0].replace(",", ""))
    assert ratio > 2  # 20 patches only
    for qf in (10, 90):
        row = found[f"QF {qf}"]
        assert sum(map(int, row[1].split("/"))) == 2
        assert float(row[2]) <= 1.01 * float(row[5])


def test_published_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "small.safetensors"
    arguments = {"num_features": 4, "num_levels": 2, "threshold": 0.5}
    metadata = {"network": json.dumps({"type": "RBQE", **arguments})}
    save_weights(RBQE(**arguments), path, metadata)
    assert bench_rbqe.main([*TINY, "--weights", str(path)]) == 0
    assert "(small.safetensors), threshold 0.5" in capsys.readouterr().out
    save_weights(RBQE(**arguments), path)
    assert bench_rbqe.main([*TINY, "--weights", str(path)]) == 2
    assert "small.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize("codec", ["jpeg", "hevc"])
def test_the_loop_computes_the_same(codec: Codec) -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(0.2, 0.8, 40).expand(32, 40) + 0.01 * torch.rand(32, 40)
    image = torch.cat([torch.zeros(16, 40), torch.rand(16, 40), ramp])
    quality = TchebichefQuality(codec=codec)
    loop = bench_rbqe.PatchLoop(quality.size, quality.offset)
    assert loop(image) == pytest.approx(float(quality(image[None, None])), abs=1e-5)
