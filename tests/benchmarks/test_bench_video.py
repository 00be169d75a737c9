"""The turns of two stand-ins for checkouts, and the parts of a tiny network."""

import json
import sys
from pathlib import Path

import pytest
import torch

from powerqe.benchmarks import bench_video
from powerqe.net import build_network, save_weights
from powerqe.utils.video.yuv import Geometry

NETWORK = {"type": "ARCNN", "hidden_channels": [4, 4], "kernel_sizes": [3, 1, 3]}
SIZES = (Geometry(64, 48), Geometry(128, 96))


def checkout(folder: Path, rate: float) -> Path:
    """One whose command enhances every clip at a rate."""
    folder.mkdir()
    line = f'[print(f"{{name}}: 48x32, 3 frames, 25 frames/s, x, 1.0 s ({rate} frames/s) -> y") for name in files]'
    (folder / "enhance.py").write_text(f"import sys\nfiles = sys.argv[1:sys.argv.index('--weights')]\n{line}\n")
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="no wait4")
def test_a_ratio_is_that_of_both_checkouts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_video, "HERE", checkout(tmp_path / "this", 3))
    monkeypatch.setattr(bench_video, "SIZES", SIZES)
    before, weights, out = checkout(tmp_path / "before", 1.5), str(tmp_path / "tiny.safetensors"), tmp_path / "video.md"
    save_weights(build_network(NETWORK), weights, {"network": json.dumps(NETWORK)})
    arguments = ["--frames", "3x2", "--rounds", "1", "--threads", str(torch.get_num_threads())]
    bench_video.main(["--against", str(before), "--weights", weights, "--out", str(out), *arguments])
    lines = [line for line in out.read_text().splitlines() if line.startswith(f"| {weights}")]
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    speeds, parts = [row for row in rows if row[-2] == "2.00"], rows[-2:]
    assert [row[2] for row in speeds] == [row[2] for row in parts] == ["64x48.mkv", "128x96.mkv"]
    assert all(float(cell) >= 0 for row in parts for cell in row[3:8])
    assert weights in capsys.readouterr().out
