"""Result tables: one row per image and the means per set and quality; terminal, CSV, JSON, Markdown, LaTeX."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from powerqe.evaluation.evaluate import Metrics, Record, mean
from powerqe.utils.files import atomic_path
from powerqe.utils.text_table import NOT_AVAILABLE, aligned, digits_of, markdown, number

SPEED = "images/s"
ENLARGED = "lq is judged after MATLAB's bicubic interpolation to the size of its ground truth, rounded to 8 bit"

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


@dataclass
class Table:
    """The outcome of a test.

    Args:
        title: name of the experiment.
        records: test set -> its images.
        metrics: what was computed, with its conventions.
        facts: what else results.json tells: network, weights, options, versions.
    """

    title: str
    records: dict[str, list[Record]]
    metrics: Metrics
    facts: dict[str, Any] = field(default_factory=dict)

    def header(self) -> list[str]:
        """Column titles; a metric's title names its unit and its convention."""
        titles = ["set", "quality", "image", "images"]
        for name in self.metrics.names:
            unit = f" [{unit}]" if (unit := self.metrics.unit(name)) else ""
            titles += [f"{name}{unit} ({self._convention(name)}) {part}" for part in ("lq", "enhanced", "difference")]
        return [*titles, *self._estimate_titles(), SPEED]

    def image_rows(self) -> list[list[str]]:
        """One row per image."""
        return [self._row(self._average(name, [record]), record.name)
                for name, records in self.records.items() for record in records]  # fmt: skip

    def mean_rows(self) -> list[list[str]]:
        """One row per set and quality; infinite scores (perfect images) are left out of the mean."""
        return [self._row(average, "mean") for average in self._averages]

    def notes(self) -> list[str]:
        """What a reader must know: metrics that are missing and why, scores left out of a mean, sets too small."""
        notes = self.metrics.missing()
        if any(record.scale > 1 for records in self.records.values() for record in records):
            notes.append(ENLARGED)
        for name in self.metrics.names:
            scores = [[record.baseline.get(name) for record in group] for _, group in self._groups()]
            scores += [[record.result.get(name) for record in group] for _, group in self._groups()]
            notes += self.metrics.remarks(name, scores)
        return notes

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "experiment": self.title,
            **plain(self.facts),
            "metrics": {
                name: {
                    "unit": self.metrics.unit(name),
                    "convention": self._convention(name),
                    "higher_is_better": self.metrics.higher_is_better(name),
                    "not_available": self.metrics.unavailable.get(name),
                }
                for name in self.metrics.names
            },
            "images": [
                plain(self._image(name, record)) for name, records in self.records.items() for record in records
            ],
            "averages": [
                plain({"set": each.set, "group": each.group, "baseline": each.before, "result": each.after})
                for each in self._averages
            ],
            "means": [dict(zip(self.header(), row, strict=True)) for row in self.mean_rows()],
            "notes": self.notes(),
        }

    def to_terminal(self) -> str:
        """The means as aligned columns, the convention of each metric below."""
        short = ["set", "quality", "images"]
        for name in self.metrics.names:
            short += [f"{name} lq", "enhanced", "diff"]
        rows = [row[:2] + row[3:] for row in self.mean_rows()]
        grid = [[*short, *self._estimate_titles(), SPEED], *rows]
        lines = aligned(grid, 2)
        legend = [
            f"{name}{f' [{unit}]' if (unit := self.metrics.unit(name)) else ''}: {self._convention(name)}"
            for name in self.metrics.names
        ]
        return "\n".join([f"{self.title}, mean over images", *lines, *legend, *self.notes()])

    def to_csv(self) -> str:
        """All rows, images first."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.header(), *self.image_rows(), *self.mean_rows()])
        return text.getvalue()

    def to_json(self) -> str:
        """`to_dict` as JSON; infinite values are the string "inf"."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    def to_markdown(self) -> str:
        """The means, then the images."""
        header = self.header()
        table = markdown([header, *self.mean_rows(), *self.image_rows()], 3)
        return f"# {self.title}\n\n{table}" + "".join(f"\n{note}\n" for note in self.notes())

    def to_latex(self) -> str:
        """The means as a booktabs table, the images as commented lines below it."""
        header = self.header()
        lines = [rf"\begin{{tabular}}{{lll{'r' * (len(header) - 3)}}}", r"\toprule", _tex(header), r"\midrule"]
        lines += [_tex(row) for row in self.mean_rows()] + [r"\bottomrule", r"\end{tabular}"]
        lines += [f"% {_tex(row)}" for row in self.image_rows()] + [f"% {note}" for note in self.notes()]
        return "\n".join(lines) + "\n"

    @cached_property
    def _averages(self) -> list["_Average"]:  # kept, because every format needs it and a metric of sets may take long
        return [self._average(name, group) for name, group in self._groups()]

    def _average(self, set_name: str, records: list[Record]) -> "_Average":
        before, after = (
            {name: self.metrics.pool(name, [part.get(name) for part in parts]) for name in self.metrics.names}
            for parts in ([record.baseline for record in records], [record.result for record in records])
        )
        return _Average(set_name, records, before, after)

    @cached_property
    def _estimates(self) -> dict[str, str]:
        """What the network estimates: name -> what it stands for in the sample."""
        records = [record for records in self.records.values() for record in records]
        return {name: each.of for record in records for name, each in record.estimates.items()}

    def _estimate_titles(self) -> list[str]:
        """Of two columns for each: the estimate, and how far it is off; their means in the rows of several images."""
        return [title for name, of in self._estimates.items() for title in (name, f"abs({name} - {of})")]

    def _groups(self) -> Iterator[tuple[str, list[Record]]]:
        """The images of one set and quality, with the name of the set."""
        for name, records in self.records.items():
            for group in dict.fromkeys(record.group for record in records):
                yield name, [record for record in records if record.group == group]

    def _image(self, set_name: str, record: Record) -> dict[str, Any]:
        """A record as data. What a metric of sets needs of an image is no score."""
        scores = {
            part: {name: self.metrics.pool(name, [score]) for name, score in getattr(record, part).items()}
            for part in ("baseline", "result")
        }
        estimates = {name: {"value": each.value, each.of: each.truth} for name, each in record.estimates.items()}
        return {"set": set_name, **vars(record), **scores, "estimates": estimates}

    def _convention(self, name: str) -> str:
        channels = dict.fromkeys(record.channels for records in self.records.values() for record in records)
        return " / ".join(self.metrics.convention(name, count) for count in channels)

    def _row(self, average: "_Average", label: str) -> list[str]:
        records = average.records
        row = [average.set, average.group or "-", label, str(len(records))]
        for name in self.metrics.names:
            before, after = average.before[name], average.after[name]
            digits = digits_of(self.metrics.unit(name))
            row += [number(before, digits), number(after, digits), number(after - before, digits, sign=True)]
        for name in self._estimates:
            found = [record.estimates[name] for record in records if name in record.estimates]
            errors = [abs(each.value - each.truth) for each in found]  # NaN without a truth, which a mean leaves out
            row += [number(mean([each.value for each in found]), 2), number(mean(errors), 2)]
        seconds = sum(record.seconds for record in records)
        return [*row, number(len(records) / seconds, 2) if seconds else NOT_AVAILABLE]


@dataclass
class _Average:
    """What several images of one set and quality have in common, or one image has.

    Args:
        before, after: name of a metric -> value.
    """

    set: str
    records: list[Record]
    before: dict[str, float]
    after: dict[str, float]

    @property
    def group(self) -> str:
        return self.records[0].group


def write_tables(table: Table, folder: Path) -> None:
    """Write results.csv, .json, .md and .tex, each whole or not at all."""
    writers = {"csv": table.to_csv, "json": table.to_json, "md": table.to_markdown, "tex": table.to_latex}
    for suffix, text in writers.items():
        with atomic_path(folder / f"results.{suffix}") as path:
            path.write_text(text(), encoding="utf-8")


def plain(value: Any) -> Any:
    """Data that JSON can hold: of numbers that are not finite, NaN is null and infinity is "inf"."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def floats(data: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by name out of what `plain` made of them."""
    return {key: math.nan if value is None else float(value) for key, value in data.items()}


def tex(text: str) -> str:
    """Text as LaTeX takes it."""
    return "".join(_TEX.get(letter, letter) for letter in text)


def _tex(row: list[str]) -> str:
    return " & ".join(map(tex, row)) + r" \\"
