"""tests/oldest.txt, by which `make test-matrix` installs the oldest dependencies, is what pyproject.toml says."""

import sys

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with pytest


def test_the_oldest_releases_are_those_of_the_bounds(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    texts = [*project["dependencies"], *(text for name in ("demo", "export", "test", "zoo") for text in extras[name])]
    requirements = {canonicalize_name(each.name): each for each in map(Requirement, texts) if each.name != "powerqe"}
    lines = (root / "tests/oldest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert sorted(requirements) == sorted(pinned) == list(pinned)
    for name, requirement in requirements.items():
        bound = next(Version(each.version).release for each in requirement.specifier if each.operator == ">=")
        assert pinned[name] in requirement.specifier, name
        assert Version(pinned[name]).release[: len(bound)] == bound, name


def test_the_interpreters_are_those_of_the_classifiers(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = [each.rpartition(" ")[2] for each in project["classifiers"] if "Python :: 3." in each]
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    assert f"OLDEST ?= python{found[0]}\n" in makefile
    assert f"NEWEST ?= python{found[-1]}\n" in makefile
    assert project["requires-python"] == f">={found[0]}"
