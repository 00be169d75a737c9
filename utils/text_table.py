"""Tables for the terminal, in Markdown, CSV and LaTeX, and numbers in their cells."""

import csv
import io
import math
import re
from collections.abc import Sequence

NOT_AVAILABLE = "n/a"


_TEX = {letter: f"\\{letter}" for letter in "_%&#${}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "−": "$-$",
}

Grid = list[list[str]]
"""Rows of cells; the first row is the header."""


def aligned(grid: Grid, texts: int) -> list[str]:
    """Lines for the terminal: the header, a rule and the rows; the first `texts` columns begin at the left."""
    lines = ["  ".join(row) for row in _padded(grid, texts)]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def markdown(grid: Grid, texts: int, *, padded: bool = False) -> str:
    """A table in Markdown.

    Args:
        texts: columns before those of numbers.
        padded: cells of a column are of one width, for who reads the text itself.
    """
    rule = ["---" if column < texts else "---:" for column in range(len(grid[0]))]
    rows = [grid[0], rule, *grid[1:]]
    return "".join(f"{markdown_row(row)}\n" for row in (_padded(rows, texts) if padded else rows))


def markdown_row(cells: Sequence[str]) -> str:
    """A line of a table in Markdown; a | inside a cell is escaped."""
    return "| " + " | ".join(re.sub(r"(?<!\\)\|", r"\\|", cell) for cell in cells) + " |"


def csv_text(rows: Sequence[Sequence[str]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def tex(text: str) -> str:
    """Text as LaTeX takes it."""
    return "".join(_TEX.get(letter, letter) for letter in text)


def tex_row(cells: Sequence[str]) -> str:
    """A line of a table in LaTeX."""
    return " & ".join(map(tex, cells)) + r" \\"


def _padded(grid: Grid, texts: int) -> Grid:
    widths = [max(len(row[column]) for row in grid) for column in range(len(grid[0]))]
    return [
        [cell.ljust(width) if column < texts else cell.rjust(width)
         for column, (cell, width) in enumerate(zip(row, widths, strict=True))]
        for row in grid
    ]  # fmt: skip


def digits_of(unit: str) -> int:
    """Behind the point, of a metric with this unit."""
    return 3 if unit == "dB" else 4


def number(value: float, digits: int, *, sign: bool = False) -> str:
    """As it stands in a cell."""
    return NOT_AVAILABLE if math.isnan(value) else f"{value:{'+' if sign else ''}.{digits}f}"
