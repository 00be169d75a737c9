"""Every room is imported as powerqe.ROOM: under two names, a module would have two registries."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"powerqe", "tests"} | {"benchmarks"}
SKIPPED = {"build", "data", "dist", "exp"}


def _imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def bare(source: str) -> list[str]:
    """The modules of a source that are imported without powerqe before the room."""
    return [name for name in _imports(source) if name.partition(".")[0] in ROOMS]


@pytest.mark.parametrize("path", [
    path for path in sorted(ROOT.rglob("*.py"))
    if not (top := path.relative_to(ROOT).parts[0]).startswith(".") and top not in SKIPPED
], ids=lambda path: path.relative_to(ROOT).as_posix())  # fmt: skip
def test_rooms_are_imported_by_their_full_name(path: Path) -> None:
    assert bare(path.read_text(encoding="utf-8")) == []


def test_a_bare_import_is_found() -> None:
    assert {"algorithm", "dataset", "net", "utils"} <= ROOMS
    assert bare("import torch\nfrom net import x\nimport utils.files\nimport powerqe.net\nfrom . import net\n") == [
        "net", "utils.files",
    ]  # fmt: skip
