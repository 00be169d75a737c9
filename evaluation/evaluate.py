"""Evaluating a network: it runs once per image, and every metric is computed from that one result.

A sample of a video is a window of frames, of which the middle one is the image.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

import torch
from torch import Tensor

from powerqe.dataset.loader import Batch, eval_batches
from powerqe.inference.forward import image_of, middle
from powerqe.net.measure.clock import with_seconds
from powerqe.utils.image.imresize import imresize
from powerqe.utils.image.tensors import to_image, to_tensor
from powerqe.utils.log import logger, progress_bar
from powerqe.utils.memory import is_out_of_memory
from powerqe.utils.metrics import METRICS, MetricUnavailable
from powerqe.utils.options.components import Component, build
from powerqe.utils.ranks import Ranks
from powerqe.utils.work_ahead import in_two_steps

Enhance = Callable[[Batch], Any]
"""A batch -> the enhanced images, or a tuple of them and the network's estimates."""
Score = float | Tensor
"""A number, NaN where there is none; for a metric of sets (FID), the features of the image."""
Scores = dict[str, Score]


class EstimateRecord(NamedTuple):
    """A property of an image that the network estimates, such as its quality factor."""

    of: str
    """What is estimated: a key of the sample ("quality")."""
    value: float
    truth: float
    """NaN if it is unknown."""


@dataclass
class Record:
    """One image: its scores before (lq) and after (the network), against gt if there is one."""

    name: str
    group: str
    height: int
    width: int
    channels: int
    scale: int = 1
    """Factor by which lq is enlarged to the size of gt, for the baseline and for side-by-side images."""
    baseline: Scores = field(default_factory=dict)
    result: Scores = field(default_factory=dict)
    estimates: dict[str, EstimateRecord] = field(default_factory=dict)
    seconds: float = 0.0
    """Time of the network alone."""
    enhanced: str | None = None
    """Path of the saved image, relative to the experiment's folder."""
    not_available: dict[str, str] = field(default_factory=dict)
    """Metric -> why it cannot be computed of this image."""

    @property
    def label(self) -> str:
        """Name with the quality, as a file name for the result."""
        return labeled(self.name, self.group)


def labeled(name: str, group: str) -> str:
    """A name with its setting, such as bikes-qf10, unless it ends so already."""
    return f"{name}-{group}" if group and not name.endswith(group) else name


class Metrics:
    """Named metrics computed together; one that cannot be computed scores NaN, the reason is in `unavailable`.

    Args:
        criterion: name -> validated metric options.
    """

    def __init__(self, criterion: Mapping[str, Component]) -> None:
        self.metrics: dict[str, Any] = {}
        self.unavailable: dict[str, str] = {}
        """Why a metric could not be computed, of any image or (if it is in `metrics`) of some."""
        self._entries = {name: METRICS[options.type] for name, options in criterion.items()}
        for name, options in criterion.items():
            try:
                self.metrics[name] = build(options)
            except MetricUnavailable as reason:
                self.unavailable[name] = str(reason)
        for line in self.missing():
            logger.info(line)

    @property
    def names(self) -> list[str]:
        """All names in the order of the options."""
        return list(self._entries)

    def unit(self, name: str) -> str:
        """Unit of a metric ("dB" or nothing)."""
        return self._entries[name].unit

    def higher_is_better(self, name: str) -> bool | None:
        """Direction of a metric; None if it depends on a package that is not installed."""
        return self.metrics.get(name, self._entries[name]).higher_is_better

    def judges_sets(self, name: str) -> bool:
        """Whether a metric has no value of a single image."""
        return hasattr(self._entries[name], "pool")

    def convention(self, name: str, channels: int) -> str:
        """How the metric was computed: channel, rounding, border ..."""
        return self.metrics[name].describe(channels) if name in self.metrics else "not available"

    def missing(self) -> list[str]:
        """Notes on the metrics that are not available, each with the reason."""
        reasons: dict[str, list[str]] = {}
        for name in self.names:
            if name not in self.metrics:
                reasons.setdefault(self.unavailable[name], []).append(name)
        return [f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not available: {why}"
                for why, names in reasons.items()]  # fmt: skip

    def __call__(self, result: Tensor, target: Tensor | None) -> Scores:
        """Scores of one image, both (1, C, H, W); without a target only of the metrics that need none."""
        return self.scored(result, target)[0]

    def scored(self, result: Tensor, target: Tensor | None, *, must_fit: bool = False) -> tuple[Scores, dict[str, str]]:
        """Scores as above, and why there are none: metric -> reason, of those that cannot be computed of this image.

        Args:
            must_fit: a lack of memory is raised, and no such reason.
        """
        names = [name for name in self.names if target is not None or not self._needs_target(name)]
        reasons: dict[str, str] = {}
        scores = {name: self._score(name, result, target, reasons, must_fit) for name in names}
        self.unavailable |= reasons
        return scores, reasons

    def pool(self, name: str, scores: Iterable[Score | None]) -> float:
        """One value for several images: the mean of their scores, or what a metric of sets makes of them.

        Images without a score (None, NaN) do not count, and in a mean of several neither do infinite scores: an
        image that equals its ground truth has an infinite PSNR. NaN when nothing is left.
        """
        judged: list[Any] = [score for score in scores if _is_judged(score)]
        return getattr(self.metrics.get(name), "pool", _mean_or_single)(judged)

    def remarks(self, name: str, groups: list[list[Score | None]]) -> list[str]:
        """Notes on the values that `pool` gives for these groups of images: what is missing or left out."""
        metric: Any = self.metrics.get(name)
        remarks: list[str] = []
        numbers = [score for group in groups for score in group if isinstance(score, float)]
        if count := sum(map(math.isinf, numbers)):
            remarks.append(f"{count} infinite values of {name} (image equal to its ground truth) are left out of means")
        if metric and (count := sum(map(math.isnan, numbers))):
            why = self.unavailable.get(name, "it gave no number")
            remarks.append(f"{count} values of {name} are missing and left out of means: {why}")
        sizes = [size for group in groups if (size := sum(map(_is_judged, group)))]
        if sizes and hasattr(metric, "caveat") and (caveat := metric.caveat(min(sizes))):
            remarks.append(f"{name} is {caveat}")
        return remarks

    def _needs_target(self, name: str) -> bool:
        return getattr(self.metrics.get(name), "needs_target", True)

    def _score(
        self, name: str, result: Tensor, target: Tensor | None, reasons: dict[str, str], must_fit: bool
    ) -> Score:
        if name not in self.metrics:
            return float("nan")
        try:
            score = self.metrics[name](result, target)[0]
        except MetricUnavailable as reason:
            reasons[name] = str(reason)
            return float("nan")
        except (RuntimeError, MemoryError) as error:
            if must_fit or not is_out_of_memory(error):
                raise
            reasons[name] = f"an image of {result.shape[-1]}x{result.shape[-2]} does not fit into memory"
            return float("nan")
        return score.cpu() if score.ndim else float(score)


def _is_judged(score: Score | None) -> bool:
    return score is not None and not (isinstance(score, float) and math.isnan(score))


def _mean_or_single(values: list[float]) -> float:
    return values[0] if len(values) == 1 else mean(values)


class StoppedError(Exception):
    """An evaluation was left before all images were done, as the caller wanted."""


def _never() -> bool:
    return False


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
    stop: Callable[[], bool] = _never,
    timed: bool = True,
) -> list[Record]:
    """Score a data set, its images dealt out to the ranks.

    A thread computes the metrics of an image while the next one is read. Where the time of the network does not count,
    that goes on while the network runs, and others read ahead; else it runs alone, as it does if it takes tiles from
    the CPU, which is for images that hardly fit into memory.

    Args:
        dataset: indexable by int; samples as powerqe.dataset.loader collates them.
        metrics: what to compute; without ground truth, what needs none.
        ranks: the processes that share the work.
        enhance: a network (powerqe.inference.forward.Forward); None scores lq only. Its `estimates`, if it has them,
            names what it returns after the image; for its `on_cpu` see `home`.
        with_baseline: score lq too; where gt is a whole number of times larger, lq `enlarged` so many times. Where the
            sizes do not match, only by metrics that need no gt.
        on_result: called for each image of this rank with its record, batch and the clamped result, by a thread.
        title: of the progress bar.
        stop: asked before each image; if it says so on one rank, all of them leave.
        timed: the records have the time of the network, which is warmed up by the first image.

    Returns:
        The records of all ranks in data-set order, on every rank.

    Raises:
        StoppedError: on every rank, if one was stopped.
    """
    place, is_timed, is_warm = home(enhance, ranks.device), timed and enhance is not None, not timed
    batches = eval_batches(dataset, ranks.rank, ranks.world_size, place, ahead=not is_timed)
    bar = progress_bar(batches, title, ranks.share(len(dataset)), ranks.is_main, leave=False)

    def enhanced(batch: Batch) -> _Enhanced:
        nonlocal is_warm
        if enhance is None:
            return _Enhanced(batch)
        call = partial(enhance, batch)
        if not is_warm:
            is_warm = call() is not None  # memory, kernels and code paths are set up outside the timing
        return _Enhanced(batch, *(with_seconds(call, ranks.device) if is_timed else [call()]))

    @torch.inference_mode()  # which is a thread's own, as is the device
    def scored(image: _Enhanced, must_fit: bool) -> Record:
        with torch.accelerator.device_index(ranks.device.index):
            batch, output, seconds = image
            record, result = judge(batch, metrics, output, with_baseline=with_baseline, must_fit=must_fit)
            record.seconds = seconds
            record.estimates = _estimates(getattr(enhance, "estimates", {}), output, batch)
            if on_result and result is not None:
                on_result(record, batch, result)
            return record

    images = takewhile(lambda _: not stop(), bar)
    alone = is_timed or getattr(enhance, "on_cpu", False)
    records = list(in_two_steps(images, enhanced, scored, alone=alone))
    parts = ranks.gather((records, metrics.unavailable))
    for _, unavailable in parts:
        metrics.unavailable |= unavailable
    if sum(len(part) for part, _ in parts) < len(dataset):
        raise StoppedError
    return _in_order([part for part, _ in parts])


def home(enhance: Enhance | None, device: torch.device) -> torch.device:
    """The device of images and results: the CPU if the network copies tiles from there, so that any size fits."""
    return torch.device("cpu") if getattr(enhance, "on_cpu", False) else device


class _Enhanced(NamedTuple):
    """An image, what the network returned, None without one, and its seconds."""

    batch: Batch
    output: Any = None
    seconds: float = 0.0


def judge(
    batch: Batch, metrics: Metrics, output: Any, *, with_baseline: bool = True, must_fit: bool = False
) -> tuple[Record, Tensor | None]:
    """Score one image, or the middle frame of one window, in a batch of one; see `evaluate`.

    Args:
        output: what the network returned; None without one.
        must_fit: see `Metrics.scored`.

    Returns:
        The record, and the clamped result (1, C, H, W) if there is a network.
    """
    lq, gt = middle(batch["lq"]), batch.get("gt")
    _, channels, height, width = lq.shape
    scale = 1 if gt is None else enlargement(lq, gt)
    record = Record(batch["name"][0], batch["group"][0], height, width, channels, scale)
    if with_baseline:
        before = enlarged(lq, scale)
        target = gt if gt is not None and gt.shape == before.shape else None
        record.baseline, record.not_available = metrics.scored(before, target, must_fit=must_fit)
    if output is None:
        return record, None
    result = image_of(output).float()
    record.result, reasons = metrics.scored(result, gt, must_fit=must_fit)  # metrics clamp, if their options say so
    record.not_available |= reasons
    return record, result.clamp(0, 1)


def _estimates(names: Mapping[str, str], output: Any, batch: Batch) -> dict[str, EstimateRecord]:
    """Estimates by name; the truth is NaN where the data set does not have it (negative)."""
    found = {}
    for place, (name, of) in enumerate(names.items(), 1):
        truth = float(batch[of]) if of in batch else -1.0
        found[name] = EstimateRecord(of, float(output[place]), truth if truth >= 0 else float("nan"))
    return found


def enlargement(image: Tensor, larger: Tensor) -> int:
    """How many times larger the second of two (N, C, H, W) is; 1 as well if that is no whole number."""
    height, width = image.shape[-2:]
    factor = larger.shape[-1] // width
    return factor if larger.shape[-2:] == (factor * height, factor * width) else 1


def enlarged(image: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) in [0, 1] enlarged as super-resolution papers do it for comparison, see utils/image/imresize.py."""
    if factor == 1:
        return image
    return torch.stack([to_tensor(imresize(to_image(one), factor)) for one in image]).to(image.device)


def _in_order(parts: list[list[Record]]) -> list[Record]:
    """Undo the dealing out: image i was the (i // ranks)-th one of rank i % ranks."""
    total = sum(len(part) for part in parts)
    return [parts[index % len(parts)][index // len(parts)] for index in range(total)]


def mean(values: list[float]) -> float:
    """Mean of the finite values, NaN when there is none; NaN is not finite.

    An image that equals its ground truth has an infinite PSNR; it would make every mean infinite.
    """
    finite = [value for value in values if abs(value) < float("inf")]
    return sum(finite) / len(finite) if finite else float("nan")
