"""Tests on images read from results, checked to be comparable."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from powerqe.dataset.videos import by_number
from powerqe.evaluation.results import Image, Metric
from powerqe.evaluation.tested import Tested, check_all, tested_images
from powerqe.utils.errors import UserError

ImageTest = Tested[Image]


@dataclass
class Comparison:
    """Comparable tests on images.

    Args:
        tests: in the order of the given experiments, which is that of the methods everywhere.
        metrics: those of any test.
    """

    tests: list[ImageTest]
    metrics: list[Metric]

    @cached_property
    def experiments(self) -> list[ImageTest]:
        """One test of each experiment."""
        return list({test.folder: test for test in self.tests}.values())

    @cached_property
    def methods(self) -> list[str]:
        """Their names."""
        return list(dict.fromkeys(test.method for test in self.tests))

    @cached_property
    def sets(self) -> list[str]:
        """Names of the test sets."""
        return list(dict.fromkeys(test.set for test in self.tests))

    @cached_property
    def main(self) -> Metric | None:
        """The metric of plots and crops: the first that has scores of single images."""
        scores = [image.result for test in self.tests for image in test.items.values()]
        judged = {name for score in scores for name, value in score.items() if not math.isnan(value)}
        return next((metric for metric in self.metrics if metric.name in judged), None)

    def groups(self, set_name: str) -> list[str]:
        """The qualities of a set, by number."""
        return sorted({test.group for test in self.tests if test.set == set_name}, key=by_number)

    def at(self, set_name: str, group: str) -> list[ImageTest]:
        """All methods on a set at a quality."""
        return [test for test in self.tests if (test.set, test.group) == (set_name, group)]

    def of(self, method: str, set_name: str | None = None) -> list[ImageTest]:
        """A method at all its qualities, by number, on one set or on all."""
        found = [test for test in self.tests if test.method == method and set_name in (None, test.set)]
        return sorted(found, key=lambda test: (self.sets.index(test.set), by_number(test.group)))

    def common(self, set_name: str) -> str:
        """The quality at which most methods were tested; the first, if there are several."""
        return max(self.groups(set_name), key=lambda group: len(self.at(set_name, group)))


class Speed(NamedTuple):
    """Throughput of the network per second; NaN if it was not timed."""

    megapixels: float
    """Of the compressed images."""
    images: float


def speed(tests: Sequence[ImageTest]) -> Speed:
    """Speed over all images of these tests."""
    images = [image for test in tests for image in test.items.values()]
    seconds = sum(image.seconds for image in images) or math.nan
    return Speed(sum(image.height * image.width for image in images) / 1e6 / seconds, len(images) / seconds)


def collect(folders: Iterable[Path], only: Sequence[str] = ()) -> Comparison:
    """The tests on images of experiments.

    Args:
        folders: with results.json.
        only: names of metrics; by default all.

    Raises:
        UserError: no results, those of another version, or results that do not belong together: of other images,
            otherwise compressed or judged, or two of the same method and quality.
    """
    tests = tested_images(folders)
    metrics: dict[str, Metric] = {}
    for metric in (metric for test in tests for metric in test.results.metrics.values()):
        if not metrics.setdefault(metric.name, metric).was_computed:
            metrics[metric.name] = metric
    if unknown := [name for name in only if name not in metrics]:
        raise UserError(f"--metric: no experiment has {', '.join(unknown)}; they have {', '.join(metrics)}")
    names = list(only) or list(metrics)
    check_all(tests, names)
    return Comparison(tests, [metrics[name] for name in names])
