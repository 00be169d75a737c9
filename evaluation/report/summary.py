"""The tables of a report, as data, in Markdown and in LaTeX: methods x qualities, the best marked."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from powerqe.evaluation.report.reader import Comparison, ImageTest, speed
from powerqe.evaluation.results import Metric
from powerqe.utils.text_table import NOT_AVAILABLE, Grid, digits_of, markdown, number, tex

COMPRESSED = "compressed"
UNTESTED = "–"

Mark = Literal["", "best", "second"]


class Cell(NamedTuple):
    """A value as text, its difference from the compressed images, and its rank."""

    value: str
    delta: str = ""
    mark: Mark = ""


class Block(NamedTuple):
    """The table of one set and metric.

    count: images. rows: name and a cell for each quality; the first row is that of the compressed images.
    """

    set: str
    metric: Metric
    count: int
    groups: list[str]
    rows: list[tuple[str, list[Cell]]]

    @property
    def title(self) -> str:
        """Metric and set."""
        return f"{self.metric.title} on {self.set}"

    @property
    def titles(self) -> list[str]:
        """Titles of the columns."""
        return [group or "all" for group in self.groups]

    @property
    def is_ranked(self) -> bool:
        """Whether any value is marked."""
        return any(cell.mark for _, cells in self.rows for cell in cells)

    @property
    def caption(self) -> str:
        """Convention of the metric, number of images, and direction."""
        arrow = {True: "higher is better", False: "lower is better", None: "direction unknown, not ranked"}
        return (
            f"{self.metric.convention}; mean over {self.count} image{'s' * (self.count != 1)}, difference from the "
            f"compressed images; {arrow[self.metric.higher_is_better]}"
        )


def blocks(comparison: Comparison) -> Iterator[Block]:
    """A table for each set and metric that has values there."""
    for name in comparison.sets:
        for metric in comparison.metrics:
            groups = [group for group in comparison.groups(name)
                      if any(_has(test, metric) for test in comparison.at(name, group))]  # fmt: skip
            if groups:
                yield _block(comparison, name, metric, groups)


def _has(test: ImageTest, metric: Metric) -> bool:
    return not all(math.isnan(part.get(metric.name, math.nan)) for part in (test.average.baseline, test.average.result))


def _block(comparison: Comparison, name: str, metric: Metric, groups: list[str]) -> Block:
    digits = digits_of(metric.unit)
    columns = [comparison.at(name, group) for group in groups]
    scores = ([test.average.baseline.get(metric.name, math.nan) for test in column] for column in columns)
    before = [next((score for score in column if not math.isnan(score)), math.nan) for column in scores]
    rows: list[tuple[str, list[Cell]]] = [(COMPRESSED, [Cell(number(value, digits)) for value in before])]
    methods = [method for method in comparison.methods if comparison.of(method, name)]
    cells: dict[str, list[Cell]] = {method: [] for method in methods}
    for column in columns:
        found = {test.method: test for test in column}
        values = [
            number(found[method].average.result.get(metric.name, math.nan), digits) if method in found else UNTESTED
            for method in methods
        ]
        for method, value, mark in zip(methods, values, marks(values, metric.higher_is_better), strict=True):
            gain = found[method].average.gain(metric.name) if method in found else math.nan
            delta = "" if math.isnan(gain) else number(gain, digits, sign=True)
            cells[method].append(Cell(value, delta, mark))
    count = max(len(test.items) for column in columns for test in column)
    return Block(name, metric, count, groups, rows + list(cells.items()))


def marks(values: Sequence[str], higher_is_better: bool | None) -> list[Mark]:
    """Ranks of the values of a column as printed: equal values share a rank, a single value has none.

    Args:
        values: numbers as text; other texts have no rank.
    """
    numbers = [_number(value) for value in values]
    known = [value for value in numbers if not math.isnan(value)]
    if higher_is_better is None or len(known) < 2:
        return [""] * len(values)
    ranks: dict[float, Mark] = dict(zip(sorted(set(known), reverse=higher_is_better), ("best", "second"), strict=False))
    return [ranks.get(value, "") for value in numbers]


def _number(text: str) -> float:
    return math.nan if text in (UNTESTED, NOT_AVAILABLE) else float(text)


def facts(comparison: Comparison) -> Grid:
    """Network, parameters, speed and device of each method; the first row is the header."""
    rows = [["method", "network", "parameters", "Mpx/s", "images/s", "device"]]
    for method in comparison.methods:
        tests = comparison.of(method)
        results = [test.results for test in tests]
        sizes = sorted({each.parameters for each in results})
        rate = speed(tests)
        rows.append(
            [
                method,
                " / ".join(dict.fromkeys(each.method for each in results)),
                " – ".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1]))),
                number(rate.megapixels, 3),
                number(rate.images, 2),
                " / ".join(dict.fromkeys(each.machine for each in results)),
            ]
        )
    return rows


FACTS_CAPTION = "Speed: megapixels (and images) of the compressed input per second, network only."


def to_markdown(comparison: Comparison, notes: Sequence[str]) -> str:
    """All tables, then the notes."""
    parts = [f"## Methods\n\n{_md_table(facts(comparison), 2)}\n{FACTS_CAPTION}\n"]
    for block in blocks(comparison):
        rows = [["method", *block.titles]]
        rank = " Best in bold, second best underlined." if block.is_ranked else ""
        rows += [[name, *map(_md_cell, cells)] for name, cells in block.rows]
        parts.append(f"## {_md(block.title)}\n\n{_md_table(rows, 1)}\n{_md(block.caption)}.{rank}\n")
    return "\n".join(parts) + "".join(f"\n- {_md(note)}" for note in notes) + ("\n" if notes else "")


def to_latex(comparison: Comparison, notes: Sequence[str]) -> str:
    """All tables in the style of booktabs, then the notes as comments."""
    parts = ["% needs \\usepackage{booktabs}\n"]
    parts.append(_tex_table([list(map(tex, row)) for row in facts(comparison)], "llrrrl", FACTS_CAPTION, "methods"))
    for block in blocks(comparison):
        rows = [["method", *map(tex, block.titles)]]
        rank = r" Best in \textbf{bold}, second best \underline{underlined}." if block.is_ranked else ""
        rows += [[tex(name), *map(_tex_cell, cells)] for name, cells in block.rows]
        caption = f"{tex(block.title)} ({tex(block.caption)}).{rank}"
        parts.append(_tex_table(rows, "l" + "r" * len(block.groups), caption, f"{block.set}-{block.metric.name}", 1))
    return "\n".join(parts) + "".join(f"% {' '.join(note.split())}\n" for note in notes)


def grid_to_latex(title: str, grid: Grid) -> str:
    """A table of texts, such as those of videos."""
    return _tex_table([list(map(tex, row)) for row in grid], "l" + "r" * (len(grid[0]) - 1), tex(title), title)


def _md(text: str) -> str:
    return re.sub(r"([\\|<>*_`])", r"\\\1", text)


def _md_table(rows: Grid, texts: int) -> str:
    first, *rest = rows
    return markdown([first, *([_md(row[0]), *row[1:]] for row in rest)], texts)


def _md_cell(cell: Cell) -> str:
    value = {"best": f"**{cell.value}**", "second": f"<ins>{cell.value}</ins>"}.get(cell.mark, cell.value)
    return f"{value} ({cell.delta})" if cell.delta else value


def _tex_cell(cell: Cell) -> str:
    command = {"best": r"\textbf", "second": r"\underline"}.get(cell.mark)
    value = f"{command}{{{cell.value}}}" if command else cell.value.replace(UNTESTED, "--")
    return rf"{value} {{\scriptsize ({cell.delta})}}" if cell.delta else value


def _tex_table(rows: Grid, columns: str, caption: str, label: str, before_rule: int = 0) -> str:
    """Rows of LaTeX; after the header, and the `before_rule` rows behind it, comes a rule."""
    lines = [" & ".join(row) + r" \\" for row in rows]
    lines.insert(1, r"\midrule")
    if before_rule:
        lines.insert(2 + before_rule, r"\midrule")
    label = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )
