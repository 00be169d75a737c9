"""Option files by path and by name."""

from pathlib import Path

import pytest

from powerqe.utils.errors import UserError
from powerqe.utils.options.option_file import find_option_file
from powerqe.utils.places import OPTS


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["arcnn", "arcnn.yml", "opts/arcnn.yml", "opts/arcnn"])
def test_own_files_have_names(name):
    assert find_option_file(name) == OPTS / "arcnn.yml"


def test_a_file_that_is_there_counts_first():
    Path("arcnn.yml").touch()
    assert find_option_file("arcnn.yml") == Path("arcnn.yml")
    assert find_option_file("arcnn") == OPTS / "arcnn.yml"


@pytest.mark.parametrize(("name", "near"), [("arcn", "arcnn"), ("opts/arcn.yml", "arcnn.yml")])
def test_the_nearest_name_is_suggested(name, near):
    with pytest.raises(UserError, match=f"'{near}'"):
        find_option_file(name)


@pytest.mark.parametrize("name", ["elsewhere/arcnn.yml", "arcnn.yaml", "", ".", "/arcnn"])
def test_others_are_no_names(name):
    with pytest.raises(UserError, match="no option file"):
        find_option_file(name)
