"""Quality and cost of a network with early exits.

For each experiment a table: scores and multiply-accumulates of every exit and of early exit
(exp/<experiment>/exits.md). For all experiments a figure: mean PSNR gain and mean multiply-accumulates against the
exit threshold (exp/trade_off.png and .csv). The network runs once per image; the exit that any threshold selects
follows from the estimated qualities of all exits.
"""

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
from powerqe.utils.figures import plain_texts, save_figure
from powerqe.utils.files import write_text
from powerqe.utils.log import progress_bar
from powerqe.utils.options.components import validate_component
from powerqe.utils.options.tree import Options
from powerqe.utils.ranks import start_ranks
from powerqe.utils.text_table import csv_text, markdown

PSNR = "PSNR"
THRESHOLDS = [step / 200 for step in range(201)]


@dataclass
class ExitScores:
    """The scores of one image at every exit.

    Args:
        group: test set and quality.
        baseline: scores of the compressed image.
        results: scores of each exit.
        qualities: output of the quality module at each exit but the last.
    """

    group: str
    baseline: Scores
    results: list[Scores]
    qualities: list[float]

    def exit_at(self, threshold: float) -> int:
        """The exit selected by a threshold: the first of at least this quality, or the last."""
        good = (number for number, quality in enumerate(self.qualities) if quality >= threshold)
        return next(good, len(self.qualities))

    def gain(self, number: int) -> float:
        """PSNR gain at an exit, in dB."""
        return float(self.results[number][PSNR]) - float(self.baseline[PSNR])


class TradeOff(NamedTuple):
    """Means over all images at one threshold."""

    threshold: float
    gain: float
    """PSNR gain in dB."""
    work: float
    """Thousand multiply-accumulates per pixel, including the quality module."""


@dataclass
class ExitReport:
    """Every exit on every image of an experiment's test sets.

    Args:
        title: name of the experiment.
        images: scores of the images.
        metrics: those that were computed.
        threshold: the network's own.
        direct: thousand multiply-accumulates per pixel up to each exit, if the exit is fixed.
        judged: the same with the quality module run at each exit before it.
    """

    title: str
    images: list[ExitScores]
    metrics: Metrics
    threshold: float
    direct: list[float]
    judged: list[float]

    def at(self, threshold: float) -> TradeOff:
        """Mean gain and work at a threshold."""
        exits = [each.exit_at(threshold) for each in self.images]
        gains = [each.gain(number) for each, number in zip(self.images, exits, strict=True)]
        return TradeOff(threshold, mean(gains), mean([self.judged[number] for number in exits]))

    @cached_property
    def points(self) -> list[TradeOff]:
        """Mean gain and work at each of `THRESHOLDS`."""
        return [self.at(threshold) for threshold in THRESHOLDS]

    def to_markdown(self) -> str:
        """Rows: compressed, each exit, early exit; columns: qualities, and work per pixel."""
        groups = list(dict.fromkeys(each.group for each in self.images))
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
            [f"images per exit {'/'.join(map(str, numbers))}", *(self._exit_counts(group) for group in groups), ""],
        ]
        return f"# {self.title}\n\n{' / '.join(self.metrics.names)}, mean over images\n\n{markdown(rows, 1)}"

    def _cell(self, group: str, exit: int | str | None) -> str:
        """Mean scores of a group: compressed (None), at an exit, or at the one the threshold selects ("auto")."""
        scores = []
        for each in self._of(group):
            number = each.exit_at(self.threshold) if exit == "auto" else exit
            scores.append(each.results[number] if isinstance(number, int) else each.baseline)
        digits = {name: 2 if self.metrics.unit(name) == "dB" else 3 for name in self.metrics.names}
        means = {name: self.metrics.pool(name, [score.get(name) for score in scores]) for name in digits}
        return " / ".join(f"{means[name]:.{digits[name]}f}" for name in digits)

    def _exit_counts(self, group: str) -> str:
        exits = [each.exit_at(self.threshold) for each in self._of(group)]
        return "/".join(str(exits.count(number)) for number in range(len(self.direct)))

    def _of(self, group: str) -> list[ExitScores]:
        return [each for each in self.images if each.group == group]


def compare_exits(experiments: Sequence[Options]) -> Iterator[str]:
    """Evaluate experiments one after another; write and yield their tables, then write the figure of all.

    Raises:
        UserError: see `evaluate_exits`.
    """
    reports = []
    for options in experiments:
        reports.append(evaluate_exits(options))
        text = reports[-1].to_markdown()
        write_text(options.folder / "exits.md", text)
        yield text
    figure = experiments[0].folder.parent / "trade_off.png"
    draw(reports, figure)
    write_points(reports, figure.with_suffix(".csv"))
    yield f"see {figure} and {figure.with_suffix('.csv')}"


@torch.inference_mode()
def evaluate_exits(options: Options) -> ExitReport:
    """Score every exit of the network on every image of the test sets.

    Raises:
        UserError: no test set, no ground truth, a network without exits, or anything wrong with data or weights.
    """
    with start_ranks(options.device) as ranks:
        network = trained_network(options, ranks.device)
        if not isinstance(network, RBQE):
            raise UserError(f"{options.name}: {type(network).__name__} has no early exits; use RBQE")
        metrics = Metrics({PSNR: validate_component("metric", {"type": PSNR}), **options.test.criterion})
        images = []
        for name, spec in options.dataset.test.items():
            dataset = build_dataset(spec, f"dataset.test.{name}")
            batches = progress_bar(
                eval_batches(dataset, device=ranks.device, ahead=True), name, len(dataset), ranks.is_main, leave=False
            )
            images += [_exit_scores(network, metrics, batch, name) for batch in batches]
    direct, judged = ([macs / 1000 for macs in network.macs_per_pixel(judged=judged)] for judged in (False, True))
    return ExitReport(options.name, images, metrics, network.quality.threshold, direct, judged)


@plain_texts()
def draw(reports: Sequence[ExitReport], path: Path) -> None:
    """Gain above, work below, one column per experiment; the network's own threshold is marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(reports), 5.2), layout="constrained")
    axes = figure.subplots(2, len(reports), sharex=True, squeeze=False)
    for (above, below), report in zip(axes.T, reports, strict=True):
        own = report.at(report.threshold)
        _curve(above, report.points, own, "gain")
        _curve(below, report.points, own, "work")
        above.set_title(report.title, fontsize=10)
        below.set_xlabel("quality threshold")
    axes[0][0].set_ylabel("mean PSNR gain [dB]")
    axes[1][0].set_ylabel("mean work [kMACs/pixel]")
    save_figure(figure, path)


def write_points(reports: Sequence[ExitReport], path: Path) -> None:
    """The values of the figure, as CSV."""
    header = ["experiment", "threshold", "mean PSNR gain [dB]", "mean work [thousand MACs per pixel]"]
    rows = [
        [report.title, f"{point.threshold:.3f}", f"{point.gain:.4f}", f"{point.work:.1f}"]
        for report in reports
        for point in report.points
    ]
    write_text(path, csv_text([header, *rows]))


def _exit_scores(network: RBQE, metrics: Metrics, batch: Batch, name: str) -> ExitScores:
    if "gt" not in batch:
        raise UserError(f"dataset.test.{name} has no ground truth (gt), which the PSNR gain needs")
    outputs = network(batch["lq"], exit="all").float()
    return ExitScores(
        group=" ".join(part for part in (name, batch["group"][0]) if part),
        baseline=metrics(batch["lq"], batch["gt"]),
        results=[metrics(output.clamp(0, 1), batch["gt"]) for output in outputs],
        qualities=[float(network.quality(output)) for output in outputs[:-1]],
    )


def _curve(axis: Any, points: Sequence[TradeOff], own: TradeOff, what: str) -> None:
    axis.plot([point.threshold for point in points], [getattr(point, what) for point in points], color="C0")
    axis.axvline(own.threshold, color="0.6", linestyle=":", linewidth=1)
    axis.plot(own.threshold, getattr(own, what), "o", color="C3", label=f"{own.threshold:g}: {getattr(own, what):,.2f}")
    axis.legend(frameon=False, fontsize=8)
    axis.grid(alpha=0.3)
