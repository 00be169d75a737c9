"""Tests read from the results of experiments, and the checks that they are comparable in one table."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from powerqe.evaluation.results import Average, Image, Results, Video, read_results
from powerqe.utils.errors import UserError

TOLERANCE = 1e-4
"""Of the score of the same compressed image in two tests, relative to it; devices and threads do not round alike."""

Item = TypeVar("Item", Image, Video)


@dataclass(frozen=True)
class Tested(Generic[Item]):
    """An experiment's test of one set at one quality.

    Args:
        folder: of the experiment.
        results: all of its test.
        method: its name without the quality.
        items: images or videos by label.
        average: of them; of videos, each counts the same.
    """

    folder: Path
    results: Results
    method: str
    set: str
    group: str
    items: dict[str, Item]
    average: Average

    @property
    def title(self) -> str:
        """Set and quality."""
        return f"{self.set} {self.group}".rstrip()


def tested_images(folders: Iterable[Path]) -> list[Tested[Image]]:
    """The tests on images of experiments; raises as `read_results`."""
    return [test for folder, each in _read(folders) for test in _tests(folder, each, each.images, "images")]


def tested_videos(folders: Iterable[Path]) -> list[Tested[Video]]:
    """The tests on videos of experiments; raises as `read_results`."""
    return [test for folder, each in _read(folders) for test in _tests(folder, each, each.videos, "all sequences")]


def _read(folders: Iterable[Path]) -> Iterator[tuple[Path, Results]]:
    return ((folder, results) for folder in dict.fromkeys(folders) for results in read_results(folder))


def _tests(folder: Path, results: Results, items: Sequence[Item], over: str) -> Iterator[Tested[Item]]:
    averages = {(each.set, each.group): each for each in results.averages if each.over == over} if items else {}
    one_quality = len({group for _, group in averages}) == 1
    for (name, group), average in averages.items():
        # An experiment that was tested at several qualities is one method with all of them.
        method = method_of(results.experiment, group) if one_quality else results.experiment
        found = {each.label: each for each in items if (each.set, each.group) == (name, group)}
        yield Tested(folder, results, method, name, group, found, average)


def method_of(experiment: str, group: str) -> str:
    """The name of an experiment without its quality: `stdf-mfqev2-qp37` and "qp37" -> `stdf-mfqev2`."""
    return re.sub(rf"[-_]?{re.escape(group)}(?!\d)", "", experiment).strip("-_") or experiment if group else experiment


def check_all(tests: Sequence[Tested[Item]], metrics: Sequence[str]) -> None:
    """Raise `UserError` unless the tests may stand in one table.

    Args:
        metrics: names of those that are compared. They must be of one convention; at the same set and quality the
            images must be the same, too, and compressed in the same way.
    """
    for number, test in enumerate(tests):
        for earlier in tests[:number]:
            _check_conventions(earlier, test, metrics)
            if (earlier.set, earlier.group) == (test.set, test.group):
                _check_once(earlier, test)
                check_items(earlier, test)
                _check_baselines(earlier, test, metrics)


def check_items(first: Tested[Item], other: Tested[Item]) -> None:
    """Raise `UserError` unless both tested the same images or videos, by label and size."""
    both = _both(first, other)
    if lonely := sorted(set(first.items) ^ set(other.items)):
        more = ", ..." if len(lonely) > 3 else ""
        names = f"{', '.join(lonely[:3])}{more}"
        raise UserError(f"{both}: only one of them tested {names} of {first.title}; test the same in both")
    for label, mine in first.items.items():
        sizes = [mine.size, other.items[label].size]
        if sizes[0] != sizes[1]:
            raise UserError(f"{both}: {label} of {first.title} is {sizes[0]} in one and {sizes[1]} in the other")


def _both(first: Tested[Item], other: Tested[Item]) -> str:
    return f"{first.folder} and {other.folder} do not belong together"


def _check_once(first: Tested[Item], other: Tested[Item]) -> None:
    if first.method == other.method:
        raise UserError(
            f"{first.folder} and {other.folder} both test {first.method} on {first.title}; give one of them, or "
            "another name to one"
        )


def _check_conventions(first: Tested[Item], other: Tested[Item], metrics: Sequence[str]) -> None:
    for name in metrics:
        both = (each.results.metrics.get(name) for each in (first, other))
        found = [metric.convention for metric in both if metric and metric.was_computed]
        if len(set(found)) == 2:
            mine, theirs = found
            rest = [other for other in metrics if other != name]
            raise UserError(
                f"{_both(first, other)}: {name} is judged in two ways ({mine}; {theirs}); test with the same "
                "test.criterion" + (f", or compare other metrics only: --metric {' '.join(rest)}" if rest else "")
            )


def _check_baselines(first: Tested[Item], other: Tested[Item], metrics: Sequence[str]) -> None:
    for label, mine in first.items.items():
        for name in metrics:
            scores = [each.baseline.get(name, math.nan) for each in (mine, other.items[label])]
            if not any(map(math.isnan, scores)) and not math.isclose(*scores, rel_tol=TOLERANCE):
                raise UserError(
                    f"{_both(first, other)}: {label} of {first.title} has {name} {scores[0]:.4f} and {scores[1]:.4f} "
                    "before enhancement: it was compressed in two ways; test on the same compressed files"
                )
