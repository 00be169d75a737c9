"""The table of a test on images: a row for each image, and the means; terminal, CSV, JSON, Markdown, LaTeX."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from powerqe.evaluation import results
from powerqe.evaluation.evaluate import Metrics, Record, mean
from powerqe.evaluation.results import Average, Image, Results, metric_records, to_json
from powerqe.utils.file_names import printable
from powerqe.utils.files import write_text
from powerqe.utils.text_table import NOT_AVAILABLE, aligned, csv_text, digits_of, markdown, number, tex_row

SPEED = "images/s"
ENLARGED = "lq is evaluated after MATLAB's bicubic interpolation to the size of its ground truth, rounded to 8 bit"


@dataclass
class Table:
    """The outcome of a test.

    Args:
        title: name of the experiment.
        records: test set -> its images.
        metrics: what was computed, with its conventions.
        facts: what was tested, see evaluation/provenance.py.
    """

    title: str
    records: dict[str, list[Record]]
    metrics: Metrics
    facts: dict[str, Any]

    @cached_property
    def results(self) -> Results:
        """All results as data, computed once: a metric of sets may take long."""
        channels = (record.channels for records in self.records.values() for record in records)
        return Results(
            experiment=self.title,
            **self.facts,
            metrics=metric_records(self.metrics, channels),
            images=[self._image(name, record) for name, records in self.records.items() for record in records],
            averages=[self._average(name, records) for name, records in self._groups()],
            notes=self.notes(),
        )

    def header(self) -> list[str]:
        """Column titles; a metric's title names its unit and its convention."""
        titles = ["set", "quality", "image", "images"]
        for metric in self.results.metrics.values():
            titles += [f"{metric.title} ({metric.convention}) {part}" for part in ("lq", "enhanced", "difference")]
        return [*titles, *self._estimate_titles(), SPEED]

    def image_rows(self) -> list[list[str]]:
        """One row per image."""
        return [self._row(image, image.name, 1) for image in self.results.images]

    def mean_rows(self) -> list[list[str]]:
        """One row per set and quality; infinite scores (perfect images) are left out of the mean."""
        return [self._row(average, "mean", average.count) for average in self.results.averages]

    def notes(self) -> list[str]:
        """Notes: metrics that are missing and why, scores left out of a mean, sets too small."""
        notes = self.metrics.missing()
        if any(record.scale > 1 for records in self.records.values() for record in records):
            notes.append(ENLARGED)
        for name in self.metrics.names:
            scores = [[record.baseline.get(name) for record in group] for _, group in self._groups()]
            scores += [[record.result.get(name) for record in group] for _, group in self._groups()]
            notes += self.metrics.remarks(name, scores)
        return [*notes, *self._not_available()]

    def _not_available(self) -> Iterator[str]:
        """Notes on the metrics that cannot be computed of some images, which are named."""
        images: dict[tuple[str, str], list[str]] = {}
        for set_name, records in self.records.items():
            for record in records:
                for metric, reason in record.not_available.items():
                    images.setdefault((metric, reason), []).append(printable(f"{set_name}/{record.label}"))
        for (metric, reason), names in images.items():
            yield f"{metric} is not available for {', '.join(names)}: {reason}"

    def to_terminal(self) -> str:
        """The means as aligned columns, the convention of each metric below."""
        metrics = self.results.metrics.values()
        short = [
            "set",
            "quality",
            "images",
            *(title for metric in metrics for title in (f"{metric.name} lq", "enhanced", "diff")),
        ]
        rows = [row[:2] + row[3:] for row in self.mean_rows()]
        lines = aligned([[*short, *self._estimate_titles(), SPEED], *rows], 2)
        legend = [f"{metric.title}: {metric.convention}" for metric in metrics]
        notes = [*self.results.computation, *self.results.notes]
        return "\n".join([f"{self.title}, mean over images", *lines, *legend, *notes])

    def to_csv(self) -> str:
        """All rows, images first."""
        return csv_text([self.header(), *self.image_rows(), *self.mean_rows()])

    def to_json(self) -> str:
        """The results; infinite values are the string "inf"."""
        return to_json(self.results)

    def to_markdown(self) -> str:
        """The means, then the images."""
        table = markdown([self.header(), *self.mean_rows(), *self.image_rows()], 3)
        notes = [*self.results.computation, *self.results.notes]
        return f"# {self.title}\n\n{table}" + "".join(f"\n{note}\n" for note in notes)

    def to_latex(self) -> str:
        """The means as a booktabs table, the images as commented lines below it."""
        header = self.header()
        lines = [rf"\begin{{tabular}}{{lll{'r' * (len(header) - 3)}}}", r"\toprule", tex_row(header), r"\midrule"]
        lines += [tex_row(row) for row in self.mean_rows()] + [r"\bottomrule", r"\end{tabular}"]
        lines += [f"% {tex_row(row)}" for row in self.image_rows()] + [f"% {note}" for note in self.results.notes]
        return "\n".join(lines) + "\n"

    def _image(self, set_name: str, record: Record) -> Image:
        """The record of an image; features for a metric of sets are no scores."""
        return Image(**vars(record) | self._scored(set_name, [record]))

    def _average(self, set_name: str, records: list[Record]) -> Average:
        return Average(count=len(records), frames=len(records), **self._scored(set_name, records))

    def _scored(self, set_name: str, records: Sequence[Record]) -> dict[str, Any]:
        """The fields that one image and several have in common."""
        baseline, result = (
            {name: self.metrics.pool(name, [part.get(name) for part in parts]) for name in self.metrics.names}
            for parts in ([record.baseline for record in records], [record.result for record in records])
        )
        known = {"set": set_name, "group": records[0].group, "seconds": sum(record.seconds for record in records)}
        estimates = {name: _estimate([record.estimates[name] for record in records]) for name in records[0].estimates}
        return known | {"baseline": baseline, "result": result, "estimates": estimates}

    def _groups(self) -> Iterator[tuple[str, list[Record]]]:
        """The images of one set and quality, with the name of the set."""
        for name, records in self.records.items():
            for group in dict.fromkeys(record.group for record in records):
                yield name, [record for record in records if record.group == group]

    @property
    def _estimates(self) -> dict[str, str]:
        """What the network estimates: name -> key of the sample."""
        return {name: each.of for image in self.results.images for name, each in image.estimates.items()}

    def _estimate_titles(self) -> list[str]:
        """Titles of two columns for each estimate: its value and its absolute error (means, over several images)."""
        return [title for name, of in self._estimates.items() for title in (name, f"abs({name} - {of})")]

    def _row(self, scored: Image | Average, label: str, count: int) -> list[str]:
        row = [scored.set, scored.group or "-", label, str(count)]
        for metric in self.results.metrics.values():
            digits = digits_of(metric.unit)
            before, after = (part.get(metric.name, math.nan) for part in (scored.baseline, scored.result))
            row += [number(before, digits), number(after, digits), number(after - before, digits, sign=True)]
        for name in self._estimates:
            estimate = scored.estimates.get(name)
            row += [number(value, 2) for value in ((estimate.value, estimate.error) if estimate else (math.nan,) * 2)]
        return [*row, number(count / scored.seconds, 2) if scored.seconds else NOT_AVAILABLE]


def _estimate(found: Sequence[Any]) -> results.Estimate:
    errors = [abs(each.value - each.truth) for each in found]  # NaN without a truth, which a mean leaves out
    truth = found[0].truth if len(found) == 1 else math.nan
    return results.Estimate(of=found[0].of, value=mean([each.value for each in found]), truth=truth, error=mean(errors))


def write_tables(table: Table, folder: Path) -> None:
    """Write results.csv, .json, .md and .tex, each whole or not at all."""
    writers = {"csv": table.to_csv, "json": table.to_json, "md": table.to_markdown, "tex": table.to_latex}
    for suffix, text in writers.items():
        write_text(folder / f"results.{suffix}", text())
