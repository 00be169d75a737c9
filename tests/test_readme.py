"""The README's commands, run as they stand there (with shorter trainings) in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

SHORT = (
    " --set train.niter=1 train.if_test_baseline=false dataset.train.nworker_pg=0 dataset.train.bs_pg=1"
    " train.real_bs_pg=1 dataset.val.slice=[700,702] dataset.test.div2k.slice=[800,802]"
)
NOT_HERE = "make "  # these targets install and run the tests, this one among them


def blocks(text: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def shortened(command: str) -> str:
    return command + SHORT if re.search(r"\b(train|test)\.py\b", command) else command


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The project without its data, with 900 small pictures as data/div2k/raw."""
    root, copy = Path(__file__).resolve().parents[1], tmp_path_factory.mktemp("readme") / "powerqe"
    skip = shutil.ignore_patterns(".git", ".venv", "data", "exp", ".*_cache", "__pycache__", "tests", "weights")
    shutil.copytree(root, copy, ignore=skip)
    raw = copy / "data/div2k/raw"
    raw.mkdir(parents=True)
    coarse = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    picture = cv2.imencode(".png", cv2.resize(coarse, (258, 256), interpolation=cv2.INTER_CUBIC))[1].tobytes()
    for number in range(1, 901):
        (raw / f"{number:04}.png").write_bytes(picture)
    return copy


def test_every_command_works(copy, root):
    commands = [block for block in blocks((root / "README.md").read_text()) if not block.startswith(NOT_HERE)]
    script = "\n".join(shortened(line) for block in commands for line in block.splitlines())
    assert script.count("train.py") >= 4
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=copy,
        env={**os.environ, "PATH": path, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert len(list((copy / "data/div2k/jpeg_ds_2_combined").iterdir())) == 900 * 5
    made = {entry.name for entry in (copy / "exp").iterdir()}
    assert {"arcnn-div2k-qf10", "arcnn-div2k-qf10-v1", "arcnn-div2k-qf10-v2"} <= made
    assert "resuming" in (copy / "exp/arcnn-div2k-qf10/train.log").read_text()
    assert (copy / "exp/arcnn-div2k-qf10/results.md").exists()


def test_make_has_the_two_commands(root):
    first = next(block for block in blocks((root / "README.md").read_text()) if block.startswith(NOT_HERE))
    targets = set(re.findall(r"^(\w+):", (root / "Makefile").read_text(), re.MULTILINE))
    assert {line.split()[1] for line in first.splitlines()} <= targets


def test_links_lead_somewhere(root):
    for document in (root / "README.md", root / "CONTRIBUTING.md", root / "docs/options.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
