"""The results of tests on images, and whether they belong together."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from powerqe.dataset.videos import by_number
from powerqe.evaluation.evaluate import labeled
from powerqe.evaluation.result_table import floats
from powerqe.evaluation.video_comparison import method_of
from powerqe.utils.errors import UserError

RESULTS = "results.json"
_NOT_AVAILABLE = "not available"  # as Metrics.convention says it
TOLERANCE = 1e-4
"""Of the score of the same compressed image in two tests, relative to it; devices and threads do not round alike."""


class Metric(NamedTuple):
    """How a metric was computed."""

    name: str
    unit: str
    convention: str
    higher_is_better: bool | None

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


class Image(NamedTuple):
    """One tested image.

    place: in its data set. height, width: of the compressed image. scale: how many times it was enlarged for `before`.
    before, after: name of a metric -> score. enhanced: the saved picture.
    """

    place: int
    name: str
    group: str
    height: int
    width: int
    channels: int
    scale: int
    before: dict[str, float]
    after: dict[str, float]
    seconds: float
    enhanced: Path | None


@dataclass(frozen=True)
class Experiment:
    """What was tested.

    Args:
        network: as the options have it, with its type.
        weights: the file, and its SHA-256.
        data: test set -> options of the data set.
        notes: of its tables.
    """

    folder: Path
    name: str
    date: str
    network: dict[str, Any]
    parameters: int
    weights: tuple[str, str]
    device: str
    torch: str
    metrics: dict[str, Metric]
    data: dict[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """An experiment's test of one set at one quality.

    Args:
        method: the experiment's name without the quality.
        images: by label.
        before, after: means over the images; of a metric of sets, its value.
    """

    experiment: Experiment
    method: str
    set: str
    group: str
    images: dict[str, Image]
    before: dict[str, float]
    after: dict[str, float]

    def gain(self, metric: str) -> float:
        """What enhancement adds to the mean."""
        return self.after.get(metric, math.nan) - self.before.get(metric, math.nan)


@dataclass
class Comparison:
    """Tests that belong together.

    Args:
        entries: in the order in which the experiments were given; it is that of the methods everywhere.
        metrics: that any of them has.
    """

    entries: list[Entry]
    metrics: list[Metric]

    @cached_property
    def experiments(self) -> list[Experiment]:
        """All that were tested."""
        return list({entry.experiment.folder: entry.experiment for entry in self.entries}.values())

    @cached_property
    def methods(self) -> list[str]:
        """Their names."""
        return list(dict.fromkeys(entry.method for entry in self.entries))

    @cached_property
    def sets(self) -> list[str]:
        """Names of the test sets."""
        return list(dict.fromkeys(entry.set for entry in self.entries))

    @cached_property
    def main(self) -> Metric | None:
        """The first metric that images have: plots and crops are of it."""
        scores = [image.after for entry in self.entries for image in entry.images.values()]
        judged = {name for score in scores for name, value in score.items() if not math.isnan(value)}
        return next((metric for metric in self.metrics if metric.name in judged), None)

    def groups(self, set_name: str) -> list[str]:
        """The qualities of a set, by number."""
        return sorted({entry.group for entry in self.entries if entry.set == set_name}, key=by_number)

    def at(self, set_name: str, group: str) -> list[Entry]:
        """All methods on a set at a quality."""
        return [entry for entry in self.entries if (entry.set, entry.group) == (set_name, group)]

    def of(self, method: str, set_name: str | None = None) -> list[Entry]:
        """A method at all its qualities, by number, on one set or on all."""
        found = [entry for entry in self.entries if entry.method == method and set_name in (None, entry.set)]
        return sorted(found, key=lambda entry: (self.sets.index(entry.set), by_number(entry.group)))

    def common(self, set_name: str) -> str:
        """The quality that most methods were tested at; of several such, the first."""
        return max(self.groups(set_name), key=lambda group: len(self.at(set_name, group)))


class Speed(NamedTuple):
    """Of the network alone, per second; NaN if no time was taken."""

    megapixels: float
    """Of the compressed images."""
    images: float


def speed(entries: Sequence[Entry]) -> Speed:
    """Over all images of these tests."""
    images = [image for entry in entries for image in entry.images.values()]
    seconds = sum(image.seconds for image in images) or math.nan
    return Speed(sum(image.height * image.width for image in images) / 1e6 / seconds, len(images) / seconds)


def collect(folders: Iterable[Path], only: Sequence[str] = ()) -> Comparison:
    """The results of experiments.

    Args:
        folders: with results.json.
        only: names of metrics; by default all.

    Raises:
        UserError: no results, those of another version, or results that do not belong together: of other images,
            otherwise compressed or judged, or two of the same method and quality.
    """
    entries = [entry for folder in dict.fromkeys(folders) for entry in _entries(folder)]
    metrics: dict[str, Metric] = {}
    for metric in (metric for entry in entries for metric in entry.experiment.metrics.values()):
        if metrics.setdefault(metric.name, metric).convention == _NOT_AVAILABLE:
            metrics[metric.name] = metric
    if unknown := [name for name in only if name not in metrics]:
        raise UserError(f"--metric: no experiment has {', '.join(unknown)}; they have {', '.join(metrics)}")
    names = list(only) or list(metrics)
    for number, entry in enumerate(entries):
        for earlier in entries[:number]:
            _check_alike(earlier, entry, names)
    return Comparison(entries, [metrics[name] for name in names])


def _entries(folder: Path) -> Iterator[Entry]:
    path = folder / RESULTS
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        experiment = _experiment(folder, data)
        means = {(each["set"], each["group"]): each for each in data["averages"]}
        images: dict[tuple[str, str], list[Image]] = {key: [] for key in means}
        places = dict.fromkeys((name for name, _ in means), 0)
        for each in data["images"]:
            images[each["set"], each["group"]].append(_image(folder, each, places[each["set"]]))
            places[each["set"]] += 1
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is not what `powerqe test` of this version writes ({reason}); test again") from None
    one_quality = len({group for _, group in means}) == 1
    for (name, group), found in images.items():
        mean = means[name, group]
        # An experiment that was tested at several qualities is one method with all of them.
        method = method_of(experiment.name, group) if one_quality else experiment.name
        by_label = {labeled(image.name, group): image for image in found}
        yield Entry(experiment, method, name, group, by_label, floats(mean["baseline"]), floats(mean["result"]))


def _experiment(folder: Path, data: dict[str, Any]) -> Experiment:
    weights = data["weights"]["all"]
    threads = f", {data['threads']} thread{'s' * (data['threads'] > 1)}" if data["threads"] else ""
    return Experiment(
        folder=folder,
        name=data["experiment"],
        date=data["date"],
        network={"type": data["network"]["type"], **data["network"]},
        parameters=int(data["parameters"]),
        weights=(weights["path"], weights["sha256"]),
        device=data["device"] + threads,
        torch=data["versions"]["torch"],
        metrics={
            name: Metric(name, each["unit"], each["convention"], each["higher_is_better"])
            for name, each in data["metrics"].items()
        },
        data=data["data"],
        notes=tuple(data["notes"]),
    )


def _image(folder: Path, data: dict[str, Any], place: int) -> Image:
    return Image(
        place,
        *(data[key] for key in ("name", "group", "height", "width", "channels", "scale")),
        before=floats(data["baseline"]),
        after=floats(data["result"]),
        seconds=data["seconds"],
        enhanced=folder / data["enhanced"] if data["enhanced"] else None,
    )


def _check_alike(first: Entry, other: Entry, metrics: Sequence[str]) -> None:
    """Raise `UserError` unless both may stand in one table."""
    both = f"{first.experiment.folder} and {other.experiment.folder} do not belong together"
    _check_conventions(first.experiment, other.experiment, metrics, both)
    if (first.set, first.group) != (other.set, other.group):
        return
    what = f"{first.set} {first.group}".rstrip()
    if first.method == other.method:
        raise UserError(
            f"{first.experiment.folder} and {other.experiment.folder} both test {first.method} on {what}; give one of "
            "them, or another name to one"
        )
    if lonely := sorted(set(first.images) ^ set(other.images)):
        more = ", ..." if len(lonely) > 3 else ""
        raise UserError(
            f"{both}: only one of them tested {', '.join(lonely[:3])}{more} of {what}; test the same images"
        )
    for label, mine in first.images.items():
        theirs = other.images[label]
        sizes = [f"{each.width}x{each.height}x{each.channels}, enlarged {each.scale} times" for each in (mine, theirs)]
        if sizes[0] != sizes[1]:
            raise UserError(f"{both}: {label} of {what} is {sizes[0]} in one and {sizes[1]} in the other")
        _check_baseline(mine, theirs, metrics, f"{both}: {label} of {what}")


def _check_conventions(first: Experiment, other: Experiment, metrics: Sequence[str], both: str) -> None:
    for name in metrics:
        found = [each.metrics[name].convention for each in (first, other) if name in each.metrics]
        if _NOT_AVAILABLE not in found and len(set(found)) == 2:
            mine, theirs = found
            rest = [other for other in metrics if other != name]
            raise UserError(
                f"{both}: {name} is judged in two ways ({mine}; {theirs}); test with the same test.criterion"
                + (f", or compare other metrics only: --metric {' '.join(rest)}" if rest else "")
            )


def _check_baseline(mine: Image, theirs: Image, metrics: Sequence[str], what: str) -> None:
    for name in metrics:
        scores = [image.before.get(name, math.nan) for image in (mine, theirs)]
        if not any(map(math.isnan, scores)) and not math.isclose(*scores, rel_tol=TOLERANCE):
            raise UserError(
                f"{what} has {name} {scores[0]:.4f} and {scores[1]:.4f} before enhancement: it was compressed in two "
                "ways; test on the same compressed images"
            )
