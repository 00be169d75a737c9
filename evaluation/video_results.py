"""The tables of a test on videos: every frame and every video, averages by class; terminal, CSV, JSON, Markdown."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from powerqe.evaluation.evaluate import Metrics
from powerqe.evaluation.results import Average, Results, Video, metric_records, write_results
from powerqe.evaluation.video_scores import FLUCTUATIONS, VideoScores, averages, judged, key_of, main_metric
from powerqe.utils.file_names import printable
from powerqe.utils.files import write_text
from powerqe.utils.text_table import Grid, aligned, csv_text, markdown, number

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
"""Column titles of the fluctuation figures shown in tables."""
BRIEF = ("sd_lq", "sd", "pvd_lq", "pvd")
"""Those shown in the terminal."""


@dataclass
class VideoReport:
    """The outcome of a test on videos.

    Args:
        title: name of the experiment.
        videos: as they were tested, in order.
        metrics: what was computed, with its conventions.
        facts: what was tested, see evaluation/provenance.py.
    """

    title: str
    videos: list[VideoScores]
    metrics: Metrics
    facts: dict[str, Any]

    @cached_property
    def results(self) -> Results:
        """All results except those of single frames, as data."""
        videos = [judged(video, self.metrics) for video in self.videos]
        return Results(
            experiment=self.title,
            **self.facts,
            metrics=metric_records(self.metrics, (video.channels for video in self.videos)),
            videos=videos,
            averages=averages(videos),
            notes=self._notes(videos),
        )

    @property
    def main(self) -> str | None:
        """The metric of the fluctuations."""
        return main_metric(self.metrics)

    def _notes(self, videos: Sequence[Video]) -> list[str]:
        """Notes on frames left out of means and on missing metrics."""
        notes, frames = self.metrics.missing(), sum(video.frames for video in videos)
        for name in self.metrics.names:
            if count := sum(video.left_out[name] for video in videos):
                notes.append(
                    f"{count} of {frames} frames are left out of the means of {name}, before and after: they equal "
                    "their ground truth (infinite PSNR), or have no value"
                )
            why = self.metrics.unavailable.get(name)
            if why and name in self.metrics.metrics:
                without = [
                    printable(f"{video.set}/{video.label}") for video in videos if math.isnan(video.result[name])
                ]
                notes.append(f"{name} is not available for {', '.join(without) or 'some frames'}: {why}")
        return notes

    def definitions(self) -> list[str]:
        """Definitions of the figures, one per line."""
        lines = self._conventions()
        if self.main:
            lines.append(
                f"SD (population standard deviation) and PVD (peak-valley difference) are of {self.main}: a peak is "
                "better than both neighbors, a valley worse; each peak is compared with its nearest valley, or with "
                "the mean of two equally near ones; PVD at lq's peaks is measured on the enhanced video at the "
                "peaks and valleys of the compressed one"
            )
            lines.append(
                "PQFs (peak-quality frames) are those given by the data set, or else the frames of locally lowest QP"
            )
        return lines

    def _conventions(self) -> list[str]:
        return [f"{name}: {metric.convention}" for name, metric in self.results.metrics.items()]

    def to_terminal(self) -> str:
        """The averages as aligned columns, the convention of each metric below."""
        title = [f"{self.title}, means; compressed (lq) and enhanced"]
        rows = [
            [average.set, average.group or "-", average.over, str(average.count), str(average.frames),
             *self._cells(average, BRIEF)]
            for average in self.results.averages
        ]  # fmt: skip
        lines = aligned([["set", "quality", "mean of", "videos", "frames", *self._titles(BRIEF)], *rows], 3)
        notes = [*self.results.computation, *self.results.notes]
        closing = "all videos and the definitions of the figures: summary.md"
        return "\n".join([*title, *lines, *self._conventions(), *notes, closing])

    def to_markdown(self) -> str:
        """A table for each set and quality: every video, then the averages."""
        parts = [f"# {self.title}\n"]
        for name, group in dict.fromkeys((video.set, video.group) for video in self.videos):
            parts += [f"## {' '.join(part for part in (name, group) if part)}\n", markdown(self._grid(name, group), 2)]
        return "\n".join(parts) + "".join(f"\n{line}\n" for line in self._remarks())

    def _remarks(self) -> list[str]:
        return [*self.definitions(), *self.results.computation, *self.results.notes]

    def frames_csv(self) -> str:
        """A row for each frame."""
        header = ["set", "group", "sequence", "poc", "type", "qp", "bits", "is_peak"]
        header += [key for name in self.metrics.names for key in (f"{key_of(name)}_lq", key_of(name))]
        return csv_text([[*header, "ms"], *(row for video in self.videos for row in self._frame_rows(video))])

    def sequences_csv(self) -> str:
        """A row for each video with all its figures, then the averages."""
        keys = [f"{key_of(name)}{part}" for name in self.metrics.names for part in ("_lq", "", "_delta", "_left_out")]
        keys += [*(FLUCTUATIONS if self.main else ()), "fps"]
        rows = [["set", "group", "class", "sequence", "width", "height", "frames", "bits", *keys]]
        for video in self.results.videos:
            bits = "" if video.bits is None else str(video.bits)
            size = [str(video.width), str(video.height), str(video.frames), bits]
            rows.append([video.set, video.group, video.jct_class, video.name, *size, *self._exact_cells(video)])
        for average in self.results.averages:
            label = ["", f"mean of {average.over}", "", "", str(average.frames), ""]
            rows.append([average.set, average.group, *label, *self._exact_cells(average)])
        return csv_text(rows)

    def _exact_cells(self, scored: Video | Average) -> list[str]:
        """All figures, for CSV files."""
        values: list[float] = []
        for name in self.metrics.names:
            values += [scored.baseline[name], scored.result[name], scored.gain(name), scored.left_out[name]]
        return [_exact(value) for value in (*values, *scored.fluctuation.values(), scored.fps)]

    def _grid(self, name: str, group: str) -> Grid:
        rows = [["class", "sequence", "frames", *self._titles()]]
        for video in self.results.videos:
            if (video.set, video.group) == (name, group):
                rows.append([video.jct_class or "-", video.name, str(video.frames), *self._cells(video)])
        for each in self.results.averages:
            if (each.set, each.group) == (name, group):
                rows.append(["", f"**mean of {each.over}**", str(each.frames), *self._cells(each)])
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

    def _cells(self, scored: Video | Average, fluctuations: Sequence[str] = FLUCTUATIONS) -> list[str]:
        """The table cells of a video or an average."""
        cells = []
        for name in self.metrics.names:
            if name == self.main:
                cells += [number(scored.baseline[name], 3), number(scored.result[name], 3)]
            in_decibel = self.metrics.unit(name) == "dB"
            delta = scored.gain(name) * (1 if in_decibel else 1e4)
            cells.append(number(delta, 3 if in_decibel else 1, sign=True))
        shown = [key for key in fluctuations if key in TITLES and self.main]
        cells += [number(scored.fluctuation[key], 3, sign="delta" in key) for key in shown]
        return [*cells, number(scored.fps, 2)]

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
    """Write results.json, frames.csv, sequences.csv and summary.md, each whole or not at all."""
    write_results(report.results, folder)
    files = {"frames.csv": report.frames_csv(), "sequences.csv": report.sequences_csv()}
    for name, content in {**files, "summary.md": report.to_markdown()}.items():
        write_text(folder / name, content)


def _exact(value: float) -> str:
    """A number for CSV files; empty if there is none."""
    return "" if math.isnan(value) else f"{value:.6f}".rstrip("0").rstrip(".") if math.isfinite(value) else str(value)
