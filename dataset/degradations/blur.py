"""Blur by a Gaussian, of the lens or of the hand."""

from functools import partial
from math import ceil, cos, pi, sin

import cv2
import numpy as np

from powerqe.dataset.augment import Dice
from powerqe.dataset.degradations.degradation import DEGRADATIONS, Action, Change, check_span
from powerqe.utils.errors import UserError

_REACH = 3  # standard deviations from the middle of a kernel to its end


@DEGRADATIONS.register()
class Blur:
    """lq blurred by a Gaussian; beyond its borders the image is mirrored.

    Args:
        sigma: [least, most] standard deviation in pixels, drawn uniformly.
        ratio: [least, most] of the standard deviation across, as a part of sigma, drawn uniformly; its direction, too.
            [1, 1] is the same in all directions.

    Raises:
        UserError: values that are not above 0 or in the wrong order, or a ratio above 1.
    """

    def __init__(self, *, sigma: tuple[float, float], ratio: tuple[float, float] = (1.0, 1.0)) -> None:
        self._sigma, self._ratio = check_span("sigma", sigma, above=0), check_span("ratio", ratio, above=0)
        if ratio[1] > 1:
            raise UserError(f"ratio: found [{ratio[0]:g}, {ratio[1]:g}], expected at most 1")

    def draw(self, dice: Dice) -> Action:
        """See `Degradation.draw`."""
        kernel = gaussian(dice.within(*self._sigma), dice.within(*self._ratio), pi * dice.unit())
        return Change(partial(_filtered, kernel=kernel))


def gaussian(sigma: float, ratio: float, angle: float) -> np.ndarray:
    """A kernel of sum 1, float32 (2 r + 1, 2 r + 1) with r = 3 sigma rounded up.

    Args:
        sigma: standard deviation along a direction, in pixels.
        ratio: that across is ratio x sigma.
        angle: of the direction against the rows, in radians, growing downwards.
    """
    reach = ceil(_REACH * sigma)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = x * cos(angle) + y * sin(angle), y * cos(angle) - x * sin(angle)
    kernel = np.exp(-(along**2 + (across / ratio) ** 2) / (2 * sigma**2))
    return (kernel / kernel.sum()).astype(np.float32)


def _filtered(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101).reshape(image.shape)
