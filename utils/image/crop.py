"""A rectangular part of an image."""

from typing import NamedTuple

import numpy as np


class CropBox(NamedTuple):
    """A part of an image in pixels: rows top <= y < top + height, columns left <= x < left + width.

    As text it is WxH+X+Y (width, height, left, top).
    """

    top: int
    left: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}+{self.left}+{self.top}"

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The view of this part of an (H, W) or (H, W, C) image."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def scaled(self, scale: int) -> "CropBox":
        """The same part of an image that is `scale` times larger."""
        return CropBox(*(scale * value for value in self)) if scale != 1 else self

    def within(self, outer: "CropBox") -> "CropBox":
        """The same part, relative to a box around it."""
        return CropBox(self.top - outer.top, self.left - outer.left, self.height, self.width)
