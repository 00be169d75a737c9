"""Folders of PowerQE, in a checkout and installed."""

import sys
from pathlib import Path

import pytest

from powerqe.utils import places


@pytest.fixture
def installed(monkeypatch, tmp_path):
    monkeypatch.setattr(places, "IS_CHECKOUT", False)
    monkeypatch.delenv(places.WEIGHTS_VARIABLE, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path


def test_a_checkout_has_everything(monkeypatch):
    monkeypatch.delenv(places.WEIGHTS_VARIABLE, raising=False)
    root = Path(__file__).parents[2]
    assert places.IS_CHECKOUT
    assert (places.data_root(), places.weights_store(), places.OPTS) == (root / "data", root / "weights", root / "opts")


@pytest.mark.parametrize(
    ("system", "variables", "folder"),
    [
        ("linux", {}, ".cache/powerqe"),
        ("linux", {"XDG_CACHE_HOME": "cache"}, "cache/powerqe"),
        ("darwin", {"XDG_CACHE_HOME": "cache"}, "Library/Caches/powerqe"),
        ("win32", {}, "AppData/Local/powerqe"),
        ("win32", {"LOCALAPPDATA": "local"}, "local/powerqe"),
    ],
)
def test_the_cache_of_each_system(installed, monkeypatch, system, variables, folder):
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(sys, "platform", system)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(installed / value))
    assert places.user_cache() == installed / folder
    assert places.weights_store() == installed / folder / "weights"


def test_the_variable_counts_everywhere(installed, monkeypatch):
    monkeypatch.setenv(places.WEIGHTS_VARIABLE, "mine")
    assert places.weights_store() == Path("mine")
    assert places.data_root() == Path("data")
    monkeypatch.setattr(places, "IS_CHECKOUT", True)
    assert places.weights_store() == Path("mine")
