"""Judging a network: it runs once per image, and every metric is computed from that one result."""

import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from algorithm.phase import Batch
from dataset.loader import eval_batches
from utils.components import Component, build
from utils.errors import UserError
from utils.log import progress_bar
from utils.metrics import METRICS, MetricUnavailable
from utils.ranks import Ranks
from utils.registry import nearest

Enhance = Callable[[Batch], Tensor]
Scores = dict[str, float]


@dataclass
class Record:
    """One image: its scores before (lq) and after (the network), all against gt."""

    name: str
    group: str
    height: int
    width: int
    channels: int
    baseline: Scores = field(default_factory=dict)
    result: Scores = field(default_factory=dict)
    seconds: float = 0.0
    """Time of the network alone."""

    @property
    def label(self) -> str:
        """Name with the quality, as a file name for the result."""
        return f"{self.name}-{self.group}" if self.group and not self.name.endswith(self.group) else self.name


class Metrics:
    """Named metrics that are computed together; one that cannot be computed scores NaN and says why.

    Args:
        criterion: name -> validated metric options.
    """

    def __init__(self, criterion: Mapping[str, Component]) -> None:
        self.metrics: dict[str, Any] = {}
        self.unavailable: dict[str, str] = {}
        self._entries = {name: METRICS[options.type] for name, options in criterion.items()}
        for name, options in criterion.items():
            try:
                self.metrics[name] = build(options)
            except MetricUnavailable as reason:
                self.unavailable[name] = str(reason)

    @property
    def names(self) -> list[str]:
        """All names in the order of the options."""
        return list(self._entries)

    def unit(self, name: str) -> str:
        """Unit of a metric ("dB" or nothing)."""
        return self._entries[name].unit

    def higher_is_better(self, name: str) -> bool:
        """Direction of a metric."""
        return self._entries[name].higher_is_better

    def convention(self, name: str, channels: int) -> str:
        """How the metric was computed: channel, rounding, border ..."""
        return self.metrics[name].describe(channels) if name in self.metrics else "not available"

    def __call__(self, result: Tensor, target: Tensor) -> Scores:
        """Scores of one image, both (1, C, H, W)."""
        return {name: self._score(name, result, target) for name in self._entries}

    def _score(self, name: str, result: Tensor, target: Tensor) -> float:
        if name in self.unavailable:
            return float("nan")
        try:
            return float(self.metrics[name](result, target))
        except MetricUnavailable as reason:
            self.unavailable[name] = str(reason)
            return float("nan")


def network_enhance(network: nn.Module, arguments: Mapping[str, Any] | None = None) -> Enhance:
    """How a network is applied to a batch: network(lq, **arguments).

    Raises:
        UserError: the network's forward takes no such argument.
    """
    arguments = dict(arguments or {})
    known = list(inspect.signature(network.forward).parameters)[1:]
    for name in arguments:
        if name not in known:
            raise UserError(
                f"forward: {type(network).__name__} takes no {name!r}{nearest(name, known)}; "
                f"beside the image it takes: {', '.join(known) or 'nothing'}"
            )
    return lambda batch: network(batch["lq"], **arguments)


@torch.inference_mode()
def evaluate(
    dataset: Any,
    metrics: Metrics,
    ranks: Ranks,
    enhance: Enhance | None,
    *,
    with_baseline: bool = True,
    on_result: Callable[[Record, Batch, Tensor], None] | None = None,
    title: str = "images",
) -> list[Record]:
    """Score a data set, its images dealt out to the ranks.

    Args:
        dataset: indexable by int; samples as dataset.loader collates them.
        metrics: what to compute where there is a ground truth.
        ranks: the processes that share the work.
        enhance: the network's application; None scores lq only.
        with_baseline: score lq against gt too.
        on_result: called for each image of this rank with its record, batch and the clamped result.
        title: of the progress bar.

    Returns:
        The records of all ranks in data-set order, on every rank.
    """
    records = []
    batches = eval_batches(dataset, ranks.rank, ranks.world_size, ranks.device)
    for number, batch in enumerate(progress_bar(batches, title, ranks.share(len(dataset)), ranks.is_main, leave=False)):
        if enhance and number == 0:
            enhance(batch)  # warm-up: memory, kernels and code paths are set up outside the timing
        record, result = _judge(batch, metrics, enhance, ranks.device, with_baseline)
        if on_result and result is not None:
            on_result(record, batch, result)
        records.append(record)
    return _in_order(ranks.gather(records))


def _judge(
    batch: Batch, metrics: Metrics, enhance: Enhance | None, device: torch.device, with_baseline: bool
) -> tuple[Record, Tensor | None]:
    lq, gt = batch["lq"], batch.get("gt")
    _, channels, height, width = lq.shape
    record = Record(batch["name"][0], batch["group"][0], height, width, channels)
    if gt is not None and with_baseline and gt.shape == lq.shape:
        record.baseline = metrics(lq, gt)
    if enhance is None:
        return record, None
    result, record.seconds = _timed(enhance, batch, device)
    result = result.float().clamp(0, 1)
    if gt is not None:
        record.result = metrics(result, gt)
    return record, result


def _timed(enhance: Enhance, batch: Batch, device: torch.device) -> tuple[Tensor, float]:
    _synchronize(device)
    start = time.perf_counter()
    result = enhance(batch)
    _synchronize(device)
    return result, time.perf_counter() - start


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _in_order(parts: list[list[Record]]) -> list[Record]:
    """Undo the dealing out: image i was the (i // ranks)-th one of rank i % ranks."""
    total = sum(len(part) for part in parts)
    return [parts[index % len(parts)][index // len(parts)] for index in range(total)]


def mean(values: list[float]) -> float:
    """Mean of the finite values, NaN when there is none.

    An image that equals its ground truth has an infinite PSNR; it would make every mean infinite.
    """
    finite = [value for value in values if abs(value) < float("inf")]
    return sum(finite) / len(finite) if finite else float("nan")
