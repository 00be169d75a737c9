"""Learning-rate schedules as pure functions of the iteration.

A schedule maps the iteration (0 is the first) to a factor of the optimizer's `lr`. It has no state, so checkpoints do
not contain it.
"""

import math
from collections.abc import Callable

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from powerqe.algorithm.registries import SCHEDULERS

Schedule = Callable[[int], float]


@SCHEDULERS.register("none")
def constant(niter: int, /, *, warmup: NonNegativeInt = 0) -> Schedule:
    """Constant learning rate, after `warmup` iterations of linear increase."""
    return _warmed_up(lambda step: 1.0, warmup)


@SCHEDULERS.register("MultiStep")
def multi_step(
    niter: int, /, *, milestones: tuple[PositiveInt, ...], gamma: PositiveFloat = 0.5, warmup: NonNegativeInt = 0
) -> Schedule:
    """Multiply the learning rate by `gamma` at each milestone (an iteration)."""
    return _warmed_up(lambda step: gamma ** sum(step >= milestone for milestone in milestones), warmup)


@SCHEDULERS.register("Cosine")
def cosine(
    niter: int, /, *, period: PositiveInt | None = None, floor: NonNegativeFloat = 0.0, warmup: NonNegativeInt = 0
) -> Schedule:
    """Half a cosine from 1 to `floor` over `period` iterations (null: the whole training), then `floor`.

    Source: Loshchilov and Hutter, SGDR, ICLR 2017, eq. 5, without restarts.
    """
    length = period or niter
    return _warmed_up(lambda step: _half_cosine(min(step / length, 1.0), floor), warmup)


@SCHEDULERS.register("CosineRestart")
def cosine_restart(
    niter: int,
    /,
    *,
    period: PositiveInt,
    growth: PositiveInt = 1,
    floor: NonNegativeFloat = 0.0,
    warmup: NonNegativeInt = 0,
) -> Schedule:
    """Half cosines with restarts, each period `growth` times as long as the previous one (SGDR, ICLR 2017, eq. 5)."""

    def factor(step: int) -> float:
        length = period
        while step >= length:
            step, length = step - length, length * growth
        return _half_cosine(step / length, floor)

    return _warmed_up(factor, warmup)


def _half_cosine(progress: float, floor: float) -> float:
    return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2


def _warmed_up(schedule: Schedule, warmup: int) -> Schedule:
    return lambda step: schedule(step) * min((step + 1) / (warmup + 1), 1.0)
