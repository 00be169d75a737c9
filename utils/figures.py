"""Drawings whose texts are names of files: shown as they are, whatever they contain."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from powerqe.utils.file_names import printable
from powerqe.utils.files import atomic_path


@contextmanager
def plain_texts() -> Iterator[None]:
    """Take no text for mathematics: `cash$$` is a name. Characters that the font lacks are boxes, without a warning."""
    import matplotlib

    warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from")
    with matplotlib.rc_context({"text.parse_math": False}):
        yield


def save_figure(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure of matplotlib as PNG, whole or not at all. Its texts are made within `plain_texts`."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def drawable(text: str, longest: int | None = None) -> str:
    """A text in one line, with what no font can draw replaced, cut in the middle to a number of characters."""
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in printable(text))
    if longest is None or len(text) <= longest:
        return text
    return f"{text[: longest * 2 // 3]}…{text[len(text) - longest // 3 + 1 :]}"
