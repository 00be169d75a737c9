"""Tests on videos in one table.

For each test set and quality: every experiment with its parameters, speed and PSNR beside the compressed video's,
means over the sequences. Experiments whose names differ in the quality only (stdf-qp32, stdf-qp37) are one method; of
a method with four qualities or more follows the BD-rate of each sequence, the compressed videos being the anchor: the
bits that enhancement saves at equal PSNR, in percent, with a minus.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from powerqe.dataset.videos import by_number
from powerqe.evaluation.evaluate import mean
from powerqe.evaluation.result_table import floats
from powerqe.evaluation.video_results import FORMAT
from powerqe.utils.errors import UserError
from powerqe.utils.metrics.bd_rate import POINTS, RatePoint, bd_rate
from powerqe.utils.text_table import NOT_AVAILABLE, aligned, markdown, number

TOLERANCE = 1e-4
"""Of the PSNR of the same compressed video in two tests, in dB."""

Grid = list[list[str]]


class Sequence(NamedTuple):
    """What a report has of one video."""

    frames: int
    bits: int | None
    lq: str
    figures: dict[str, float]


class Entry(NamedTuple):
    """What a report has of one test set and quality.

    videos: by name. average: the figures of all of them.
    """

    path: Path
    set: str
    group: str
    method: str
    network: str
    parameters: int
    main: str
    convention: str
    videos: dict[str, Sequence]
    average: dict[str, float]


@dataclass
class VideoTable:
    """Reports that belong together.

    Args:
        entries: in the order in which they were given.
    """

    entries: list[Entry]

    def blocks(self) -> Iterator[tuple[str, Grid]]:
        """The table of each set and quality, with its title."""
        for key in sorted({(entry.set, entry.group) for entry in self.entries}, key=_order):
            chosen = [entry for entry in self.entries if (entry.set, entry.group) == key]
            main = chosen[0].main
            rows = [["method", "network", "parameters", "frames/s", "PSNR [dB]", "Δ [dB]"]]
            rows.append(["compressed", "", "", "", number(chosen[0].average[f"{main}_lq"], 3), ""])
            for entry in chosen:
                figures = entry.average
                psnr = [number(figures[main], 3), number(figures[f"{main}_delta"], 3, sign=True)]
                speed = number(figures["fps"], 2)
                rows.append([entry.method, entry.network, f"{entry.parameters:,}", speed, *psnr])
            count = len(chosen[0].videos)
            yield (
                f"{' '.join(part for part in key if part)}, mean over {count} sequences ({chosen[0].convention})",
                rows,
            )

    def bd_rates(self) -> Iterator[tuple[str, Grid, list[str]]]:
        """For each test set the BD-rates of the methods that have enough qualities: title, table, notes."""
        for name in dict.fromkeys(entry.set for entry in self.entries):
            methods: dict[str, list[Entry]] = {}
            for entry in self.entries:
                if entry.set == name:
                    methods.setdefault(entry.method, []).append(entry)
            methods = {method: entries for method, entries in methods.items() if len(entries) >= POINTS}
            if not methods:
                continue
            notes: list[str] = []
            rates = {method: self._rates(entries, notes) for method, entries in methods.items()}
            videos = list(dict.fromkeys(video for column in rates.values() for video in column))
            rows = [["sequence", *methods]]
            rows += [[video, *(_percent(column.get(video, math.nan)) for column in rates.values())] for video in videos]
            rows.append(["mean", *(_percent(mean(list(column.values()))) for column in rates.values())])
            yield f"{name}: BD-rate against the compressed videos [%]", rows, notes

    def to_terminal(self) -> str:
        """All of it, as aligned columns."""
        parts = ["\n".join([title, *aligned(grid, 2)]) for title, grid in self.blocks()]
        parts += ["\n".join([title, *aligned(grid, 1), *notes]) for title, grid, notes in self.bd_rates()]
        return "\n\n".join(parts)

    def to_markdown(self) -> str:
        """All of it, as Markdown."""
        parts = [f"## {title}\n\n{markdown(grid, 2)}" for title, grid in self.blocks()]
        for title, grid, notes in self.bd_rates():
            parts.append(f"## {title}\n\n{markdown(grid, 1)}" + "".join(f"\n{note}\n" for note in notes))
        return "\n".join(parts)

    def _rates(self, entries: list[Entry], notes: list[str]) -> dict[str, float]:
        """BD-rate of each sequence; NaN, and a note, where there is none."""
        _check_alike(entries, across_qualities=True)
        found = {}
        for video in entries[0].videos:
            try:
                found[video] = bd_rate(*_curves(entries, video))
            except UserError as error:
                found[video] = math.nan
                notes.append(f"{entries[0].method}, {video}: {error}")
        return found


def collect(folders: Iterable[Path]) -> VideoTable:
    """The reports of experiments.

    Raises:
        UserError: no report, one of another format, or reports that do not belong together: of other sequences,
            otherwise compressed, judged by another metric, or two of the same method and quality.
    """
    entries = [entry for folder in folders for entry in _entries(folder)]
    for key in dict.fromkeys((entry.set, entry.group) for entry in entries):
        _check_alike([entry for entry in entries if (entry.set, entry.group) == key])
    seen: dict[Any, Entry] = {}
    for entry in entries:
        key = (entry.set, entry.group, entry.method)
        if key in seen:
            raise UserError(
                f"{seen[key].path} and {entry.path} both test {entry.method} on {entry.set} {entry.group}".rstrip()
                + "; give one of them, or another name to one"
            )
        seen[key] = entry
    return VideoTable(entries)


def _entries(folder: Path) -> Iterator[Entry]:
    path = folder / "report.json"
    if not path.is_file():
        raise UserError(f"no {path}: give folders of experiments that `powerqe test` has tested on videos")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise UserError(f"{path}: found format {data['format']}, expected {FORMAT}; test again")
        if data["main"] is None:
            raise UserError(f"{path} has no PSNR; test with the criterion PSNR")
        (convention,) = {each["convention"] for each in data["metrics"].values() if each["key"] == data["main"]}
        for average in data["averages"]:
            if average["over"] != "all sequences":
                continue
            name, group = average["set"], average["group"]
            yield Entry(
                path,
                name,
                group,
                method_of(data["experiment"], group),
                data["network"]["type"],
                data["parameters"] * len(data["weights"]),
                data["main"],
                convention,
                {
                    video["sequence"]: Sequence(video["frames"], video["bits"], video["lq"], floats(video["figures"]))
                    for video in data["videos"]
                    if (video["set"], video["group"]) == (name, group)
                },
                floats(average["figures"]),
            )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is no report of a test on videos ({reason}); test again") from None


def method_of(experiment: str, group: str) -> str:
    """The name of an experiment without its quality: `stdf-mfqev2-qp37` and "qp37" -> `stdf-mfqev2`."""
    return re.sub(rf"[-_]?{re.escape(group)}(?!\d)", "", experiment).strip("-_") or experiment if group else experiment


def _check_alike(entries: list[Entry], *, across_qualities: bool = False) -> None:
    """Raise `UserError` unless all tested the same; across qualities, the compressed videos differ of course."""
    first = entries[0]
    for entry in entries[1:]:
        both = f"{first.path} and {entry.path} do not belong together"
        what = f"{first.set} {first.group}".rstrip()
        if (entry.main, entry.convention) != (first.main, first.convention):
            raise UserError(
                f"{both}: one judges by {first.main} ({first.convention}), the other by {entry.main} "
                f"({entry.convention}); test with the same criterion first"
            )
        if other := sorted(set(first.videos) ^ set(entry.videos)):
            raise UserError(f"{both}: only one of them tested {', '.join(other[:3])} of {what}")
        for name, mine in first.videos.items():
            theirs = entry.videos[name]
            if mine.frames != theirs.frames:
                raise UserError(f"{both}: {mine.frames} and {theirs.frames} frames of {name}")
            values = [video.figures[f"{first.main}_lq"] for video in (mine, theirs)]
            if not across_qualities and abs(values[0] - values[1]) > TOLERANCE:
                raise UserError(
                    f"{both}: {name} of {what} has {values[0]:.4f} and {values[1]:.4f} dB before enhancement; it was "
                    f"compressed in two ways ({mine.lq}, {theirs.lq})"
                )


def _curves(entries: list[Entry], name: str) -> tuple[list[RatePoint], list[RatePoint]]:
    """Of the compressed and the enhanced sequence: bits in all its frames, and PSNR."""
    before, after = [], []
    for entry in entries:
        video = entry.videos[name]
        if video.bits is None:
            raise UserError(f"no bits are known, for {video.lq} has no .frames.json beside it")
        before.append(RatePoint(video.bits, video.figures[f"{entry.main}_lq"]))
        after.append(RatePoint(video.bits, video.figures[entry.main]))
    return before, after


def _order(key: tuple[str, str]) -> tuple[str, list[Any]]:
    """Sets by name, qualities by number: qp5 before qp22."""
    return key[0], by_number(key[1])


def _percent(value: float) -> str:
    return NOT_AVAILABLE if math.isnan(value) else f"{value:+.2f}"
