"""Validation during a training: the scores of a network, or of lq, over the validation set."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.data import Subset

from powerqe.algorithm.trial import try_validation
from powerqe.dataset import build_dataset
from powerqe.dataset.loader import collate, to_device
from powerqe.evaluation.evaluate import Enhance, Metrics, Record, Scores, evaluate, home
from powerqe.inference.precision import choose_precision, prepared
from powerqe.inference.tiled import enhancer
from powerqe.utils.options.tree import Options
from powerqe.utils.ranks import Ranks


class Validation:
    """The validation set and its metrics.

    Args:
        options: with `dataset.val`, which may be null, and `val`.
        ranks: share the images.
        stop: asked before each image whether to leave.
    """

    def __init__(self, options: Options, ranks: Ranks, stop: Callable[[], bool]) -> None:
        self._set = build_dataset(options.dataset.val, "dataset.val") if options.dataset.val else None
        self._options, self._ranks, self._stop = options.val, ranks, stop
        self.metrics = Metrics(options.val.criterion)

    def __bool__(self) -> bool:
        return self._set is not None

    def scores(self, network: nn.Module, on_result: Callable[..., None] | None) -> dict[str, float]:
        """Mean scores of a network in evaluation mode.

        Raises:
            StoppedError: on every rank, if one was to leave.
            UserError: an image does not fit into memory.
        """
        records = self._records(self._set, self._enhance(network), on_result)
        return self._pooled([record.result for record in records])

    def baseline(self, network: nn.Module) -> dict[str, float]:
        """Mean scores of lq. The network is tried with the largest image, so that a lack of memory shows at once.

        Raises:
            StoppedError, UserError: as `scores`.
        """
        records = self._records(self._set, None)
        largest = max(range(len(records)), key=lambda index: records[index].height * records[index].width)
        enhance = self._enhance(network)
        with torch.inference_mode():
            enhance(to_device(collate([self._set[largest]]), home(enhance, self._ranks.device)))  # pyright: ignore[reportOptionalSubscript]
        return self._pooled([record.baseline for record in records])

    def try_one(self, network: nn.Module) -> None:
        """Enhance and score the first image."""
        self._records(Subset(self._set, [0]), self._enhance(network))  # pyright: ignore[reportArgumentType] - has what Subset uses

    def check(self, network: nn.Module) -> None:
        """Raise `UserError` if the network cannot take the first image, or returns one that has not the size of gt."""
        if self._set is not None:
            try_validation(self._enhance(network), self._set, self._ranks.device, type(network).__name__)

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether a value of the metric that judges is better. Everything is better than nothing, and than NaN."""
        sign = 1 if self.metrics.higher_is_better(self._options.focus) else -1
        return than is None or than != than or sign * value > sign * than

    def _enhance(self, network: nn.Module) -> Enhance:
        precision = choose_precision(self._options.precision, self._ranks.device, None)
        if precision != "fp32":
            network = prepared(copy.deepcopy(network), precision)  # training goes on with the network itself
        return enhancer(network, self._options)

    def _records(
        self, images: Any, enhance: Enhance | None, on_result: Callable[..., None] | None = None
    ) -> list[Record]:
        return evaluate(
            images,
            self.metrics,
            self._ranks,
            enhance,
            with_baseline=enhance is None,
            on_result=on_result,
            title="validation",
            stop=self._stop,
            timed=False,
        )

    def _pooled(self, scores: list[Scores]) -> dict[str, float]:
        return {name: self.metrics.pool(name, [score.get(name) for score in scores]) for name in self.metrics.names}
