"""Optimizers, and learning-rate schedules as pure functions of the iteration.

A schedule maps the iteration (0 for the first step) to a factor of the optimizer's `lr`. Because it has
no state, a resumed training is at the right rate by arithmetic, and nothing of it is in a checkpoint.
"""

import math
from collections.abc import Callable, Iterable
from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import nn

from powerqe.algorithm.registries import OPTIMIZERS, SCHEDULERS

Schedule = Callable[[int], float]
Parameters = Iterable[nn.Parameter]
Beta = Annotated[float, Field(ge=0, lt=1)]


@OPTIMIZERS.register("Adam")
def adam(
    parameters: Parameters,
    /,
    *,
    lr: PositiveFloat = 1e-4,
    betas: tuple[Beta, Beta] = (0.9, 0.999),
    eps: PositiveFloat = 1e-8,
    weight_decay: NonNegativeFloat = 0.0,
) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba, ICLR 2015); weight decay as an L2 term of the gradient."""
    return torch.optim.Adam(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=True)


@OPTIMIZERS.register("AdamW")
def adamw(
    parameters: Parameters,
    /,
    *,
    lr: PositiveFloat = 1e-4,
    betas: tuple[Beta, Beta] = (0.9, 0.999),
    eps: PositiveFloat = 1e-8,
    weight_decay: NonNegativeFloat = 0.01,
) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019)."""
    return torch.optim.AdamW(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=True)


@OPTIMIZERS.register("SGD")
def sgd(
    parameters: Parameters,
    /,
    *,
    lr: PositiveFloat = 1e-2,
    momentum: NonNegativeFloat = 0.9,
    weight_decay: NonNegativeFloat = 0.0,
    nesterov: bool = False,
) -> torch.optim.Optimizer:
    """Stochastic gradient descent with momentum."""
    return torch.optim.SGD(
        parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, fused=True
    )


@SCHEDULERS.register("none")
def constant(niter: int, /, *, warmup: NonNegativeInt = 0) -> Schedule:
    """Always the optimizer's lr, after `warmup` iterations of linear increase."""
    return _warmed_up(lambda step: 1.0, warmup)


@SCHEDULERS.register("MultiStep")
def multi_step(
    niter: int, /, *, milestones: tuple[PositiveInt, ...], gamma: PositiveFloat = 0.5, warmup: NonNegativeInt = 0
) -> Schedule:
    """Times `gamma` from each milestone (an iteration) on."""
    return _warmed_up(lambda step: gamma ** sum(step >= milestone for milestone in milestones), warmup)


@SCHEDULERS.register("Cosine")
def cosine(
    niter: int, /, *, period: PositiveInt | None = None, floor: NonNegativeFloat = 0.0, warmup: NonNegativeInt = 0
) -> Schedule:
    """Half a cosine from 1 down to `floor` over `period` iterations (null: the whole training), then `floor`.

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
    """Half cosines that start again, each `growth` times as long as the one before (SGDR, ICLR 2017, eq. 5)."""

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
