"""The examples of docs/: files and commands out of a page, in a copy of the repository."""

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

_NEEDLESS = {".git", ".venv", "data", "exp", "runs", "build", "dist", "weights"}


class Examples:
    """The code of a page or of one of its sections.

    Attributes:
        files: path -> text of the code blocks that begin with `# path`; a path may come several times.
        commands: lines of the shell.
    """

    def __init__(self, text: str) -> None:
        blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        self.commands = [line for kind, block in blocks if kind == "sh" for line in block.splitlines()]
        named = [block.partition("\n") for kind, block in blocks if kind != "sh"]
        self.files = [(first.removeprefix("# "), rest) for first, _, rest in named if re.match(r"# \S+\.\w+$", first)]


def copy_of_repository(root: Path, copy: Path) -> Path:
    """The sources, with a few tiny images in data/mine, where the examples look for them."""

    def ignore(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if name.endswith(("_cache", "__pycache__", ".egg-info", ".hypothesis"))} | (
            _NEEDLESS.intersection(names) if Path(folder) == root else set()
        )

    shutil.copytree(root, copy, ignore=ignore)
    generator = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 1), ("test", 2)):
        for index in range(count):
            coarse = generator.integers(0, 256, (8, 9, 3), dtype=np.uint8)
            write_image(copy / f"data/mine/{split}/{index}.png", coarse.repeat(7, 0).repeat(7, 1))
    return copy


def run(command: str, folder: Path) -> str:
    """Run a command line of a page in the copy; its output.

    Args:
        command: `python` or `powerqe` with arguments; a last `> FILE` receives the output.
    """
    line, _, target = command.partition(" > ")
    program, *arguments = shlex.split(line)
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
    if target:
        (folder / target).write_text(done.stdout, encoding="utf-8")
    return done.stdout + done.stderr


def check_style(root: Path, folder: Path, name: str, text: str) -> None:
    """Let ruff check and format an example as a file of the repository."""
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if ruff is None:
        pytest.skip("ruff is not installed")
    shutil.copy(root / "pyproject.toml", folder)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    for command in ("check", "format --check"):
        subprocess.run([ruff, *command.split(), name], cwd=folder, check=True, timeout=60)
