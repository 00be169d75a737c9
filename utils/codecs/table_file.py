"""A file of JPEG quantization tables that were found in the world: JSON, written by `powerqe data collect-jpeg-tables`.

    {"tables": [{"count": 12, "luma": [64 steps], "chroma": [64 steps]}, ...]}

The most frequent come first. Steps are in natural order, 1 to 255; a gray file's tables have no chroma.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, PositiveInt, ValidationError

from powerqe.utils.errors import UserError
from powerqe.utils.files import write_text
from powerqe.utils.options.components import Section, explain

Steps = Annotated[list[Annotated[int, Field(ge=1, le=255)]], Field(min_length=64, max_length=64)]


class _Tables(Section):
    count: PositiveInt = 1
    luma: Steps
    chroma: Steps | None = None

    def array(self) -> np.ndarray:
        return np.array([self.luma, self.chroma or self.luma], np.float32).reshape(2, 8, 8)


class _File(Section):
    tables: Annotated[list[_Tables], Field(min_length=1)]


def read_table_file(path: str | os.PathLike[str]) -> list[np.ndarray]:
    """The tables of a file, each float32 (2, 8, 8), luma and chroma in natural order; of a gray file luma twice.

    Raises:
        UserError: no such file, or one of another kind.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UserError(
            f"cannot read the tables {path}: {error.strerror}; see `powerqe data collect-jpeg-tables`"
        ) from None
    except ValueError:
        raise UserError(f"{path}: no JSON file; `powerqe data collect-jpeg-tables` makes files of tables") from None
    try:
        return [tables.array() for tables in _File.model_validate(content).tables]
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error)}; `powerqe data collect-jpeg-tables` makes files of tables") from None


def write_table_file(path: str | os.PathLike[str], counts: Mapping[bytes, int]) -> None:
    """Write tables with their counts.

    Args:
        path: the file; an older one is replaced.
        counts: 64 steps of luma, or 128 of luma and chroma, as bytes in natural order -> how many files have them.
    """
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    lines = ",\n".join(json.dumps(_entry(steps, count)) for steps, count in ordered)
    write_text(path, f'{{"tables": [\n{lines}\n]}}\n')


def _entry(steps: bytes, count: int) -> dict[str, Any]:
    parts = {"luma": list(steps[:64]), "chroma": list(steps[64:])}
    return {"count": count} | {name: part for name, part in parts.items() if part}
