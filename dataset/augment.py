"""Random crops, flips and rotations, computed from a seed.

A sample's randomness is a hash of its seed, not a generator with state: creating a generator costs more
than the whole crop, and a hash gives the same sample in any process and order.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from powerqe.utils.image.crop import CropBox

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def mix(*values: int) -> int:
    """Hash integers to 64 bits (the output function of SplitMix64, Steele et al., OOPSLA 2014, fig. 17)."""
    state = 0
    for value in values:
        state = (state + value + 1) * _GOLDEN & _MASK
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


def random_crop(seed: int, height: int, width: int, patch: int, unit: int = 1) -> CropBox:
    """A uniformly placed patch x patch box in a height x width image that is large enough.

    Its first row and column are multiples of `unit`.
    """
    number = mix(seed, 0)  # 32 bits of it for each direction
    top = ((number >> 32) * ((height - patch) // unit + 1) >> 32) * unit
    left = ((number & 0xFFFFFFFF) * ((width - patch) // unit + 1) >> 32) * unit
    return CropBox(top, left, patch, patch)


def random_symmetry(seed: int, flip: bool, rotate: bool) -> int:
    """For `powerqe.utils.image.orientation.oriented`: `flip` allows both mirrors, `rotate` the transposition.

    Both together give all 8 flips and rotations with the same probability.
    """
    return mix(seed, 1) & (3 * flip | 4 * rotate)


def random_between(seed: int, low: int, high: int) -> int:
    """A uniform integer low <= n <= high."""
    return low + (mix(seed, 2) * (high - low + 1) >> 64)


def random_unit(seed: int) -> float:
    """A uniform number 0 <= u < 1."""
    return (mix(seed, 2) >> 11) * 2.0**-53


class Dice:
    """Random numbers out of a seed, one after the other, each a hash of the seed and of its place."""

    def __init__(self, seed: int) -> None:
        self._seed, self._thrown = seed, 0

    def number(self) -> int:
        """A uniform 64-bit number, the seed of something else."""
        self._thrown += 1
        return mix(self._seed, self._thrown)

    def unit(self) -> float:
        """A uniform number 0 <= u < 1."""
        return random_unit(self.number())

    def within(self, low: float, high: float) -> float:
        """A uniform number from low to high."""
        return low + self.unit() * (high - low)

    def between(self, low: int, high: int) -> int:
        """A uniform integer low <= n <= high."""
        return random_between(self.number(), low, high)

    def pick(self, weights: Sequence[float]) -> int:
        """The place of one of the weights, drawn in proportion to them; they are not all 0."""
        sums = list(accumulate(weights))
        return bisect_right(sums, self.unit() * sums[-1])
