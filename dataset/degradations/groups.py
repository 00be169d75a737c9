"""Several degradations as one: in order, or one of them."""

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Annotated, Any

from powerqe.dataset.augment import Dice
from powerqe.dataset.degradations.degradation import DEGRADATIONS, Action, Degradation, DegradedPair, Step
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import Slot, build, validate_component

Steps = list[Annotated[Any, Slot("degradation", Step)]]
"""The type of an option that holds degradations, each {type: NAME, share: p, ...}."""


@dataclass(frozen=True)
class _InOrder(Action):
    actions: tuple[Action, ...]

    def needs(self, side: int) -> int:
        for action in reversed(self.actions):
            side = action.needs(side)
        return side

    def apply(self, pair: DegradedPair, least: int) -> DegradedPair:
        for action in self.actions:
            pair = action.apply(pair, least)
        return pair


@DEGRADATIONS.register()
class Sequence:
    """Steps that happen in this order, each to its share of the samples; all of them to the share of the whole.

    Args:
        steps: degradations {type: NAME, share: p, ...}.

    Raises:
        UserError: no step, or what a step raises.
    """

    def __init__(self, *, steps: Steps) -> None:
        self._steps = _built(steps)

    def draw(self, dice: Dice) -> Action:
        """See `Degradation.draw`; each step has dice of its own, whether the others happen or not."""
        own = [(Dice(dice.number()), share, step) for share, step in self._steps]
        return _InOrder(tuple(step.draw(drawn) for drawn, share, step in own if drawn.unit() < share))


@DEGRADATIONS.register()
class OneOf:
    """One of several steps; their shares are the weights.

    Args:
        steps: degradations {type: NAME, share: weight, ...}.

    Raises:
        UserError: no step, no weight above 0, or what a step raises.
    """

    def __init__(self, *, steps: Steps) -> None:
        self._steps = _built(steps)
        if not any(share for share, _ in self._steps):
            raise UserError("OneOf: all shares are 0, expected one above it")

    def draw(self, dice: Dice) -> Action:
        """See `Degradation.draw`."""
        chosen = dice.pick([share for share, _ in self._steps])
        return self._steps[chosen][1].draw(Dice(dice.number()))


def _built(specs: Many[Any]) -> list[tuple[float, Degradation]]:
    """The steps with their shares."""
    if not specs:
        raise UserError("found no step, expected one or more {type: NAME, ...}")
    steps = []
    for number, spec in enumerate(specs):
        component = validate_component("degradation", spec, Step)
        try:
            steps.append((component.share, build(component)))
        except UserError as error:
            raise UserError(f"step {number} ({component.type}): {error}") from None
    return steps
