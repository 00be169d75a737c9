"""Types in plain words, for messages to the user and for the option reference."""

import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_NAMES = {
    int: "int",
    float: "number",
    bool: "true or false",
    str: "text",
    type(None): "null",
    Any: "anything",
    list: "list",
    tuple: "list",
    dict: "mapping",
}
_LISTS = (list, tuple)


class Limits(NamedTuple):
    """Bounds of a number or a length, and a pattern of a text, from pydantic's metadata."""

    low: str = ""
    high: str = ""
    pattern: str = ""

    def of(self, name: str) -> str:
        """`1 <= int <= 100`, `int > 0`."""
        if self.low and self.high:
            flipped = self.low.replace(">", "<").split(" ")
            return f"{flipped[1]} {flipped[0]} {name} {self.high}"
        return " ".join(part for part in (name, self.low or self.high, self.pattern) if part)


def describe_type(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    """A type as its values are written in an option file: `int > 0`, `"a" or "b"`, `list of int`, `null`.

    Args:
        annotation: any type that an option can have.
        metadata: constraints and markers that stand next to it, as in `typing.Annotated`. A marker with a
            text `words` (see utils/options/components.py) is the whole description.
    """
    markers = [mark.words for mark in metadata if isinstance(getattr(mark, "words", None), str)]
    if markers:
        return markers[-1]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return describe_type(arguments[0], (*arguments[1:], *metadata))
    if origin in (Union, types.UnionType):
        return alternatives([describe_type(argument, metadata) for argument in arguments])
    if origin is Literal:
        return alternatives([literal(value) for value in arguments])
    if origin in _LISTS:
        return _describe_list(origin, arguments)
    if origin is not None and issubclass(origin, Mapping):
        return f"mapping of {_grouped(describe_type(arguments[1]))}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return describe_model(annotation)
    name = _NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)))
    return _limits(metadata).of(name) if annotation in (int, float, str) else name


def choices(annotation: Any) -> list[Any]:
    """The alternatives of a type besides null: [int, str] for `int | str | None`, [int] for `int`."""
    if get_origin(annotation) is Annotated:
        return choices(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [part for part in get_args(annotation) if part is not type(None)]
    return [annotation]


def describe_field(field: FieldInfo) -> str:
    """The type of a field of a pydantic model."""
    return describe_type(field.annotation, tuple(field.metadata))


def describe_model(model: type[BaseModel]) -> str:
    """A mapping with known keys: `{min: int, max: int}`."""
    return "{" + ", ".join(f"{name}: {describe_field(field)}" for name, field in model.model_fields.items()) + "}"


def alternatives(words: list[str]) -> str:
    """`a, b or c`."""
    unique = list(dict.fromkeys(words))
    return " or ".join([", ".join(unique[:-1]), unique[-1]] if len(unique) > 1 else unique)


def literal(value: Any) -> str:
    """A value as YAML has it, texts in quotes: `"bf16"`, `true`, `null`."""
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "null"}[value]
    return f'"{value}"' if isinstance(value, str) else str(value)


def _describe_list(origin: Any, arguments: tuple[Any, ...]) -> str:
    if origin is tuple and arguments[-1] is not ...:
        return "[" + ", ".join(describe_type(argument) for argument in arguments) + "]"
    return f"list of {_grouped(describe_type(arguments[0]))}"


def _grouped(words: str) -> str:
    return f"({words})" if " or " in words else words


def _limits(metadata: tuple[Any, ...]) -> Limits:
    """The strictest bounds; a description is none."""
    flat = [part for mark in metadata for part in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]
    low: tuple[float, bool] | None = None
    high: tuple[float, bool] | None = None
    pattern = ""
    for mark in flat:
        if isinstance(mark, (annotated_types.Gt, annotated_types.Ge)):
            bound: Any = (mark.gt, True) if isinstance(mark, annotated_types.Gt) else (mark.ge, False)
            low = max(low or bound, bound)
        elif isinstance(mark, (annotated_types.Lt, annotated_types.Le)):
            bound = (mark.lt, False) if isinstance(mark, annotated_types.Lt) else (mark.le, True)
            high = min(high or bound, bound)
        elif getattr(mark, "pattern", None):
            pattern = f"matching {mark.pattern}"
    return Limits(
        f">{'' if low[1] else '='} {low[0]}" if low else "",
        f"<{'=' if high[1] else ''} {high[0]}" if high else "",
        pattern,
    )
