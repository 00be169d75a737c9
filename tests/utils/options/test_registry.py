"""Names to classes, and the constructor's signature as the schema of its options."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from powerqe.utils.errors import UserError
from powerqe.utils.options.registry import REGISTRIES, Registry, nearest


@pytest.fixture
def tools() -> Iterator[Registry]:
    registry = Registry("tool")
    yield registry
    del REGISTRIES["tool"]


def test_names_are_sorted_and_found(tools: Registry) -> None:
    @tools.register()
    class Saw: ...

    @tools.register("adze")
    def make() -> None: ...

    assert tools.names() == ["Saw", "adze"]
    assert tools["Saw"] is Saw
    assert tools["adze"] is make
    assert "Saw" in tools
    assert "make" not in tools
    assert REGISTRIES["tool"] is tools


def test_one_name_twice_is_a_defect(tools: Registry) -> None:
    tools.register("Saw")(int)
    with pytest.raises(ValueError, match="tool 'Saw'"):
        tools.register("Saw")(str)
    assert tools["Saw"] is int


def test_unknown_name_suggests_the_nearest_and_lists_all(tools: Registry) -> None:
    tools.register("Hammer")(int)
    tools.register("Saw")(str)
    with pytest.raises(UserError) as caught:
        tools["Hamer"]
    assert str(caught.value) == "unknown tool 'Hamer' (did you mean 'Hammer'?); known: Hammer, Saw"


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("nitr", ["niter", "seed"], "niter"),
        ("mse", ["MSE", "L1"], "MSE"),
        ("l1", ["MSE", "L1"], "L1"),
        ("banana", ["niter", "seed"], None),
        (3, ["niter"], None),
        ("Paired", ["PairedImages", "DegradedImages"], "PairedImages"),
        ("clips", ["VideoClips", "Chips"], "VideoClips"),  # that has it in it, before what is similar
        ("print", ["inter_print", "print_options"], "print_options"),  # that begins with it, before that
        ("in", ["interval", "training"], None),  # two letters say nothing
    ],
)
def test_nearest(name: Any, known: list[str], meant: str | None) -> None:
    assert nearest(name, known) == (f" (did you mean {meant!r}?)" if meant else "")


WEIGHTS = ["dcad-qf10", "dncnn-qf10", "fbcnn-color", "fbcnn-gray", "fbcnn-gray-double", "fbcnn-y", "qgcn-gray"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("FBCN", " (did you mean 'fbcnn-y', 'fbcnn-gray' or 'fbcnn-color'?)"),
        ("double", " (did you mean 'fbcnn-gray-double'?)"),
        ("dncn-qf10", " (did you mean 'dncnn-qf10' or 'dcad-qf10'?)"),
        ("srcnn-x2-blind", ""),
    ],
)
def test_nearest_names_if_several_are_suggested(name: str, said: str) -> None:
    assert nearest(name, WEIGHTS, most=3) == said


Size = Annotated[int, Field(gt=0)]


def test_signature_is_what_an_option_file_accepts(tools: Registry) -> None:
    @tools.register()
    class Saw:
        def __init__(self, wood: object, /, length: Size, *, sharp: bool = True, **_: Any) -> None: ...

    @tools.register()
    def drill(wood: object, /, *, speed, bits: "list[int] | None" = None) -> None: ...

    @tools.register()
    class Bare: ...

    assert tools.signature("Saw") == {"length": (Size, ...), "sharp": (bool, True)}
    assert tools.signature("drill") == {"speed": (Any, ...), "bits": (list[int] | None, None)}
    assert tools.signature("Bare") == {}


def test_modules_of_the_package_are_imported_at_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tools: Registry
) -> None:
    package = tmp_path / "toolbox"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "saw.py").write_text(
        "from powerqe.utils.options.registry import REGISTRIES\n\n@REGISTRIES['tool'].register()\nclass Saw: ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("tool", package="toolbox")
    assert "toolbox" not in sys.modules
    assert registry.names() == ["Saw"]
    assert registry["Saw"].__module__ == "toolbox.saw"
    for name in ("toolbox", "toolbox.saw"):
        del sys.modules[name]
