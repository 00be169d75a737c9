"""benchmarks/bench_dcn.py runs, and both of its sides compute the same."""

import math

import pytest
import torch

from powerqe.benchmarks import bench_dcn, common
from powerqe.net.ops.dcn import compiled, force_backend

TINY = bench_dcn.Case(1, 4, 2, 9, 10)


@pytest.fixture(autouse=True)
def _nothing_changes(monkeypatch: pytest.MonkeyPatch):
    if why_not := compiled.missing("cpu"):
        pytest.skip(f"the operator {why_not}")
    threads = torch.get_num_threads()
    monkeypatch.setattr(bench_dcn, "CASES", {"stdf_r3 tiny": TINY, "other tiny": TINY})
    yield
    torch.set_num_threads(threads)
    force_backend(None)


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--rounds", "1", "--seconds", "0.001", "--dtype", "float32", "bfloat16", "--threads", "1"]
    assert bench_dcn.main(arguments) == 0
    text = capsys.readouterr().out
    assert "### float32, 1 thread(s)" in text
    assert "### bfloat16, 1 thread(s)" in text
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert len({len(row) for row in rows}) == 1
    found = next(row for row in rows if row[0] == "stdf_r3 tiny")
    for ours, theirs, ratio in (found[1:4], found[4:7], found[7:10]):
        assert float(ratio.split()[0]) == pytest.approx(float(theirs) / float(ours), rel=0.5)
    mean = next(row for row in rows if row[0].startswith("geometric mean"))
    assert mean[3] == found[3].split()[0]  # of one size


def test_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_dcn.main(["--cases", "nonsense"]) == 2
    assert "other tiny" in capsys.readouterr().err


def test_both_sides_compute_the_same() -> None:
    ours, theirs = (bench_dcn.Workload(TINY, torch.float32, "cpu", side) for side in (bench_dcn.OURS, bench_dcn.THEIRS))
    torch.testing.assert_close(ours.forward(), theirs.forward())
    grad_input, grad_offset, grad_mask, grad_weight, grad_bias = ours.backward()
    expected = theirs.backward()
    for found, peer in zip((grad_input, grad_weight, grad_offset, grad_mask, grad_bias), expected, strict=True):
        torch.testing.assert_close(found, peer, rtol=1e-4, atol=1e-4)


def test_memory_is_that_of_the_work() -> None:
    """Of blocks that the C library always maps by themselves: it grows its threshold up to 32 MB."""
    ratio = common.extra_memory(lambda: torch.ones(30_000_000)) / 120e6
    assert 0.8 < ratio < 1.2 or math.isnan(ratio)
