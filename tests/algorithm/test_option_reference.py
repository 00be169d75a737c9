"""The committed option reference is what the code says, and says what every option means."""

import subprocess
import sys
from pathlib import Path

import pytest

from powerqe.algorithm import option_reference
from powerqe.algorithm.option_reference import (
    TITLES,
    OptionRow,
    argument_rows,
    documented_arguments,
    section_rows,
    update,
)
from powerqe.utils.errors import UserError
from powerqe.utils.options.registry import REGISTRIES
from powerqe.utils.options.tree import LoadState, Options


def test_committed_reference_is_up_to_date(root: Path, tmp_path: Path) -> None:
    committed = (root / "docs/options.md").read_text(encoding="utf-8")
    copy = tmp_path / "options.md"
    copy.write_text(committed, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "powerqe", "options", copy], cwd=root, check=True, timeout=600)
    assert copy.read_text(encoding="utf-8") == committed, "run: powerqe options docs/options.md"


def test_every_kind_has_its_chapter() -> None:
    kinds = {kind for kind, registry in REGISTRIES.items() if any(_is_ours(registry[n]) for n in registry.names())}
    assert kinds == set(TITLES)


def _is_ours(entry: object) -> bool:
    return str(getattr(entry, "__module__", "")).startswith("powerqe.")


ENTRIES = [(kind, name) for kind in TITLES for name in REGISTRIES[kind].names() if _is_ours(REGISTRIES[kind][name])]


def test_every_option_has_a_description() -> None:
    rows = list(section_rows(Options))
    rows += [
        row._replace(key=f"{kind} {name}: {row.key}") for kind, name in ENTRIES for row in argument_rows(kind, name)
    ]
    assert [row.key for row in rows if not row.meaning] == [], (
        "describe it: Field(description=...), or Args: in the docstring"
    )


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_every_entry_has_a_description(kind: str, name: str) -> None:
    assert REGISTRIES[kind][name].__doc__, "its docstring's first line goes into the reference"


def test_sections_are_listed_with_all_keys_and_those_of_their_places() -> None:
    rows = {row.key: row for row in section_rows(Options)}
    assert rows["train.niter"] == OptionRow("train.niter", "int > 0", "`100000`", "optimizer steps in all")
    assert rows["train.load_state.if_load"].default == "`false`"
    assert rows["train.ema"].type == "0 < number < 1 or null"
    assert rows["network"].default == "required"
    assert rows["dataset.train.bs_pg"].type == "0 < int <= 65536"
    assert rows["val.criterion.NAME.if_focus"].type == "true or false"
    assert rows["test.tile"] == OptionRow("test.tile", "section or null", "`null`", "images in tiles; null: as a whole")
    assert rows["test.tile.size"].default == "`512`"
    assert [row.key for row in section_rows(LoadState, "x.")] == [f"x.{key}" for key in LoadState.model_fields]


def test_arguments_are_listed_with_the_keys_of_their_places() -> None:
    rows = {row.key: row for row in argument_rows("algorithm", "Regression")}
    assert rows["loss.NAME.weight"].type == "number"
    assert rows["optimizer"] == OptionRow(
        "optimizer", "optimizer {type: NAME, ...}", '`{"type": "Adam"}`', "optimizer of the network"
    )
    kernels = next(row for row in argument_rows("network", "ARCNN") if row.key == "kernel_sizes")
    assert kernels == OptionRow("kernel_sizes", "list of int > 0", "`[9, 1, 5]`", "one odd size per layer")


def test_documented_arguments() -> None:
    docstring = (
        "What it is.\n\nArgs:\n    a: one,\n        and: more.\n    b, c: both\n\nRaises:\n    UserError: never."
    )
    assert documented_arguments(docstring) == {"a": "one, and: more", "b": "both", "c": "both"}
    assert documented_arguments("No arguments: none.") == {}


def test_only_the_part_between_the_markers_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(option_reference, "reference", lambda: "NEW")
    path = tmp_path / "options.md"
    path.write_text("before\n<!-- options -->\nOLD\n<!-- /options -->\nafter\n")
    for _ in range(2):
        update(path)
        assert path.read_text() == "before\n<!-- options -->\n\nNEW\n<!-- /options -->\nafter\n"


@pytest.mark.parametrize("text", [None, "", "<!-- options -->\n", "<!-- /options -->\n<!-- options -->\n"])
def test_file_without_the_markers_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "options.md"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match="<!-- options -->"):
        update(path)
    assert text is None or path.read_text() == text
