"""What a network with exits gains and costs.

For each case a table of the test sets: the scores of every exit and of early exit, with the work
that each takes (exp/<experiment>/exits.md). For all cases together a picture and its figures: mean gain of PSNR and
mean work against the threshold from which an image may leave (exp/trade_off.png and .csv). The network runs
once per image; what another threshold would have chosen follows from the qualities of all exits.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch

from powerqe.dataset import build_dataset
from powerqe.dataset.loader import Batch, eval_batches
from powerqe.evaluation.evaluate import Metrics, Scores, mean
from powerqe.evaluation.tester import trained_network
from powerqe.net.rbqe import RBQE
from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path
from powerqe.utils.log import progress_bar
from powerqe.utils.options.components import validate_component
from powerqe.utils.options.tree import Options
from powerqe.utils.ranks import start_ranks
from powerqe.utils.text_table import markdown

PSNR = "PSNR"
THRESHOLDS = [step / 200 for step in range(201)]


@dataclass
class Visit:
    """One image at every exit.

    Args:
        group: test set and quality.
        baseline: scores of the compressed image.
        results: scores of each exit.
        qualities: what the quality module said at each exit but the last.
    """

    group: str
    baseline: Scores
    results: list[Scores]
    qualities: list[float]

    def exit_at(self, threshold: float) -> int:
        """Where the image leaves: the first exit that is good enough, or the last."""
        good = (number for number, quality in enumerate(self.qualities) if quality >= threshold)
        return next(good, len(self.qualities))

    def gain(self, number: int) -> float:
        """Of PSNR at an exit, in dB."""
        return float(self.results[number][PSNR]) - float(self.baseline[PSNR])


class Point(NamedTuple):
    """Means over all images at one threshold."""

    threshold: float
    gain: float
    """Of PSNR, in dB."""
    work: float
    """Thousand multiply-adds per pixel, with all judging."""


@dataclass
class Journey:
    """All images of an experiment's test sets.

    Args:
        title: name of the experiment.
        visits: the images.
        metrics: that gave the scores.
        threshold: the network's own.
        direct: thousand multiply-adds per pixel to an exit that was chosen before.
        judged: the same when each exit on the way has judged.
    """

    title: str
    visits: list[Visit]
    metrics: Metrics
    threshold: float
    direct: list[float]
    judged: list[float]

    def at(self, threshold: float) -> Point:
        """What the threshold gains and costs."""
        exits = [visit.exit_at(threshold) for visit in self.visits]
        gains = [visit.gain(number) for visit, number in zip(self.visits, exits, strict=True)]
        return Point(threshold, mean(gains), mean([self.judged[number] for number in exits]))

    @cached_property
    def points(self) -> list[Point]:
        """What each threshold gains and costs."""
        return [self.at(threshold) for threshold in THRESHOLDS]

    def to_markdown(self) -> str:
        """Rows: compressed, each exit, early exit; columns: qualities, and work per pixel."""
        groups = list(dict.fromkeys(visit.group for visit in self.visits))
        numbers = range(len(self.direct))
        rows = [
            ["", *groups, "thousand MACs per pixel"],
            ["compressed", *(self._cell(group, None) for group in groups), ""],
            *(
                [f"exit {number}", *(self._cell(group, number) for group in groups), f"{self.direct[number]:,.1f}"]
                for number in numbers
            ),
            [
                f"automatic (threshold {self.threshold:g})",
                *(self._cell(group, "auto") for group in groups),
                f"{self.at(self.threshold).work:,.1f}",
            ],
            [f"images leaving at {'/'.join(map(str, numbers))}", *(self._leaving(group) for group in groups), ""],
        ]
        return f"# {self.title}\n\n{' / '.join(self.metrics.names)}, mean over images\n\n{markdown(rows, 1)}"

    def _cell(self, group: str, exit: int | str | None) -> str:
        """Mean scores of a group: compressed (None), of one exit, or of the one that the threshold chooses."""
        scores = []
        for visit in self._of(group):
            number = visit.exit_at(self.threshold) if exit == "auto" else exit
            scores.append(visit.results[number] if isinstance(number, int) else visit.baseline)
        digits = {name: 2 if self.metrics.unit(name) == "dB" else 3 for name in self.metrics.names}
        means = {name: self.metrics.pool(name, [score.get(name) for score in scores]) for name in digits}
        return " / ".join(f"{means[name]:.{digits[name]}f}" for name in digits)

    def _leaving(self, group: str) -> str:
        exits = [visit.exit_at(self.threshold) for visit in self._of(group)]
        return "/".join(str(exits.count(number)) for number in range(len(self.direct)))

    def _of(self, group: str) -> list[Visit]:
        return [visit for visit in self.visits if visit.group == group]


def compare_exits(experiments: Sequence[Options]) -> Iterator[str]:
    """Measure experiments one after another, write their tables, and at last the figure of all; yields what was found.

    Raises:
        UserError: see `journey`.
    """
    journeys = []
    for options in experiments:
        journeys.append(journey(options))
        text = journeys[-1].to_markdown()
        with atomic_path(options.folder / "exits.md") as path:
            path.write_text(text, encoding="utf-8")
        yield text
    figure = experiments[0].folder.parent / "trade_off.png"
    draw(journeys, figure)
    write_points(journeys, figure.with_suffix(".csv"))
    yield f"see {figure} and {figure.with_suffix('.csv')}"


@torch.inference_mode()
def journey(options: Options) -> Journey:
    """Take every image of the test sets to every exit.

    Raises:
        UserError: no test set, no ground truth, a network without exits, or anything wrong with data or weights.
    """
    with start_ranks(options.device) as ranks:
        network = trained_network(options, ranks.device)
        if not isinstance(network, RBQE):
            raise UserError(f"{options.name}: {type(network).__name__} has no exits to choose from; RBQE has")
        metrics = Metrics({PSNR: validate_component("metric", {"type": PSNR}), **options.test.criterion})
        visits = []
        for name, spec in options.dataset.test.items():
            dataset = build_dataset(spec, f"dataset.test.{name}")
            batches = progress_bar(
                eval_batches(dataset, device=ranks.device), name, len(dataset), ranks.is_main, leave=False
            )
            visits += [_visit(network, metrics, batch, name) for batch in batches]
    direct, judged = ([macs / 1000 for macs in network.macs_per_pixel(judged=judged)] for judged in (False, True))
    return Journey(options.name, visits, metrics, network.quality.threshold, direct, judged)


def draw(journeys: Sequence[Journey], path: Path) -> None:
    """Gain above, work below, one column per experiment; the network's own threshold is marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(journeys), 5.2), layout="constrained")
    axes = figure.subplots(2, len(journeys), sharex=True, squeeze=False)
    for (above, below), journey in zip(axes.T, journeys, strict=True):
        own = journey.at(journey.threshold)
        _curve(above, journey.points, own, "gain")
        _curve(below, journey.points, own, "work")
        above.set_title(journey.title, fontsize=10)
        below.set_xlabel("threshold of quality")
    axes[0][0].set_ylabel("mean gain of PSNR [dB]")
    axes[1][0].set_ylabel("mean work [kMACs / pixel]")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def write_points(journeys: Sequence[Journey], path: Path) -> None:
    """The figures behind the picture, as CSV."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["experiment", "threshold", "mean gain of PSNR [dB]", "mean work [thousand MACs per pixel]"])
        for journey in journeys:
            for point in journey.points:
                writer.writerow([journey.title, f"{point.threshold:.3f}", f"{point.gain:.4f}", f"{point.work:.1f}"])


def _visit(network: RBQE, metrics: Metrics, batch: Batch, name: str) -> Visit:
    if "gt" not in batch:
        raise UserError(f"dataset.test.{name} has no ground truth (gt); a gain cannot be measured without it")
    outputs = network(batch["lq"], exit="all")
    return Visit(
        group=" ".join(part for part in (name, batch["group"][0]) if part),
        baseline=metrics(batch["lq"], batch["gt"]),
        results=[metrics(output.clamp(0, 1), batch["gt"]) for output in outputs],
        qualities=[float(network.quality(output)) for output in outputs[:-1]],
    )


def _curve(axis: Any, points: Sequence[Point], own: Point, what: str) -> None:
    axis.plot([point.threshold for point in points], [getattr(point, what) for point in points], color="C0")
    axis.axvline(own.threshold, color="0.6", linestyle=":", linewidth=1)
    axis.plot(own.threshold, getattr(own, what), "o", color="C3", label=f"{own.threshold:g}: {getattr(own, what):,.2f}")
    axis.legend(frameon=False, fontsize=8)
    axis.grid(alpha=0.3)
