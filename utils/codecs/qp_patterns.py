"""The QP of every frame in low-delay P coding: some frames are coded better than their neighbors, on purpose."""

from collections.abc import Callable
from typing import NamedTuple

from powerqe.utils.errors import UserError


class Pattern(NamedTuple):
    """What is added to the base QP.

    first: for the intra frame at the start. offsets: for those after it, again and again. extra: for the same but
    the last of each round, as a function of the QP with its offset.
    """

    first: int = 0
    offsets: tuple[int, ...] = (0,)
    extra: Callable[[int], int] = lambda qp: 0

    def qps(self, qp: int, count: int) -> list[int]:
        """The QP of each of the frames."""
        found = [qp + self.first]
        for index in range(count - 1):
            shifted = qp + self.offsets[index % len(self.offsets)]
            last = (index + 1) % len(self.offsets) == 0
            found.append(shifted + (0 if last else self.extra(shifted)))
        return found[:count]


def _hm18_extra(qp: int) -> int:
    return int(min(max(0.259 * qp - 6.5 + 0.5, 0), 3))


PATTERNS: dict[str, Pattern] = {
    "flat": Pattern(),
    # The table that low-delay P configurations of the HM had for most of its life. Of HM 16.5 another one (5, 4, 5, 1)
    # is described, too; the log of a real run has the actual ones.
    "ldp-hm16": Pattern(0, (3, 2, 3, 1)),
    # encoder_lowdelay_P_main.cfg of HM 16.25 to 18: QPOffset, QPOffsetModelOff and QPOffsetModelScale, IntraQPOffset.
    "ldp-hm18": Pattern(-1, (5, 4, 5, 4, 5, 4, 5, 1), _hm18_extra),
}
"""By name; the hierarchies of the reference encoder (HM), whose frame types are I P P P ..."""


def frame_qps(pattern: str, qp: int, count: int) -> list[int]:
    """The QP of each of `count` frames; what a codec does not have among them is for the codec to cut off.

    Raises:
        UserError: no such pattern.
    """
    if pattern not in PATTERNS:
        raise UserError(f"unknown pattern {pattern!r}; known: {', '.join(PATTERNS)}")
    return PATTERNS[pattern].qps(qp, count)
