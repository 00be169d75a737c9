"""Multiply-accumulates of a network: its convolutions, matrix products and distances between patches.

PyTorch counts them (torch.utils.flop_counter); here are the formulas of what it does not know. Activations,
normalization, sums and resampling are not counted.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from powerqe.net.measure.unbounded_modules import follows_motion
from powerqe.net.ops import dcn


def counter(network: nn.Module) -> FlopCounterMode:
    """A block in which calls of the network are counted; `macs` reads it. Fake tensors are counted as real ones."""
    if follows_motion(network):
        dcn.status()  # loads the operators, which cannot be named before
    return FlopCounterMode(display=False, custom_mapping=_formulas())


def macs(counted: FlopCounterMode) -> int:
    """Multiply-accumulates counted by a `counter`; an operation is a half of one."""
    return counted.get_total_flops() // 2


def _formulas() -> dict[Any, Callable[..., int]]:
    """Operator -> twice its multiply-accumulates, given the shapes of its arguments."""
    formulas: dict[Any, Callable[..., int]] = {torch.ops.aten._cdist_forward: _distances}
    for operators, place in ((torch.ops.powerqe, 3), (torch.ops.torchvision, 1)):
        if hasattr(operators, "deform_conv2d"):
            formulas[operators.deform_conv2d] = partial(_convolution, place)
    return formulas


def _convolution(place: int, *shapes: Any, out_shape: torch.Size, **_: Any) -> int:
    """Of an operator whose weight is the argument at this place."""
    return 2 * math.prod(out_shape) * math.prod(shapes[place][1:])


def _distances(a: torch.Size, b: torch.Size, *_: Any, out_shape: torch.Size, **__: Any) -> int:
    """Of vectors: a difference and the sum of its square for each of their numbers, as much as a product."""
    return 2 * math.prod(out_shape) * a[-1]
