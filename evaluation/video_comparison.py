"""Tests on videos in one table.

For each test set and quality: parameters, speed and PSNR of every experiment, and the PSNR of the compressed videos,
as means over the sequences. Experiments whose names differ in the quality only (stdf-qp32, stdf-qp37) are one method.
For methods with four qualities or more: the BD-rate of each sequence against the compressed videos, in percent;
negative values are savings at equal PSNR.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from powerqe.dataset.videos import by_number
from powerqe.evaluation.evaluate import mean
from powerqe.evaluation.results import Metric, Video
from powerqe.evaluation.tested import Tested, check_all, check_items, tested_videos
from powerqe.utils.errors import UserError
from powerqe.utils.metrics.bd_rate import POINTS, RatePoint, bd_rate
from powerqe.utils.text_table import NOT_AVAILABLE, Grid, aligned, markdown, number


@dataclass
class VideoTable:
    """Tests that belong together.

    Args:
        tests: in the order in which their experiments were given.
        metric: by which they are compared, in dB.
    """

    tests: list[Tested[Video]]
    metric: Metric

    def blocks(self) -> Iterator[tuple[str, Grid]]:
        """The table of each set and quality, with its title."""
        name = self.metric.name
        for key in sorted({(test.set, test.group) for test in self.tests}, key=_order):
            chosen = [test for test in self.tests if (test.set, test.group) == key]
            rows = [["method", "network", "parameters", "frames/s", "PSNR [dB]", "Δ [dB]"]]
            rows.append(["compressed", "", "", "", number(chosen[0].average.baseline[name], 3), ""])
            for test in chosen:
                average, parameters = test.average, f"{test.results.parameters:,}"
                psnr = [number(average.result[name], 3), number(average.gain(name), 3, sign=True)]
                rows.append([test.method, test.results.method, parameters, number(average.fps, 2), *psnr])
            count = len(chosen[0].items)
            yield f"{chosen[0].title}, mean over {count} sequences ({self.metric.convention})", rows

    def bd_rates(self) -> Iterator[tuple[str, Grid, list[str]]]:
        """For each test set the BD-rates of the methods that have enough qualities: title, table, notes."""
        for name in dict.fromkeys(test.set for test in self.tests):
            methods: dict[str, list[Tested[Video]]] = {}
            for test in self.tests:
                if test.set == name:
                    methods.setdefault(test.method, []).append(test)
            methods = {method: tests for method, tests in methods.items() if len(tests) >= POINTS}
            if not methods:
                continue
            notes: list[str] = []
            rates = {method: self._rates(tests, notes) for method, tests in methods.items()}
            videos = list(dict.fromkeys(video for column in rates.values() for video in column))
            rows = [["sequence", *methods]]
            rows += [[video, *(_percent(column.get(video, math.nan)) for column in rates.values())] for video in videos]
            rows.append(["mean", *(_percent(mean(list(column.values()))) for column in rates.values())])
            yield f"{name}: BD-rate against the compressed videos [%]", rows, notes

    def to_terminal(self) -> str:
        """The whole table as aligned columns."""
        parts = ["\n".join([title, *aligned(grid, 2)]) for title, grid in self.blocks()]
        parts += ["\n".join([title, *aligned(grid, 1), *notes]) for title, grid, notes in self.bd_rates()]
        return "\n\n".join(parts)

    def to_markdown(self) -> str:
        """The whole table as Markdown."""
        parts = [f"## {title}\n\n{markdown(grid, 2)}" for title, grid in self.blocks()]
        for title, grid, notes in self.bd_rates():
            parts.append(f"## {title}\n\n{markdown(grid, 1)}" + "".join(f"\n{note}\n" for note in notes))
        return "\n".join(parts)

    def _rates(self, tests: list[Tested[Video]], notes: list[str]) -> dict[str, float]:
        """BD-rate of each sequence; NaN, and a note, where there is none."""
        for test in tests[1:]:
            check_items(tests[0], test)
        found = {}
        for video in tests[0].items:
            try:
                found[video] = bd_rate(*self._curves([test.items[video] for test in tests]))
            except UserError as error:
                found[video] = math.nan
                notes.append(f"{tests[0].method}, {video}: {error}")
        return found

    def _curves(self, videos: list[Video]) -> tuple[list[RatePoint], list[RatePoint]]:
        """Of a sequence at several qualities, compressed and enhanced: bits in all its frames, and PSNR."""
        before, after = [], []
        for video in videos:
            if video.bits is None:
                raise UserError(f"the bits of {video.lq} are not known: it has no .frames.json")
            before.append(RatePoint(video.bits, video.baseline[self.metric.name]))
            after.append(RatePoint(video.bits, video.result[self.metric.name]))
        return before, after


def collect(folders: Iterable[Path]) -> VideoTable:
    """The tests on videos of experiments.

    Raises:
        UserError: no results, none of videos, or results that do not belong together: of other sequences, otherwise
            compressed, judged by another metric, or two of the same method and quality.
    """
    folders = list(folders)
    tests = tested_videos(folders)
    if missing := [folder for folder in folders if folder not in {test.folder for test in tests}]:
        raise UserError(f"{missing[0]} was not tested on videos; give folders of experiments that were")
    metrics = [_metric(test) for test in tests]
    for test, metric in zip(tests, metrics, strict=True):
        if metric.name != metrics[0].name:
            raise UserError(
                f"{tests[0].folder} and {test.folder} do not belong together: one judges by {metrics[0].name}, the "
                f"other by {metric.name}; test with the same test.criterion"
            )
    check_all(tests, [metrics[0].name])
    return VideoTable(tests, metrics[0])


def _metric(test: Tested[Video]) -> Metric:
    metric = test.results.fluctuating
    if metric is None:
        raise UserError(f"the results of {test.folder} have no PSNR; test with the criterion PSNR")
    return metric


def _order(key: tuple[str, str]) -> tuple[str, list[Any]]:
    """Sets by name, qualities by number: qp5 before qp22."""
    return key[0], by_number(key[1])


def _percent(value: float) -> str:
    return NOT_AVAILABLE if math.isnan(value) else f"{value:+.2f}"
