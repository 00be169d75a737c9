"""The table as text for the terminal, as Markdown and as JSON."""

import json
import math
import platform
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import torch

from powerqe.net.table.rows import MOTION, WHOLE, Conditions, NetworkRow
from powerqe.utils.machine import device_name
from powerqe.utils.text_table import aligned, markdown

_NONE = "-"


class _Column(NamedTuple):
    title: str
    cell: Callable[[NetworkRow], str]
    key: Callable[[NetworkRow], Any]
    """The key by which rows are sorted; None: last."""
    legend: str = ""


def _number(value: float | None, form: str = ",.0f") -> str:
    return _NONE if value is None else format(value, form)


def _field(row: NetworkRow) -> str:
    if not row.sight:
        return _number(row.field)
    return row.sight if row.field is None else f"{row.sight} ({row.field})"


def _field_key(row: NetworkRow) -> float | None:
    return math.inf if row.sight in (WHOLE, MOTION) else row.field


_TEXTS = 3
COLUMNS = {
    "network": _Column("network", lambda row: row.network, lambda row: row.network.lower()),
    "configuration": _Column("configuration", lambda row: row.configuration, lambda row: row.configuration),
    "image": _Column("image", lambda row: row.image or _NONE, lambda row: row.image),
    "parameters": _Column("parameters", lambda row: _number(row.parameters), lambda row: row.parameters),
    "macs": _Column(
        "kMACs/pixel",
        lambda row: _number(row.kmacs, ",.1f"),
        lambda row: row.kmacs,
        "thousand multiply-accumulates of convolutions, matrix products and patch distances per pixel of the input "
        "image (before super-resolution), or of the enhanced frame of a clip",
    ),
    "field": _Column(
        "field",
        _field,
        _field_key,
        "receptive field: width in pixels of the region that an output pixel can depend on. whole: the whole image, by "
        "global averages or non-local patches; in brackets: without these. motion: unbounded, follows the motion",
    ),
    "ms": _Column(
        "ms",
        lambda row: _number(row.milliseconds, ",.1f" if (row.milliseconds or 0) < 1000 else ",.0f"),
        lambda row: row.milliseconds,
        "milliseconds per image, or per enhanced frame of a clip: the median of the runs in one second, after a "
        "warm-up",
    ),
    "memory": _Column(
        "MiB",
        lambda row: _number(None if row.memory is None else row.memory / 2**20, ",.1f"),
        lambda row: row.memory,
        "peak memory of the feature maps, without parameters and input and, on a CPU, without temporary memory of "
        "libraries",
    ),
}
"""The columns by the name for --sort."""


def ordered(rows: Sequence[NetworkRow], column: str) -> list[NetworkRow]:
    """Rows in ascending order of a column, unknown values last."""

    def key(row: NetworkRow) -> tuple[bool, Any]:
        value = COLUMNS[column].key(row)
        return value is None, 0 if value is None else value

    return sorted(rows, key=key)


def facts(conditions: Conditions) -> dict[str, Any]:
    """The conditions of the measurement."""
    return {
        "size": f"{conditions.width}x{conditions.height}",
        "type": "float32",
        "device": conditions.device.type,
        "machine": device_name(conditions.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def to_text(rows: Sequence[NetworkRow], conditions: Conditions, missing: Sequence[str]) -> str:
    """For the terminal: aligned columns and a legend."""
    lines = [_head(conditions), "", *aligned(_grid(rows, conditions), _TEXTS), ""]
    lines += [_indented(column) for column in _shown(conditions) if column.legend]
    notes = _notes(rows, missing)
    return "\n".join([*lines, *([""] if notes else []), *notes])


def to_markdown(rows: Sequence[NetworkRow], conditions: Conditions, missing: Sequence[str], command: str) -> str:
    """A page: conditions, table and legend."""
    parts = [
        "# Complexity of the networks",
        "Parameters, operations, receptive field, time and memory of each network.",
        f"{_head(conditions)}. Created by `{command}`.",
        markdown(_grid(rows, conditions), _TEXTS).rstrip(),
        "\n".join(f"- **{column.title}**: {column.legend}" for column in _shown(conditions) if column.legend),
        *_notes(rows, missing),
    ]
    return "\n\n".join(parts) + "\n"


def to_json(rows: Sequence[NetworkRow], conditions: Conditions) -> str:
    """All values: bytes, pixels, milliseconds, thousands of MACs per pixel."""
    return json.dumps({"measured": facts(conditions), "networks": [asdict(row) for row in rows]}, indent=1) + "\n"


def _indented(column: _Column) -> str:
    before = f"{column.title:<13}"
    return textwrap.fill(column.legend, 110, initial_indent=before, subsequent_indent=" " * len(before))


def _shown(conditions: Conditions) -> list[_Column]:
    return [column for name, column in COLUMNS.items() if name != "ms" or conditions.timing]


def _grid(rows: Sequence[NetworkRow], conditions: Conditions) -> list[list[str]]:
    columns = _shown(conditions)
    return [[column.title for column in columns], *([column.cell(row) for column in columns] for row in rows)]


def _head(conditions: Conditions) -> str:
    known = facts(conditions)
    threads = f", {known['threads']} thread{'s' * (known['threads'] != 1)}" * (known["device"] == "cpu")
    where = f", {known['machine']}{threads}" if conditions.timing else ""  # other values do not depend on the machine
    return f"Images of {known['size']}, {known['type']}{where}, PyTorch {known['torch']}"


def _notes(rows: Sequence[NetworkRow], missing: Sequence[str]) -> list[str]:
    """Reasons for missing values and missing networks."""
    notes = [f"{row.network} ({row.configuration}): {row.problem}" for row in rows if row.problem]
    notes += [f"{name} has required arguments: give them as '{{type: {name}, ...}}'" for name in missing]
    return notes
