"""A small data set, and the project's scripts in a checkout of their own."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from powerqe.utils.image.io import write_image

REPOSITORY = Path(__file__).resolve().parents[2]
SIZES = {"0001": (40, 64, 3), "0002": (33, 47, 3), "0003": (64, 40, 1)}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def photograph(seed: int, height: int, width: int, channels: int) -> np.ndarray:
    """A smooth uint8 image, which JPEG changes only a little."""
    coarse = np.random.default_rng(seed).integers(40, 216, (height // 8 + 1, width // 8 + 1, channels))
    return np.kron(coarse, np.ones((8, 8, 1))).astype(np.uint8)[:height, :width]


def fill(folder: Path) -> Path:
    for seed, (stem, size) in enumerate(SIZES.items()):
        write_image(folder / f"{stem}.png", photograph(seed, *size))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with two RGB images and a gray one in div2k/raw."""
    fill(tmp_path / "data/div2k/raw")
    return tmp_path / "data"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the scripts need: they find their modules and data/ there, installed or not."""
    root = tmp_path / "checkout"
    for package in ("data_pre_process", "dataset", "evaluation", "inference", "net", "powerqe", "utils"):
        shutil.copytree(REPOSITORY / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "setup.py", root)  # by which a checkout is known
    fill(root / "data/div2k/raw")
    return root


@pytest.fixture
def shell() -> Run:
    """Run a command line as typed, with this Python."""

    def run(line: str, folder: Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable if word == "python" else word for word in shlex.split(line)]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)

    return run
