"""docs/architecture.md: its files and names exist, and its diagram shows the imports as they are."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
ROOMS = (ROOT / "docs/rooms.svg").read_text(encoding="utf-8")
SAMPLE = (ROOT / "docs/sample.svg").read_text(encoding="utf-8")
ARROWS = set(re.findall(r'data-from="(\w+)" data-to="(\w+)"', ROOMS))
FOLDERS = {name for name in re.findall(r'<g id="(\w+)"', ROOMS) if name != "scripts"}


def imports(folder: str) -> Iterator[tuple[str, str]]:
    """The folders that a folder imports, each with the file that does; scripts are not among its files."""
    for path in (ROOT / folder).rglob("*.py"):
        if path.name.startswith("main_"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                package, _, rest = name.partition(".")
                if package == "powerqe" and rest:
                    room = rest.partition(".")[0]
                    yield (room if room in FOLDERS else "powerqe"), path.relative_to(ROOT).as_posix()


def below(folder: str) -> set[str]:
    """All folders that the arrows lead to."""
    nearest = {end for start, end in ARROWS if start == folder}
    return nearest.union(*(below(each) for each in nearest))


def test_the_diagram_has_every_folder_of_code() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == FOLDERS
    assert {end for arrow in ARROWS for end in arrow} == {*FOLDERS, "scripts"}


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_imports_follow_the_arrows(folder: str) -> None:
    found = {(room, file) for room, file in imports(folder) if room != folder}
    assert {(room, file) for room, file in found if room not in below(folder)} == set()
    drawn = {end for start, end in ARROWS if start == folder}
    assert drawn <= {room for room, _ in found}, "an arrow without an import"


def test_no_arrow_leads_back() -> None:
    assert all(start not in below(end) for start, end in ARROWS)


def test_named_files_and_names_exist() -> None:
    rows = re.findall(r"\]\(\.\./([\w/.]+)\)(?:: ((?:`\w+`(?:, )?)+))?", PAGE)
    assert len(rows) > 12
    for path, names in rows:
        text = (ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"\w+", names):
            assert re.search(rf"^(class|def) {name}\b", text, re.MULTILINE), f"{path}: {name}"
    for path in re.findall(r'class="file"[^>]*>([^<]+)<', SAMPLE):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"`(\w+/)`", PAGE):
        assert (ROOT / path).is_dir(), path


def test_declarations_of_networks_are_those_of_the_code() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = page.partition("| declaration | meaning |")[2].partition("\n\n")[0]
    names = re.findall(r"`[\w.]*?(\w+)(?: = True)?`", "\n".join(row.split("|")[1] for row in table.splitlines() if row))
    assert len(names) >= 10
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "net").rglob("*.py"))
    assert [name for name in names if not re.search(rf"\b{name}\b", code)] == []
