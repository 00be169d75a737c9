"""Tables for the terminal and in Markdown, and numbers in their cells."""

import math

NOT_AVAILABLE = "n/a"


def aligned(grid: list[list[str]], texts: int) -> list[str]:
    """Lines for the terminal: the header, a rule and the rows; the first `texts` columns begin at the left."""
    widths = [max(len(row[column]) for row in grid) for column in range(len(grid[0]))]

    def cell(text: str, column: int) -> str:
        return text.ljust(widths[column]) if column < texts else text.rjust(widths[column])

    lines = ["  ".join(cell(text, column) for column, text in enumerate(row)) for row in grid]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def markdown(grid: list[list[str]], texts: int) -> str:
    """A table in Markdown; the first row is the header, numbers begin after `texts` columns."""
    rule = ["---" if column < texts else "---:" for column in range(len(grid[0]))]
    return "".join(f"| {' | '.join(row)} |\n" for row in (grid[0], rule, *grid[1:]))


def digits_of(unit: str) -> int:
    """Behind the point, of a metric with this unit."""
    return 3 if unit == "dB" else 4


def number(value: float, digits: int, *, sign: bool = False) -> str:
    """As it stands in a cell."""
    return NOT_AVAILABLE if math.isnan(value) else f"{value:{'+' if sign else ''}.{digits}f}"
