"""benchmarks/bench_inference.py measures a tiny network with PowerQE alone, and names what is missing."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from powerqe.benchmarks import bench_inference, common
from powerqe.benchmarks.bench_inference import ENGINES, OURS, RATIOS, TODAY, Engine, Row
from powerqe.net import build_network, save_weights

SPEC: dict[str, Any] = {"type": "ARCNN", "hidden_channels": [4], "kernel_sizes": [3, 3]}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    torch.manual_seed(0)
    save_weights(build_network(SPEC), path, {"network": json.dumps(SPEC)})
    return path


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


class InThisProcess:
    """In the place of `ProcessPoolExecutor`."""

    def __init__(self, workers: int, context: Any, prepare: Any, arguments: Any) -> None:
        pass

    def __enter__(self) -> "InThisProcess":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def submit(self, function: Any, *arguments: Any) -> "InThisProcess":
        self._work = function, arguments
        return self

    def result(self) -> Any:
        function, arguments = self._work
        return function(*arguments)


def test_the_page(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(work: object) -> Any:
        raise RuntimeError("no such layer")

    monkeypatch.setattr(bench_inference, "_SETTLING", 0)
    monkeypatch.setattr(bench_inference, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr(bench_inference, "export", lambda network, path, **others: path.touch())
    monkeypatch.setitem(ENGINES, "absent", Engine(broken, "no-such-package"))
    monkeypatch.setitem(ENGINES, "broken", Engine(broken, "torch"))
    page = tmp_path / "page.md"
    given = ["--networks", str(weights), "--sizes", "40x24", "--threads", "1", "--rounds", "2", "--seconds", "0.001"]
    given += ["--engines", TODAY, f"{OURS} fp32", "absent", "broken", "--out", str(page)]
    assert bench_inference.main(given) == 0
    text = page.read_text()
    assert text in capsys.readouterr().out
    header, _, row, *_, memory = rows(text)
    assert header[3:] == [f"{name}, ms" for name in (TODAY, f"{OURS} fp32", "broken")] + RATIOS
    assert row[:3] == ["tiny", "40x24", "1"]
    assert float(row[3]) >= 0
    assert row[5:] == ["n/a", "", "", "", ""]
    assert memory[3].endswith("/ inf")
    assert float(memory[4].split("/")[1]) > 90
    assert "absent" in text
    assert "broken cannot compute tiny" in text
    assert f"bench_inference.py --networks {weights}" in text


def test_ratios_are_of_the_fastest_peer() -> None:
    def turns(*seconds: float) -> list[common.Turn]:
        return [common.Turn(1, each, each / 2) for each in seconds]

    times = {TODAY: turns(6, 6, 8), OURS: turns(2, 3, 2), "onnxruntime": turns(4, 4, 4), "OpenVINO": turns(1, 3, 3)}
    row = Row("net", "8x8", 1, times, {}, {}, set())
    today, peer, *by_cpu = bench_inference._ratios(row)
    assert today == "3.00 (2.00 to 4.00)"
    assert peer == "1.00 (0.50 to 1.50) OpenVINO"
    assert by_cpu == ["3.00 (2.00 to 4.00)", "1.00 (0.50 to 1.50)"]


def test_no_such_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_inference.main(["--networks", "no-such*"]) == 2
    assert "no-such*" in capsys.readouterr().err
