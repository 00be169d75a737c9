"""docs/extending.md: every example is written, tested and run in a copy of the repository."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.page_examples import Examples, check_style, copy_of_repository, run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
INTRODUCTION, *_SECTIONS = re.split(
    r"^## ", (ROOT / "docs/extending.md").read_text(encoding="utf-8"), flags=re.MULTILINE
)
SECTIONS = {text.partition("\n")[0]: Examples(text) for text in _SECTIONS}
IN_TURN = "import sys; from powerqe.cli import main; sys.exit(any([main(line.split()) for line in sys.argv[1:]]))"
ADDED = {
    "Add a loss": ("loss", "Frequency"),
    "Add a metric": ("metric", "MAE"),
    "Add a codec": ("codec", "JPEG2000"),
    "Add a data set": ("dataset", "ListedImages"),
    "Add an algorithm": ("algorithm", "CutBlur"),
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with all examples of the page and the file data/mine/pairs.txt."""
    copy = copy_of_repository(ROOT, tmp_path_factory.mktemp("extending") / "checkout")
    (copy / "data/mine/pairs.txt").write_text(
        "".join(f"data/mine/train/{n}.png data/mine/train/{n}.png\n" for n in range(3))
    )
    options = yaml.safe_load(dict(Examples(INTRODUCTION).files)["opts/mine.yml"])
    for examples in SECTIONS.values():
        for name, text in examples.files:
            if name == "opts/mine.yml":
                options["cases"] |= yaml.safe_load(text)["cases"]
            else:
                assert not (copy / name).exists()
                (copy / name).write_text(text, encoding="utf-8")
    (copy / "opts/mine.yml").write_text(yaml.safe_dump(options), encoding="utf-8")
    return copy


def test_each_kind_has_its_section() -> None:
    assert [name for name in SECTIONS if name.startswith("Add ")] == list(ADDED)
    for title in ADDED:
        assert len(SECTIONS[title].files) == 3, title
        assert len(SECTIONS[title].commands) == 2, title


def test_the_examples_work(checkout: Path) -> None:
    """All tests in one start of pytest, and all trainings in one process: to start ten would take a minute."""
    tests, trainings = zip(*(SECTIONS[title].commands for title in ADDED), strict=True)
    files = [command.removeprefix("python -m pytest ") for command in tests]
    found = run(f"python -m pytest {' '.join(files)} -rp", checkout)
    assert all(f"PASSED {file}::" in found for file in files)
    lines = [command.removeprefix("powerqe ") for command in trainings]
    said = run(shlex.join(["python", "-c", IN_TURN, *lines]), checkout)
    assert all(line.startswith("train ") for line in lines)
    assert len(set(re.findall(r"dry run of (mine-\S+):", said))) == len(lines)


def test_editors_and_the_reference_know_the_examples(checkout: Path) -> None:
    (command,) = SECTIONS["Complete and check option files in an editor"].commands
    run(command, checkout)
    schema = (checkout / "options.json").read_text(encoding="utf-8")
    assert isinstance(json.loads(schema), dict)
    reference = run("powerqe options", checkout)
    for _, name in ADDED.values():
        assert f'"{name}"' in schema
        assert f"### `{name}`" in reference


@pytest.mark.parametrize("title", ADDED)
def test_the_example_is_in_the_style_of_the_house(title: str, tmp_path: Path) -> None:
    for name, text in SECTIONS[title].files:
        if name.endswith(".py"):
            check_style(ROOT, tmp_path, name, text)
