"""The short form of benchmarks/torture.py: trainings and files under attack lose nothing and leave nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="only Linux")]

TITLES = (
    "SIGKILL, 1 rank", "SIGKILL, 2 ranks under torchrun", "SIGTERM to the group, 2 workers", "disk full",
    "mutated option files", "damaged checkpoints", "damaged stores", "damaged images", "damaged videos",
)  # fmt: skip
SHORT = "kill,ranks,stop,disk,options,checkpoints,stores,images,videos"


def table(page: Path) -> dict[str, dict[str, int]]:
    """Row -> column -> count."""
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {name: dict(zip(head[1:], map(int, counts), strict=True)) for name, *counts in rows}


def test_the_short_form(root: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    command = [sys.executable, root / "benchmarks/torture.py", "--only", SHORT, "--scale", "0.02", "--out", page]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = table(page)
    assert tuple(rows) == TITLES
    for name, row in rows.items():
        assert row["tried"] > 0
        assert all(row[fault] == 0 for fault in ("lost", "tracebacks", "hangs", "leftovers", "outside")), name
        assert row["tried"] == row["exact"] + row["read"] + row["refused"], name
    assert all(rows[name]["tried"] == rows[name]["exact"] for name in TITLES[:4])
