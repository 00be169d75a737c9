"""benchmarks/gpu_check.py without a GPU: its parts run on tiny inputs, and a part that fails costs only itself."""

from pathlib import Path

import pytest
import torch

from powerqe.benchmarks import gpu_check, gpu_parts
from powerqe.net.ops.dcn import compiled, force_backend

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _nothing_changes():
    yield
    force_backend(None)


@pytest.mark.parametrize("name", gpu_parts.PARTS)
def test_parts(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "agreement" and (why_not := compiled.missing("cpu")):
        pytest.skip(f"the operator {why_not}")
    assert gpu_parts.main([name, "--device", "cpu"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(rows) > 2
    assert len({row.count(" | ") for row in rows}) == 1
    assert "**no**" not in "".join(rows)


def test_figures_out_of_bounds_are_faults(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(gpu_parts, "NEAR", float("inf"))
    assert gpu_parts.main(["memory", "--device", "cpu"]) == 1
    assert "| **no** |" in capsys.readouterr().out


def test_a_part_that_fails_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def part(code: str, seconds: float = 100) -> gpu_check.Part:
        return gpu_check.Part(code, seconds, "", f"-c {code}")

    child = '\'import subprocess; subprocess.run(["sleep", "60"])\''
    parts = {"hang": part(child, 1), "crash": part("'import os; print(7); os.abort()'"), "good": part("'print(42)'")}
    monkeypatch.setattr(gpu_check, "PARTS", parts)
    report = tmp_path / "report.md"
    (tmp_path / "report-good.log").touch()  # of an earlier time
    assert gpu_check.main(["--device", "cpu", "--parts", *parts, "--output", str(report)]) == 1
    assert "hang, crash" in capsys.readouterr().err
    text = report.read_text()
    assert "No GPU was used" in text
    assert [line for line in text.splitlines() if line in ("7", "42")] == ["7", "42"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report-crash.log", "report-hang.log", "report.md"]


def test_all_parts_are_programs_that_there_are(root: Path) -> None:
    for part in gpu_check.PARTS.values():
        for line in (part.cuda, part.cpu):
            assert line.startswith("-m pytest") or (root / line.split()[0]).is_file()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main([]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert gpu_parts.main(["memory"]) == 2
