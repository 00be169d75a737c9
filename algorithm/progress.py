"""Losses, speed and remaining time of a training, for log and TensorBoard."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from powerqe.utils.log import duration, logger
from powerqe.utils.ranks import Ranks

SLOW_DATA = 0.3
"""Share of the time waiting for data above which the log has a hint."""


class Progress:
    """Accumulates losses (without synchronizing with the device) and times between log lines."""

    def __init__(self, niter: int) -> None:
        self._niter = niter
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._data = 0.0
        self._start: float | None = None
        self._paused = 0.0
        self._steps = 0

    def start_clock(self) -> None:
        """(Re)start the timing; called before the first step and after each line."""
        self._start, self._data, self._paused, self._steps = time.perf_counter(), 0.0, 0.0, 0

    def add_losses(self, parts: Mapping[str, Tensor]) -> None:
        """Add the unweighted losses of a batch."""
        for name, value in parts.items():
            value = value.detach()
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
            self._counts[name] = self._counts.get(name, 0) + 1

    def add_step(self, data_seconds: float) -> None:
        """Add a training step and its time waiting for data."""
        self._steps += 1
        self._data += data_seconds

    def add_pause(self, seconds: float) -> None:
        """Exclude the time of a validation from speed and ETA."""
        self._paused += seconds

    def report(self, step: int, rates: Mapping[str, float], ranks: Ranks) -> dict[str, float]:
        """Log the interval that ends at `step` and start the next. Returns the mean losses over all ranks."""
        losses = {name: float(value) / self._counts[name] for name, value in self._sums.items()}
        losses = _mean_over_ranks(losses, ranks)
        elapsed = max(time.perf_counter() - (self._start or 0.0) - self._paused, 1e-9)
        speed, data = self._steps / elapsed, self._data / elapsed
        rate = ", ".join(f"{value:.4g}" for value in rates.values())
        logger.info(
            f"iter {step}/{self._niter} | "
            + "".join(f"{name} {value:.6g} | " for name, value in losses.items())
            + f"lr {rate} | {speed:.3g} it/s | data {data:.0%} of step | eta {duration((self._niter - step) / speed)}"
        )
        if data > SLOW_DATA and self._steps >= 10:
            logger.info(f"  waiting for data takes {data:.0%} of the time: increase nworker_pg or use an LMDB store")
        self._sums, self._counts = {}, {}
        self.start_clock()
        return losses

    def state(self) -> dict[str, Any]:
        """The running sums, for a checkpoint between two log lines."""
        return {"sums": {name: value.cpu() for name, value in self._sums.items()}, "counts": self._counts}

    def load_state(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Restore the sums of `state`."""
        self._sums = {name: value.to(device) for name, value in state["sums"].items()}
        self._counts = dict(state["counts"])


def _mean_over_ranks(losses: dict[str, float], ranks: Ranks) -> dict[str, float]:
    parts = ranks.gather(losses)
    return {name: sum(part[name] for part in parts) / len(parts) for name in losses}
