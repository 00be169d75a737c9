"""Random crops, flips and rotations, computed from a seed.

A sample's randomness is a hash of its seed, not a generator with state: creating a generator costs more
than the whole crop, and a hash gives the same sample in any process and order.
"""

from typing import NamedTuple

import numpy as np

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


class Window(NamedTuple):
    """A part of an image in pixels: rows top <= y < top + height, columns left <= x < left + width."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The view of this part of an (H, W, C) image."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def scaled(self, scale: int) -> "Window":
        """The same part of an image that is `scale` times larger."""
        return Window(*(scale * value for value in self)) if scale != 1 else self

    def within(self, region: "Window") -> "Window":
        """The same part as seen from a region around it."""
        return Window(self.top - region.top, self.left - region.left, self.height, self.width)


def mix(*values: int) -> int:
    """Hash integers to 64 bits (the output function of SplitMix64, Steele et al., OOPSLA 2014, fig. 17)."""
    state = 0
    for value in values:
        state = (state + value + 1) * _GOLDEN & _MASK
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


def random_window(seed: int, height: int, width: int, patch: int, unit: int = 1) -> Window:
    """A uniformly placed patch x patch window in a height x width image that is large enough.

    Its first row and column are multiples of `unit`.
    """
    number = mix(seed, 0)  # 32 bits of it for each direction
    top = ((number >> 32) * ((height - patch) // unit + 1) >> 32) * unit
    left = ((number & 0xFFFFFFFF) * ((width - patch) // unit + 1) >> 32) * unit
    return Window(top, left, patch, patch)


def random_symmetry(seed: int, flip: bool, rotate: bool) -> int:
    """A symmetry for `powerqe.utils.image.io.oriented`: `flip` allows both mirrors, `rotate` the transposition.

    Both together give all 8 flips and rotations with the same probability.
    """
    return mix(seed, 1) & (3 * flip | 4 * rotate)


def random_between(seed: int, low: int, high: int) -> int:
    """A uniform integer low <= n <= high."""
    return low + (mix(seed, 2) * (high - low + 1) >> 64)
