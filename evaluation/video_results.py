"""The report of a test on videos: figures of every frame and every video, averages by class; CSV, JSON, Markdown."""

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from powerqe.evaluation.evaluate import Metrics
from powerqe.evaluation.result_table import plain
from powerqe.evaluation.video_scores import (
    FLUCTUATIONS,
    Average,
    Figures,
    VideoScores,
    averages,
    figures,
    key_of,
    main_metric,
)
from powerqe.utils.files import atomic_path
from powerqe.utils.text_table import aligned, markdown, number

FORMAT = 1
"""Of report.json."""
SPEED = "frames/s"
TITLES = {
    "sd_lq": "SD lq",
    "sd": "SD",
    "pvd_lq": "PVD lq",
    "pvd": "PVD",
    "pvd_at_lq": "PVD at lq's peaks",
    "delta_peaks": "Δ of PQFs",
    "delta_others": "Δ of others",
}
"""Of the figures of fluctuation that stand in tables for people."""
BRIEF = ("sd_lq", "sd", "pvd_lq", "pvd")
"""Those of them that the terminal shows."""


@dataclass
class VideoReport:
    """The outcome of a test on videos.

    Args:
        title: name of the experiment.
        videos: as they were tested, in order.
        metrics: what was computed, with its conventions.
        facts: what else report.json tells: network, weights, options, versions.
    """

    title: str
    videos: list[VideoScores]
    metrics: Metrics
    facts: dict[str, Any]

    @cached_property
    def figures(self) -> list[Figures]:
        """Those of each video."""
        return [figures(video, self.metrics) for video in self.videos]

    @cached_property
    def averages(self) -> list[Average]:
        """By set and quality."""
        return averages(self.videos, self.figures, self.metrics)

    @property
    def main(self) -> str | None:
        """The metric that fluctuations are of."""
        return main_metric(self.metrics)

    def notes(self) -> list[str]:
        """What a reader must know."""
        notes = self.metrics.missing()
        for name in self.metrics.names:
            if count := int(sum(found[f"{key_of(name)}_left_out"] for found in self.figures)):
                frames = sum(len(video.frames) for video in self.videos)
                notes.append(
                    f"{count} of {frames} frames are left out of the means of {name}, before and after: they equal "
                    "their ground truth (infinite PSNR), or have no value"
                )
        return notes

    def definitions(self) -> list[str]:
        """What the figures mean, a line each."""
        lines = [f"{name}: {convention}" for name, convention in self.conventions().items()]
        if self.main:
            lines.append(
                f"SD (divided by n) and PVD are of {self.main}; a peak is better than both neighbors, a valley worse, "
                "and each peak counts against its nearest valley, two equally near ones by their mean; PVD at lq's "
                "peaks is that of the enhanced video between the peaks and valleys of the compressed one"
            )
            lines.append(
                "PQFs are the frames of peak quality as the data set knows them, or else those of locally lowest QP"
            )
        return lines

    def conventions(self) -> dict[str, str]:
        """How each metric was computed."""
        channels = dict.fromkeys(video.channels for video in self.videos)
        return {name: " / ".join(self.metrics.convention(name, count) for count in channels)
                for name in self.metrics.names}  # fmt: skip

    def to_terminal(self) -> str:
        """The averages as aligned columns, the convention of each metric below."""
        title = [f"{self.title}, means; compressed (lq) and enhanced"]
        rows = [
            [average.set, average.group or "-", average.over, str(average.videos), str(average.frames),
             *self._cells(average.figures, BRIEF)]
            for average in self.averages
        ]  # fmt: skip
        lines = aligned([["set", "quality", "mean of", "videos", "frames", *self._titles(BRIEF)], *rows], 3)
        legend = [f"{name}: {convention}" for name, convention in self.conventions().items()]
        return "\n".join([*title, *lines, *legend, *self.notes(), "each video and what the figures mean: summary.md"])

    def to_markdown(self) -> str:
        """A table for each set and quality: every video, then the averages."""
        parts = [f"# {self.title}\n"]
        for name, group in dict.fromkeys((video.set, video.group) for video in self.videos):
            parts += [f"## {' '.join(part for part in (name, group) if part)}\n", markdown(self._grid(name, group), 2)]
        return "\n".join(parts) + "".join(f"\n{line}\n" for line in [*self.definitions(), *self.notes()])

    def frames_csv(self) -> str:
        """A row for each frame."""
        header = ["set", "group", "sequence", "poc", "type", "qp", "bits", "is_peak"]
        header += [key for name in self.metrics.names for key in (f"{key_of(name)}_lq", key_of(name))]
        return _csv([[*header, "ms"], *(row for video in self.videos for row in self._frame_rows(video))])

    def sequences_csv(self) -> str:
        """A row for each video with all its figures, then the averages."""
        keys = list(self.figures[0]) if self.figures else []
        rows = [["set", "group", "class", "sequence", "width", "height", "frames", "bits", *keys]]
        for video, found in zip(self.videos, self.figures, strict=True):
            bits = "" if video.bits is None else str(video.bits)
            size = [str(video.width), str(video.height), str(len(video.frames)), bits]
            rows.append(
                [video.set, video.group, video.letter, video.name, *size, *(_exact(found[key]) for key in keys)]
            )
        for average in self.averages:
            label = ["", f"mean of {average.over}", "", "", str(average.frames), ""]
            rows.append([average.set, average.group, *label, *(_exact(average.figures[key]) for key in keys)])
        return _csv(rows)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the frames as plain data."""
        videos = [
            {
                "set": video.set, "group": video.group, "class": video.letter, "sequence": video.name,
                "width": video.width, "height": video.height, "frames": len(video.frames), "bits": video.bits,
                "peaks": _peaks(video), "lq": video.lq, "codec": video.codec, "figures": found,
            }
            for video, found in zip(self.videos, self.figures, strict=True)
        ]  # fmt: skip
        return plain(
            {
                "format": FORMAT,
                "experiment": self.title,
                **self.facts,
                "metrics": {
                    name: {
                        "key": key_of(name),
                        "unit": self.metrics.unit(name),
                        "convention": convention,
                        "not_available": self.metrics.unavailable.get(name),
                    }
                    for name, convention in self.conventions().items()
                },
                "main": self.main and key_of(self.main),
                "videos": videos,
                "averages": [average._asdict() for average in self.averages],
                "means": self._means(),
                "notes": self.notes(),
            }
        )

    def _means(self) -> list[dict[str, str]]:
        """The averages as they stand in tables, but the speed: that is a figure of the machine."""
        titles = ["set", "quality", "mean of", *self._titles()]
        rows = [[each.set, each.group, each.over, *self._cells(each.figures)] for each in self.averages]
        return [dict(zip(titles[:-1], row[:-1], strict=True)) for row in rows]

    def _grid(self, name: str, group: str) -> list[list[str]]:
        rows = [["class", "sequence", "frames", *self._titles()]]
        for video, found in zip(self.videos, self.figures, strict=True):
            if (video.set, video.group) == (name, group):
                rows.append([video.letter or "-", video.name, str(len(video.frames)), *self._cells(found)])
        for each in self.averages:
            if (each.set, each.group) == (name, group):
                over = f"**mean of {each.over}**"
                rows.append(["", over, str(each.frames), *self._cells(each.figures)])
        return rows

    def _titles(self, fluctuations: Sequence[str] = FLUCTUATIONS) -> list[str]:
        """Of `_cells`."""
        titles = []
        for name in self.metrics.names:
            titles += [f"{name} lq", name, f"Δ{name}"] if name == self.main else [self._delta_title(name)]
        if self.main:
            titles += [TITLES[key] for key in fluctuations if key in TITLES]
        return [*titles, SPEED]

    def _delta_title(self, name: str) -> str:
        return f"Δ{name}" if self.metrics.unit(name) == "dB" else f"Δ{name} x1e4"

    def _cells(self, found: Figures, fluctuations: Sequence[str] = FLUCTUATIONS) -> list[str]:
        """What a person wants to see of a video or of several."""
        cells = []
        for name in self.metrics.names:
            key = key_of(name)
            if name == self.main:
                cells += [number(found[f"{key}_lq"], 3), number(found[key], 3)]
            in_decibel = self.metrics.unit(name) == "dB"
            delta = found[f"{key}_delta"] * (1 if in_decibel else 1e4)
            cells.append(number(delta, 3 if in_decibel else 1, sign=True))
        if self.main:
            cells += [number(found[key], 3, sign="delta" in key) for key in fluctuations if key in TITLES]
        return [*cells, number(found["fps"], 2)]

    def _frame_rows(self, video: VideoScores) -> Iterator[list[str]]:
        for place, frame in enumerate(video.frames):
            coded = video.coded[place] if video.coded else None
            known = [str(coded.type), str(coded.qp), str(coded.bits)] if coded else ["", "", ""]
            row = [video.set, video.group, video.name, str(frame.frame), *known]
            row.append("" if frame.peak < 0 else str(frame.peak))
            for name in self.metrics.names:
                row += [_exact(part.get(name, math.nan)) for part in (frame.baseline, frame.result)]
            yield [*row, f"{1000 * frame.seconds:.3f}"]


def write_report(report: VideoReport, folder: Path) -> None:
    """Write frames.csv, sequences.csv, report.json and summary.md, each whole or not at all."""
    text = json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n"
    files = {"frames.csv": report.frames_csv(), "sequences.csv": report.sequences_csv(), "report.json": text}
    for name, content in {**files, "summary.md": report.to_markdown()}.items():
        with atomic_path(folder / name) as path:
            path.write_text(content, encoding="utf-8")


def _peaks(video: VideoScores) -> int | None:
    """How many PQFs there are, None if unknown."""
    peaks = [frame.peak for frame in video.frames]
    return None if -1 in peaks else sum(peaks)


def _exact(value: float) -> str:
    """Of a figure in a file for programs: nothing is nothing."""
    return "" if math.isnan(value) else f"{value:.6f}".rstrip("0").rstrip(".") if math.isfinite(value) else str(value)


def _csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
