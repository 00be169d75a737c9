"""Typed sections of options, and components: registry entries with arguments checked by their signature.

A component is written `{type: NAME, **arguments}`. Its pydantic model is made from the signature of the
constructor that is registered under that name, so an option file is checked, with the key path in
the message, before anything is built.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from powerqe.utils.errors import UserError
from powerqe.utils.options.registry import REGISTRIES, nearest
from powerqe.utils.options.type_descriptions import choices, describe_field

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_LONGEST = 200  # characters of a value in a message


def mistake(message: str) -> PydanticCustomError:
    """The error a validator raises, with our own words."""
    return PydanticCustomError("mistake", "{message}", {"message": message})  # braces in it are text


def _relocated(name: str, detail: Any) -> Any:
    return {"type": mistake(_reason(detail)), "loc": (name, *detail["loc"]), "input": detail["input"]}


def _leaves(annotation: Any) -> Iterator[Any]:
    """The plain types inside an annotation: int and None in `tuple[int, ...] | None`."""
    if arguments := get_args(annotation):
        for argument in arguments:
            yield from _leaves(argument)
    else:
        yield type(annotation) if isinstance(annotation, (str, bool, int)) else annotation


def _is_numeric(annotation: Any) -> bool:
    kinds = set(_leaves(annotation))
    return bool(kinds & {int, float}) and not kinds & {str, bool}


@cache
def _numeric_fields(model: type[BaseModel]) -> set[str]:
    return {name for name, field in model.model_fields.items() if _is_numeric(field.annotation)}


def _has_keys(field: FieldInfo) -> bool:
    models = [leaf for leaf in _leaves(field.annotation) if isinstance(leaf, type) and issubclass(leaf, BaseModel)]
    return bool(models) or any(isinstance(mark, Slot) for mark in field.metadata)


def _cast(value: Any) -> Any:
    """Read 4e+6 and 1e-4, which PyYAML leaves as strings, alone or in a list."""
    if isinstance(value, (list, tuple)):
        return [_cast(item) for item in value]
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def _has_bool(value: Any) -> bool:
    return any(map(_has_bool, value)) if isinstance(value, (list, tuple)) else isinstance(value, bool)


def shown(value: Any) -> str:
    """A value as it could stand in an option file, in one line."""
    return json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)


def found(value: Any) -> str:
    """`found VALUE` for messages; of a long value the beginning."""
    text = shown(value)
    return f"found {text if len(text) <= _LONGEST else f'{text[:_LONGEST]}...'}"


def explain(error: ValidationError) -> str:
    """All mistakes in one line: `key.path: what is wrong`."""
    lines = []
    for detail in error.errors(include_url=False):
        path = ".".join(str(part) for part in detail["loc"])
        lines.append(f"{path}: {_reason(detail)}" if path else _reason(detail))
    return "; ".join(dict.fromkeys(lines))


def _reason(detail: Any) -> str:
    if detail["type"] == "mistake":
        return detail["msg"]
    if detail["type"] == "missing":
        return "missing; it has no default"
    return f"{found(detail['input'])}: {detail['msg']}"


class Section(BaseModel):
    """Base of every part of the options: frozen, no unknown keys, numbers cast by the declared type."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), validate_default=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        allowed = ", ".join(cls.model_fields)
        if not isinstance(data, Mapping):
            raise mistake(f"{found(data)}, expected a mapping with the keys {allowed}")
        for key in data:
            if key not in cls.model_fields:
                raise mistake(f"unknown key {key!r}{nearest(key, cls.model_fields)}; allowed: {allowed}")
        return data

    @field_validator("*", mode="wrap")
    @classmethod
    def _by_declared_type(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """Cast numbers, reject true and false as numbers, and describe a wrong type in plain words."""
        field = cls.model_fields[info.field_name or ""]
        numeric = info.field_name in _numeric_fields(cls)
        if not (numeric and _has_bool(value)):
            try:
                return handler(_cast(value) if numeric else value)
            except ValidationError as error:
                own_words = any(detail["type"] == "mistake" for detail in error.errors(include_url=False))
                if len(choices(field.annotation)) == 1 and (own_words or _has_keys(field)):
                    raise
        raise mistake(f"{found(value)}, expected {describe_field(field)}")


class Component(Section):
    """One registry entry with its arguments. Sub-classes add keys that are not the constructor's."""

    type: str

    @property
    def arguments(self) -> dict[str, Any]:
        """The constructor's keyword arguments."""
        own = {name for base in type(self).__mro__[1:] for name in getattr(base, "model_fields", {})}
        return {name: getattr(self, name) for name in type(self).model_fields if name not in own}


def validate_component(kind: str, spec: Any, base: type[Component] = Component) -> Any:
    """Check `{type: NAME, **arguments}` against the registry of `kind`.

    Raises:
        UserError: not a mapping, no or unknown type, or arguments that the constructor does not take.
    """
    try:
        return _component(kind, base, spec)
    except ValidationError as error:
        raise UserError(f"{kind} {spec!r}: {explain(error)}") from None


def validate_components(kind: str, specs: Any, base: type[Component] = Component) -> dict[str, Any]:
    """Check named components `{NAME: {...}}` as `Slot` does; see `validate_component`."""
    try:
        return Slot(kind, base, named=True).validate(specs)
    except ValidationError as error:
        raise UserError(f"{kind} {specs!r}: {explain(error)}") from None


def build(component: Component, *runtime: Any) -> Any:
    """Call the constructor of a validated component: `runtime` objects first, then its arguments."""
    return entry_of(component)(*runtime, **component.arguments)


def entry_of(component: Component) -> Callable[..., Any]:
    """The class or function that a validated component names."""
    return REGISTRIES[_kind(component)][component.type]


def create(kind: str, spec: Any, *runtime: Any) -> Any:
    """Build a component that is validated already or still as it is written, `{type: NAME, **arguments}`.

    Constructors take their own components through it, so that their defaults, and mappings from Python, do as well
    as the contents of an option file.

    Raises:
        UserError: see `validate_component`.
    """
    return build(validate_component(kind, spec), *runtime)


def _kind(component: Component) -> str:
    return type(component).__name__.partition(":")[0]


def _component(kind: str, base: type[Component], spec: Any) -> Component:
    if isinstance(spec, base):
        return spec
    if not isinstance(spec, Mapping) or not isinstance(spec.get("type"), str):
        names = ", ".join(REGISTRIES[kind].names())
        raise _error(f"{found(spec)}, expected {{type: NAME, ...}} with a NAME of: {names}")
    try:
        return _component_model(kind, base, spec["type"]).model_validate(dict(spec))
    except UserError as error:
        raise _error(str(error)) from None


@cache
def _component_model(kind: str, base: type[Component], name: str) -> type[Component]:
    fields: dict[str, Any] = REGISTRIES[kind].signature(name)
    return create_model(f"{kind}:{name}", __base__=base, **fields)


def _error(message: str) -> ValidationError:
    return ValidationError.from_exception_data("options", [{"type": mistake(message), "loc": (), "input": None}])


@dataclass(frozen=True)
class Slot:
    """Marks a type as what an option file fills with components of a registry.

    `Annotated[Component, Slot("codec")]` is one component; `Annotated[dict[str, LossOptions], Slot("loss",
    LossOptions, named=True)]` is a mapping of named ones. There the name is the type unless `type:` gives
    otherwise, so that one type can stand twice, and `NAME: null` removes what the defaults brought in.
    """

    kind: str
    base: type[Component] = Component
    named: bool = False

    @property
    def words(self) -> str:
        """The type in plain words (utils/options/type_descriptions.py)."""
        return f"{{NAME: {self.kind}, ...}}" if self.named else f"{self.kind} {{type: NAME, ...}}"

    def validate(self, spec: Any) -> Any:
        """The component, or the components by name."""
        return self._named(spec) if self.named else _component(self.kind, self.base, spec)

    def _named(self, specs: Any) -> dict[str, Component]:
        if not isinstance(specs, Mapping):
            raise _error(f"{found(specs)}, expected a mapping NAME: {{...}}")
        components, problems = {}, []
        for name, spec in specs.items():
            if not isinstance(name, str):
                raise _error(f"{found(name)} as a name, expected text; put it in quotes")
            if spec is None:
                continue
            spec = {"type": name, **spec} if isinstance(spec, Mapping) else spec
            try:
                components[name] = _component(self.kind, self.base, spec)
            except ValidationError as error:
                problems += [_relocated(name, detail) for detail in error.errors(include_url=False)]
        if problems:
            raise ValidationError.from_exception_data("options", problems)
        return components

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The slot itself, for algorithm/option_schema.py: components may hold others of their own kind."""
        return {"slot": self}

    def model(self, name: str) -> type[Component]:
        """What the component `name` is in this slot; raises `UserError` if there is none."""
        return _component_model(self.kind, self.base, name)
