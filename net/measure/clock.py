"""How long a call takes."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple, TypeVar

import torch

T = TypeVar("T")
_SECONDS = 1.0
_MOST = 100


class Timing(NamedTuple):
    """Milliseconds of a call, the median of so many runs."""

    milliseconds: float
    runs: int


def timed(call: Callable[[], Any], device: torch.device, runs: int | None = None) -> Timing:
    """Time a call, after one that only warms up.

    Args:
        device: on which it computes; what it has started there is waited for.
        runs: how often. None: as often as the first run lets expect in a second, 100 times at most.
    """
    expected = seconds(call, device)
    if runs is None:
        runs = max(1, min(_MOST, int(_SECONDS / max(expected, 1e-9))))
    return Timing(1e3 * median(seconds(call, device) for _ in range(runs)), runs)


def seconds(call: Callable[[], Any], device: torch.device) -> float:
    """Of one call, with what it has started on the device."""
    return with_seconds(call, device)[1]


def with_seconds(call: Callable[[], T], device: torch.device) -> tuple[T, float]:
    """The result of a call, and its `seconds`."""
    _wait(device)
    start = time.perf_counter()
    result = call()
    _wait(device)
    return result, time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
