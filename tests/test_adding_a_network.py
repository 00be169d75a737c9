"""docs/adding_a_network.md, step by step, in a copy of the repository."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from powerqe.utils.image.io import write_image

LEFT_OUT = {".git", ".venv", "data", "exp", "runs", "build", "dist", "weights"}
"""What a checkout of the sources does not have, and what the steps do not need."""

SMALL = "--set device=cpu train.niter=2 train.inter_val=2 train.inter_print=1 dataset.train.nworker_pg=0"


class Steps:
    """The code of the five steps.

    Args:
        text: of the document.
    """

    def __init__(self, text: str) -> None:
        chapter = text.partition("# Add a network in five steps")[2].partition("\n## ")[0]
        self.numbers = re.findall(r"^\*\*(\d)\. ", chapter, re.MULTILINE)
        blocks = re.findall(r"^```(\w+)\n(.*?)^```$", chapter, re.MULTILINE | re.DOTALL)
        self.commands = [line for kind, block in blocks if kind == "sh" for line in block.splitlines()]
        self.files = {
            block.partition("\n")[0].removeprefix("# "): block.partition("\n")[2]
            for kind, block in blocks
            if kind != "sh"
        }


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """A copy of the repository with a few tiny pictures where the example looks for them."""
    copy = tmp_path / "checkout"

    def ignore(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if name.endswith(("_cache", "__pycache__", ".egg-info", ".hypothesis"))} | (
            LEFT_OUT.intersection(names) if Path(folder) == root else set()
        )

    shutil.copytree(root, copy, ignore=ignore)
    generator = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 1), ("test", 2)):
        for index in range(count):
            coarse = generator.integers(0, 256, (8, 9, 3), dtype=np.uint8)
            write_image(copy / f"data/mine/{split}/{index}.png", coarse.repeat(7, 0).repeat(7, 1))
    return copy


def test_add_a_network_in_five_steps(root: Path, checkout: Path) -> None:
    steps = Steps((root / "docs/adding_a_network.md").read_text(encoding="utf-8"))
    assert steps.numbers == ["1", "2", "3", "4", "5"]
    assert list(steps.files) == ["net/skipnet.py", "opts/skipnet.yml"]
    for name, text in steps.files.items():
        assert not (checkout / name).exists()
        (checkout / name).write_text(text, encoding="utf-8")

    said = [run(command, checkout) for command in steps.commands]

    tests, _, training, testing = said
    assert re.search(r"\d+ passed", tests)
    assert "failed" not in tests
    assert "### `SkipNet`" in (checkout / "docs/options.md").read_text(encoding="utf-8")
    folder = checkout / "exp/skipnet-qf10"
    assert "finished at iter 2" in training
    assert {"ckp-2.pt", "ckp-last.pt", "ckp-best.pt", "options.yml", "train.log"} <= {
        path.name for path in folder.iterdir()
    }
    assert "skipnet-qf10" in testing
    images = json.loads((folder / "results.json").read_text(encoding="utf-8"))["images"]
    assert len(images) == 2
    assert all(0 < image["result"]["SSIM"] < 1 for image in images)
    assert len(list((folder / "test_im_enhanced").rglob("*.png"))) == 2


def test_example_is_in_the_style_of_the_house(root: Path, tmp_path: Path) -> None:
    name, text = next(iter(Steps((root / "docs/adding_a_network.md").read_text(encoding="utf-8")).files.items()))
    shutil.copy(root / "pyproject.toml", tmp_path)
    path = tmp_path / Path(name).name
    path.write_text(text, encoding="utf-8")
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if ruff is None:
        pytest.skip("ruff is not installed")
    for command in ("check", "format --check"):
        subprocess.run([ruff, *command.split(), str(path)], cwd=tmp_path, check=True, timeout=60)


def run(command: str, folder: Path) -> str:
    """Run a command line of the document as typed, the training short; what it said."""
    program, *arguments = shlex.split(f"{command} {SMALL}" if "train " in command else command)
    assert program in ("python", "powerqe")
    if program == "powerqe":  # that of the copy, not the installed one
        arguments = ["-m", "powerqe", *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PYTHONPATH"))}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
