"""Sections and components: what is accepted, what is refused, and in which words."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, PositiveInt, ValidationError

from powerqe.utils.errors import UserError
from powerqe.utils.options.components import Component, Section, Slot, build, explain, validate_component
from powerqe.utils.options.registry import REGISTRIES, Registry
from powerqe.utils.options.type_descriptions import describe_type

TOOLS = Registry("hand tool")
BLADES = Registry("blade")


@BLADES.register()
class Steel:
    def __init__(self, *, teeth: PositiveInt = 8) -> None:
        self.teeth = teeth


@BLADES.register()
class Stone: ...


@TOOLS.register()
class Saw:
    def __init__(
        self,
        wood: str,
        /,
        *,
        length: float,
        grades: tuple[PositiveInt, ...] = (1, 2),
        span: tuple[int, int] | None = None,
        mode: Literal["rip", "cross"] = "rip",
        sharp: bool = True,
        blade: Annotated[Component, Slot("blade")] = {"type": "Steel"},  # noqa: B006
        spare: Annotated[dict[str, Component], Slot("blade", named=True)] = {},  # noqa: B006
    ) -> None:
        self.wood, self.length, self.grades, self.span = wood, length, grades, span
        self.mode, self.sharp, self.blade, self.spare = mode, sharp, blade, spare


class Bought(Component):
    price: PositiveInt = 1


class Range(Section):
    min: int
    max: int


class Box(Section):
    size: Annotated[int, Field(ge=1, le=9)] = 3
    weight: float = 1.0
    count: PositiveInt | list[int] | Range | None = None
    tool: Annotated[Bought, Slot("hand tool", Bought)] | None = None
    tools: Annotated[dict[str, Component], Slot("hand tool", named=True)] = Field(default_factory=dict)


@pytest.fixture(scope="module", autouse=True)
def kinds() -> Iterator[None]:
    yield
    del REGISTRIES["hand tool"], REGISTRIES["blade"]


def refused(spec: Any, model: type[Section] = Box) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(spec)
    return explain(caught.value)


@pytest.mark.parametrize(
    ("written", "read"), [(4, 4), ("4", 4), ("4e+0", 4), ("40e-1", 4), (4.0, 4), ("+4", 4), ("4.", 4), ("04", 4)]
)
def test_whole_numbers_are_read_in_all_spellings(written: Any, read: int) -> None:
    size = Box.model_validate({"size": written}).size
    assert size == read
    assert type(size) is int


@pytest.mark.parametrize(("written", "read"), [("1e-4", 1e-4), (".5", 0.5), ("-2E3", -2000.0), (7, 7.0), ("!", None)])
def test_numbers_are_read_in_all_spellings(written: Any, read: float | None) -> None:
    if read is None:
        assert refused({"weight": written}) == 'weight: found "!", expected number'
        return
    weight = Box.model_validate({"weight": written}).weight
    assert weight == read
    assert type(weight) is float


@pytest.mark.parametrize("written", [True, False, "0.4", 4.5, "ten", None, [4], {}, 0, 10, float("nan"), "1e400"])
def test_what_is_no_whole_number_in_range_is_refused(written: Any) -> None:
    message = refused({"size": written})
    assert message.startswith("size: found ")
    assert message.endswith(", expected 1 <= int <= 9")


@pytest.mark.parametrize("written", [True, float("nan"), float("inf"), "-.inf"])
def test_what_is_no_finite_number_is_refused(written: Any) -> None:
    assert refused({"weight": written}).endswith(", expected number")


def test_unknown_key_names_the_nearest_and_all() -> None:
    assert (
        refused({"sise": 3}) == "unknown key 'sise' (did you mean 'size'?); allowed: size, weight, count, tool, tools"
    )


@pytest.mark.parametrize("spec", [None, 5, "text", [1]])
def test_section_that_is_no_mapping(spec: Any) -> None:
    assert "expected a mapping with the keys size, weight" in refused(spec)


def test_alternatives_are_one_message_at_the_key_itself() -> None:
    expected = "expected int > 0, list of int, {min: int, max: int} or null"
    assert refused({"count": "x"}) == f'count: found "x", {expected}'
    assert refused({"count": [1, "x"]}) == f'count: found [1, "x"], {expected}'
    assert refused({"count": {"min": 1, "mx": 2}}) == f'count: found {{"min": 1, "mx": 2}}, {expected}'
    assert refused({"count": [1, True]}) == f"count: found [1, true], {expected}"


@pytest.mark.parametrize("count", [3, [1, 2], None, "3"])
def test_alternatives_are_accepted(count: Any) -> None:
    assert Box.model_validate({"count": count}).count == (3 if count == "3" else count)


def test_alternative_that_is_a_section() -> None:
    assert Box.model_validate({"count": {"min": "1e1", "max": 20}}).count == Range(min=10, max=20)


def test_all_mistakes_are_reported_at_once() -> None:
    message = refused({"size": 0, "weight": "x", "tool": {"type": "Saw", "length": True, "price": -1}})
    assert [part.partition(":")[0] for part in message.split("; ")] == ["size", "weight", "tool.price", "tool.length"]


def test_sections_are_frozen() -> None:
    box = Box.model_validate({"tool": {"type": "Saw", "length": 1}})
    for section, key in ((box, "size"), (box.tool, "length"), (box.tool, "price")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, key, 2)


def test_component_has_the_arguments_of_its_constructor() -> None:
    saw = validate_component("hand tool", {"type": "Saw", "length": "5e-1", "span": [1, 2], "grades": [3.0, "4e0"]})
    assert saw.arguments == {
        "length": 0.5,
        "grades": (3, 4),
        "span": (1, 2),
        "mode": "rip",
        "sharp": True,
        "blade": saw.blade,
        "spare": {},
    }
    assert saw.blade.arguments == {"teeth": 8}


def test_build_calls_the_constructor_with_runtime_objects_first() -> None:
    spec = {"type": "Saw", "length": 2, "blade": {"type": "Steel", "teeth": 9}}
    saw = build(validate_component("hand tool", spec), "oak")
    assert isinstance(saw, Saw)
    assert (saw.wood, saw.length, saw.sharp) == ("oak", 2.0, True)
    assert build(saw.blade).teeth == 9


def test_keys_of_a_sub_class_are_no_arguments() -> None:
    tool = Box.model_validate({"tool": {"type": "Saw", "length": 1, "price": 3}}).tool
    assert tool is not None
    assert tool.price == 3
    assert "price" not in tool.arguments
    assert "price" not in validate_component("hand tool", {"type": "Saw", "length": 1}).arguments


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "Saw"}, "tool.length: missing; it has no default"),
        ({"type": "Saw", "lenght": 1, "length": 1}, "tool: unknown key 'lenght' (did you mean 'length'?); allowed: "),
        ({"type": "Saw", "length": 1, "wood": "oak"}, "tool: unknown key 'wood'"),
        ({"type": "Swa"}, "tool: unknown hand tool 'Swa' (did you mean 'Saw'?); known: Saw"),
        ({"type": "saw"}, "tool: unknown hand tool 'saw' (did you mean 'Saw'?); known: Saw"),
        ({"type": 3}, 'tool: found {"type": 3}, expected {type: NAME, ...} with a NAME of: Saw'),
        ({"type": ["Saw"]}, 'tool: found {"type": ["Saw"]}, expected {type: NAME, ...}'),
        ({"length": 1}, 'tool: found {"length": 1}, expected {type: NAME, ...} with a NAME of: Saw'),
        ("Saw", 'tool: found "Saw", expected {type: NAME, ...} with a NAME of: Saw'),
        ({"type": "Saw", "length": 1, "span": [1]}, "tool.span: found [1], expected [int, int] or null"),
        ({"type": "Saw", "length": 1, "grades": [1, 0]}, "tool.grades: found [1, 0], expected list of int > 0"),
        ({"type": "Saw", "length": 1, "grades": [True]}, "tool.grades: found [true], expected list of int > 0"),
        ({"type": "Saw", "length": 1, "mode": "rib"}, 'tool.mode: found "rib", expected "rip" or "cross"'),
        ({"type": "Saw", "length": 1, "sharp": 2}, "tool.sharp: found 2, expected true or false"),
        ({"type": "Saw", "length": 1, "blade": {"type": "Steel", "teeth": 0}}, "tool.blade.teeth: found 0, expected "),
        ({"type": "Saw", "length": 1, "blade": {"type": "Stone", "teeth": 1}}, "tool.blade: unknown key 'teeth'"),
        ({"type": "Saw", "length": 1, "blade": None}, "tool.blade: found null, expected {type: NAME, ...}"),
    ],
)
def test_component_that_does_not_fit(spec: Any, message: str) -> None:
    assert refused({"tool": spec}).startswith(message)


def test_names_are_types_by_default() -> None:
    specs = {"Steel": {}, "old": {"type": "Steel", "teeth": 3}, "Stone": None}
    spare = validate_component("hand tool", {"type": "Saw", "length": 1, "spare": specs}).spare
    assert {name: (blade.type, blade.teeth) for name, blade in spare.items()} == {
        "Steel": ("Steel", 8),
        "old": ("Steel", 3),
    }


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ({"Saw": {"length": "x"}}, 'tools.Saw.length: found "x", expected number'),
        ({"x": {"type": "Saw"}}, "tools.x.length: missing; it has no default"),
        ({"swa": {}}, "tools.swa: unknown hand tool 'swa' (did you mean 'Saw'?); known: Saw"),
        ({"Saw": 3}, "tools.Saw: found 3, expected {type: NAME, ...} with a NAME of: Saw"),
        (["Saw"], 'tools: found ["Saw"], expected a mapping NAME: {...}'),
        ({"a": {}, "Saw": {"lenth": 1}}, "tools.a: unknown hand tool 'a'; known: Saw; tools.Saw: unknown key 'lenth'"),
    ],
)
def test_named_components_that_do_not_fit(specs: Any, message: str) -> None:
    assert refused({"tools": specs}).startswith(message)


def test_validate_component_raises_user_error() -> None:
    with pytest.raises(UserError, match=r"^hand tool \{.*\}: length: missing; it has no default$"):
        validate_component("hand tool", {"type": "Saw"})


def test_braces_in_a_value_are_text() -> None:
    assert refused({"size": "{message} {0} %s"}) == 'size: found "{message} {0} %s", expected 1 <= int <= 9'


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (PositiveInt, "int > 0"),
        (Annotated[PositiveInt | None, Field(ge=2)], "int >= 2 or null"),
        (Annotated[float | None, Field(gt=0, lt=1, description="x")], "0 < number < 1 or null"),
        (Annotated[int, Field(le=4_000_000)], "int <= 4000000"),
        (Annotated[str, Field(pattern="^a$")], "text matching ^a$"),
        (Literal["a", "b", 3, None, True], '"a", "b", 3, null or true'),
        (tuple[PositiveInt, ...], "list of int > 0"),
        (list[int | str], "list of (int or text)"),
        (tuple[Annotated[float, Field(ge=0, lt=1)], bool], "[0 <= number < 1, true or false]"),
        (dict[str, float | None], "mapping of (number or null)"),
        (Range, "{min: int, max: int}"),
        (Annotated[Component, Slot("blade")] | None, "blade {type: NAME, ...} or null"),
        (Annotated[dict[str, Component], Slot("blade", named=True)], "{NAME: blade, ...}"),
        (Any, "anything"),
    ],
)
def test_types_in_words(annotation: Any, words: str) -> None:
    assert describe_type(annotation) == words
