"""What a degradation is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple, Protocol

import numpy as np
from pydantic import Field

from powerqe.dataset.augment import Dice
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import Component
from powerqe.utils.options.registry import Registry

DEGRADATIONS = Registry("degradation", package="powerqe.dataset.degradations")


class Step(Component):
    """A degradation within a chain."""

    share: Annotated[
        float, Field(ge=0, le=1, description="share of the samples that it happens to; within OneOf a weight")
    ] = 1.0


class DegradedPair(NamedTuple):
    """What a chain has made so far.

    lq, gt: uint8 (H, W, 1 or 3), of one size. quality: the quality factor of the JPEG that lq has just come out of, -1
    if it came out of another step or has none. tables: that JPEG's, float32 (1 or 2, 8, 8), see
    `powerqe.utils.codecs.jpeg_tables`.
    """

    lq: np.ndarray
    gt: np.ndarray
    quality: int = -1
    tables: np.ndarray | None = None

    @property
    def side(self) -> int:
        """The shorter side, in pixels."""
        return min(self.lq.shape[:2])


class Action:
    """What a degradation does to one sample; nothing is random in it anymore."""

    def needs(self, side: int) -> int:
        """How large the image must be, in pixels of both sides, that it is of `side` afterwards."""
        return side

    def apply(self, pair: DegradedPair, least: int) -> DegradedPair:
        """The image afterwards, no side of which is shorter than `least` if none was before."""
        raise NotImplementedError


class Degradation(Protocol):
    """What a chain uses of an entry of the registry."""

    def draw(self, dice: Dice) -> Action:
        """What happens to the sample of these dice."""
        ...


@dataclass(frozen=True)
class Change(Action):
    """Other pixels in lq; their place, and gt, stay. change: uint8 (H, W, C) to the same, may not write to it."""

    change: Callable[[np.ndarray], np.ndarray]

    def apply(self, pair: DegradedPair, least: int) -> DegradedPair:
        return DegradedPair(self.change(pair.lq), pair.gt)


def check_span(name: str, span: tuple[float, float], *, above: float) -> tuple[float, float]:
    """Return the [least, most] of an option; raises `UserError` unless above < least <= most."""
    low, high = span
    if not above < low <= high:
        raise UserError(f"{name}: found [{low:g}, {high:g}], expected [least, most] with {above:g} < least <= most")
    return low, high
