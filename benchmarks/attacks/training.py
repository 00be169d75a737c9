"""A training of a second, its killed and resumed relatives, and whether they end with the same bits."""

import contextlib
import functools
import io
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import cv2
import numpy as np
import torch
import yaml

from powerqe.cli import script
from powerqe.utils.checkpoint import load_checkpoint

NITER = 6
EXPERIMENT = "exp/tiny-c"
SAVING = ("save", "archive")
"""Functions of algorithm/experiment.py that write."""
SECONDS = 120.0
"""Limit of a training that takes one second on an idle core."""


def make_training(folder: Path) -> None:
    """The option file tiny.yml, and images of 24x24 pixels in gt/ and lq/."""
    chance = np.random.default_rng(0)
    for name in ("gt", "lq"):
        (folder / name).mkdir(parents=True)
    for number in range(6):
        image = cv2.resize(chance.integers(0, 256, (4, 4, 3), np.uint8), (24, 24), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"gt/{number}.png"), image)
        noisy = np.clip(image + chance.normal(0, 9, image.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"lq/{number}.png"), noisy)
    data = {"type": "PairedImages", "gt": "gt", "lq": "lq"}
    training = {"patch": 8, "flip": True, "rotate": True, "enlarge_ratio": 3, "bs_pg": 2, "nworker_pg": 0}
    tree = {
        "network": {"type": "ARCNN", "hidden_channels": [4, 4], "kernel_sizes": [3, 1, 3], "residual": True},
        "dataset": {"train": data | {"slice": [0, 5]} | training, "val": data | {"slice": [5, 6]}},
        "algorithm": {"type": "Regression", "loss": {"MSE": {}}, "optimizer": {"type": "Adam", "lr": 1e-3}},
        "train": {"niter": NITER, "inter_print": 1, "inter_val": 2, "ema": 0.9},
        "device": "cpu",
    }
    (folder / "tiny.yml").write_text(yaml.safe_dump({"defaults": tree, "cases": {"c": {}}}))


def train(*arguments: str, resume: str = "auto") -> int:
    """The command, in this process and folder."""
    torch.set_num_threads(1)
    return script("train")(["--opt", "tiny.yml", "--resume", resume, *arguments])


def warm_up(folder: Path) -> None:
    """Import all that a training needs, so that forked processes have it: two steps, nothing is written."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            assert train("--dry-run") == 0
    finally:
        os.chdir(here)
    from torch.utils.tensorboard import SummaryWriter  # noqa: F401


def training(*arguments: str, resume: str = "auto") -> Callable[[], int]:
    """The same as a task."""
    return functools.partial(train, *arguments, resume=resume)


def fresh(source: Path, target: Path) -> None:
    """A folder with the training alone."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.name != "exp":
            (shutil.copytree if path.is_dir() else shutil.copyfile)(path, target / path.name)


def is_exact(folder: Path, reference: Path) -> str:
    """Nothing if a training ended as the uninterrupted one; else what differs."""
    try:
        mine, other = (load_checkpoint(each / EXPERIMENT / "ckp-last.pt") for each in (folder, reference))
    except Exception as error:
        return str(error)
    parts = ("iter", "samples", "networks", "ema", "optimizers", "rng", "best")
    return ", ".join(name for name in parts if not _equal(mine[name], other[name]))


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_equal, one, other))
    return type(one) is type(other) and one == other


# --------------------------------------------------------------------------- moments


class Calls:
    """Counts the calls of functions, Python's and C's, of the main thread, and acts at one of them.

    So a random moment is the same one in each run, however loaded the machine is.

    Args:
        at: number of the call, from 1; 0: never.
        act: what happens then.
        saving: only calls while the experiment is being saved count.
    """

    def __init__(self, at: int = 0, act: Callable[[], None] = lambda: None, *, saving: bool = False) -> None:
        self.count, self._at, self._act, self._saving = 0, at, act, saving
        self._saver: FrameType | None = None

    def __enter__(self) -> "Calls":
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _argument: object) -> None:
        if self._saving:
            self._note_saver(frame, event)
        if event in ("call", "c_call") and (self._saver or not self._saving):
            self.count += 1
            if self.count == self._at:
                self._act()

    def _note_saver(self, frame: FrameType, event: str) -> None:
        if self._saver is None:
            code = frame.f_code
            if event == "call" and code.co_name in SAVING and code.co_filename.endswith("experiment.py"):
                self._saver = frame
        elif event == "return" and frame is self._saver:
            self._saver = None


def counted(task: Callable[[], int], file: Path, *, saving: bool) -> int:
    """Run a task; the number of its calls goes to a file."""
    with Calls(saving=saving) as calls:
        code = task()
    file.write_text(str(calls.count))
    return code


def struck(task: Callable[[], int], at: int, act: Callable[[], None], *, saving: bool = False) -> int:
    """Run a task, in which something happens at a call."""
    with Calls(at, act, saving=saving):
        return task()


def die() -> None:
    """As a process does that the system's lack of memory ends."""
    os.kill(os.getpid(), signal.SIGKILL)
