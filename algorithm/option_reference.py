"""The option reference in Markdown, generated from the option models and the registries."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import powerqe.dataset
import powerqe.net
import powerqe.utils.codecs
import powerqe.utils.metrics  # noqa: F401
from powerqe.utils.files import write_between
from powerqe.utils.options.components import Component, Slot, shown
from powerqe.utils.options.registry import REGISTRIES
from powerqe.utils.options.tree import Options
from powerqe.utils.options.type_descriptions import describe_field, describe_type
from powerqe.utils.text_table import markdown

START, END = "<!-- options -->", "<!-- /options -->"
REQUIRED = "required"

TITLES = {
    "network": "Networks",
    "dataset": "Data sets",
    "algorithm": "Algorithms",
    "loss": "Losses",
    "optimizer": "Optimizers",
    "scheduler": "Learning rate schedules",
    "metric": "Metrics",
    "protocol": "Test protocols",
    "window": "Windows of video frames",
    "degradation": "Degradations",
    "codec": "Codecs",
}

# Meanings of arguments that the docstring of a constructor does not describe.
GLOSSARY = {
    "in_channels": "channels of the input image: 3 for RGB, 1 for gray or luma",
    "out_channels": "channels of the output image",
    "num_features": "channels between the layers",
    "loss": "losses, summed with their weights",
    "optimizer": "optimizer of the network",
    "scheduler": "learning rate schedule",
    "lr": "learning rate, multiplied by the schedule",
    "betas": "decay rates of the running averages of the gradient and of its square",
    "eps": "small constant for numerical stability",
    "weight_decay": "weight decay",
    "momentum": "momentum",
    "momentum_decay": "decay rate of the momentum schedule",
    "dampening": "dampening of the momentum",
    "amsgrad": "use the maximum of past running averages of the squared gradient",
    "decoupled_weight_decay": "decay the weights directly, not through the gradient (as AdamW)",
    "centered": "normalize by the variance of the gradient instead of its mean square",
    "alpha": "RMSprop: decay rate of the average of the squared gradient; ASGD: exponent of the decay of the rate",
    "rho": "decay rate of the running averages of the squared gradient and of the squared step",
    "lambd": "decay of the learning rate",
    "t0": "step at which averaging of the weights starts",
    "etas": "factors of a step whose gradient has changed its sign, and of one whose gradient has not",
    "step_sizes": "smallest and largest step",
    "lr_decay": "decay of the learning rate",
    "initial_accumulator_value": "sum of the squared gradients at the start",
    "beta2_decay": "power of the iteration by which the average of the squared gradient forgets",
    "d": "largest root mean square of a step, before the rate",
    "nesterov": "Nesterov momentum",
    "warmup": "iterations of linear increase at the beginning",
    "period": "iterations of the (first) half cosine",
    "growth": "ratio of each period to the previous one",
    "floor": "smallest factor of the learning rate",
    "milestones": "iterations at which the learning rate is multiplied by gamma",
    "gamma": "factor of the learning rate at each milestone",
}


class OptionRow(NamedTuple):
    """One option."""

    key: str
    type: str
    default: str
    """Markdown: as YAML, `REQUIRED`, or nothing for a section."""
    meaning: str


def section_rows(model: type[BaseModel], prefix: str = "", *, nested: bool = True) -> Iterator[OptionRow]:
    """The options of a section, with full key paths.

    The arguments of a component depend on its type; only the keys that its slot adds are listed.

    Args:
        model: the section.
        prefix: its key path, with a trailing dot.
        nested: include nested sections.
    """
    for name, field in model.model_fields.items():
        if issubclass(model, Component) and name in Component.model_fields:
            continue
        key = f"{prefix}{name}"
        if _is_section(field.annotation):
            yield OptionRow(key, "section", "", field.description or "")
            yield from section_rows(_model(field.annotation), f"{key}.") if nested else ()
            continue
        if optional := [model for model in get_args(field.annotation) if _is_section(model)]:
            yield OptionRow(key, "section or null", _default(field), field.description or "")
            yield from section_rows(optional[0], f"{key}.") if nested else ()
            continue
        yield OptionRow(key, describe_field(field), _default(field), field.description or "")
        yield from _added_rows(key, field.annotation, *field.metadata)


def argument_rows(kind: str, name: str) -> Iterator[OptionRow]:
    """The constructor's arguments of a registry entry, described by its types or docstring."""
    documented = documented_arguments(inspect.getdoc(REGISTRIES[kind][name]) or "")
    for argument, (annotation, default) in REGISTRIES[kind].signature(name).items():
        meaning = _description(annotation) or documented.get(argument) or GLOSSARY.get(argument, "")
        yield OptionRow(
            argument, describe_type(annotation), REQUIRED if default is ... else f"`{shown(default)}`", meaning
        )
        yield from _added_rows(argument, annotation)


def documented_arguments(docstring: str) -> dict[str, str]:
    """The section `Args:` of a docstring: `a, b: text` -> {"a": "text", "b": "text"}."""
    found: dict[str, str] = {}
    _, _, block = docstring.partition("\nArgs:\n")
    for entry in re.split(r"\n {4}(?=\S)", "\n" + re.split(r"\n(?=\S)", block)[0]):
        names, colon, text = entry.partition(":")
        if colon:
            found |= {name.strip(): " ".join(text.split()).removesuffix(".") for name in names.split(",")}
    return found


def reference() -> str:
    """The whole reference."""
    parts = ["## Sections\n", *_heading_and_table("At the top", section_rows(Options, nested=False))]
    for name, field in Options.model_fields.items():
        if _is_section(field.annotation):
            parts += _heading_and_table(f"`{name}`", section_rows(_model(field.annotation), f"{name}."))
    for kind, title in TITLES.items():
        parts.append(f"## {title}\n")
        for name in REGISTRIES[kind].names():
            parts += _heading_and_table(f"`{name}`", argument_rows(kind, name), _first_line(kind, name))
    return "\n".join(parts)


def update(path: Path) -> None:
    """Replace the reference in a Markdown file; raises as `write_between`."""
    write_between(path, START, END, f"\n{reference()}")


def _heading_and_table(title: str, rows: Iterator[OptionRow], introduction: str = "") -> list[str]:
    listed = [[f"`{row.key}`", row.type, row.default, row.meaning] for row in rows]
    table = markdown([["key", "type", "default", "meaning"], *listed], 4) if listed else "No options.\n"
    return [f"### {title}\n", *([f"{introduction}\n"] if introduction else []), table]


def _first_line(kind: str, name: str) -> str:
    entry = REGISTRIES[kind][name]
    line = (inspect.getdoc(entry) or "").partition("\n")[0]
    return f"{line} (`{entry.__module__}`)"


def _added_rows(key: str, *annotations: Any) -> Iterator[OptionRow]:
    """The keys that a slot adds to its components."""
    for annotation in annotations:
        if isinstance(annotation, Slot):
            yield from section_rows(annotation.base, f"{key}.NAME." if annotation.named else f"{key}.")
        yield from _added_rows(key, *get_args(annotation))


def _default(field: FieldInfo) -> str:
    if isinstance(field.json_schema_extra, dict) and "default" in field.json_schema_extra:
        return f"`{field.json_schema_extra['default']}`"
    default = field.get_default(call_default_factory=True, validated_data={})
    return REQUIRED if default is PydanticUndefined else f"`{shown(default)}`"


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel) and not issubclass(annotation, Component)


def _model(annotation: Any) -> type[BaseModel]:
    return annotation


def _description(annotation: Any) -> str:
    if get_origin(annotation) is not Annotated:
        return ""
    return next((mark.description for mark in annotation.__metadata__ if getattr(mark, "description", None)), "")
