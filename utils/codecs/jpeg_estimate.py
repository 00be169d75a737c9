"""The quality factor of a JPEG whose file is gone, found by compressing its pixels once more.

A decoded JPEG that is compressed again, its blocks in the same places, changes least at the quality factor that it
had: there the coefficients already are multiples of the steps. Against the quality factor, the logarithm of the mean
squared change has a sharp dip. Its depth is more reliable than the smallest change, which falls towards quality 100.
"""

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np

from powerqe.utils.codecs.jpeg import JPEG

QUALITIES = range(5, 99)
"""Quality factors that can be estimated. Below most steps are 255 and above most are 1 whatever the factor."""
DIP = 0.3
"""The smallest dip that counts. Photographs that never were JPEG have at most 0.15."""

_SMALLEST = 0.01  # mean squared change; less, one pixel in a hundred by 1, is chance
_LARGEST_SIDE = 512  # of the analyzed part; more pixels do not help


class Dip(NamedTuple):
    """A compression as it shows."""

    quality: int
    depth: float


def estimate_quality(image: np.ndarray) -> int | None:
    """The quality factor of libjpeg with which a decoded JPEG was made, or None without a trace of one.

    See `last_compression`.
    """
    dip = last_compression(image)
    return dip.quality if dip.depth >= DIP else None


def last_compression(image: np.ndarray) -> Dip:
    """The dip of the compression that an image has just come from; one less deep than `DIP` means nothing.

    At the right quality factor and at some higher ones whose steps divide its steps (90 for 50) there are dips; the
    lowest of those that are at least a third as deep as the deepest is taken. Around 50, where the tables of
    neighbors are nearly the same, it can be one off. Drawings and even areas, in which there is little to change, can
    look like a JPEG that they are not.

    Args:
        image: uint8 (H, W, 1) gray or (H, W, 3) RGB; a block of the JPEG begins at the top left pixel.
    """
    changes = _log_changes(middle(image))
    depths = _depths(changes)
    deepest = max(depths, key=depths.__getitem__)
    if depths[deepest] < DIP:
        return Dip(deepest, depths[deepest])
    quality = next(quality for quality in QUALITIES if depths[quality] >= max(DIP, depths[deepest] / 3))
    while (better := min((quality - 1, quality + 1), key=changes.__getitem__)) in QUALITIES:
        if changes[better] >= changes[quality]:
            break
        quality = better  # the tables of 49, 50 and 51 are nearly the same
    return Dip(quality, depths[deepest])


def dips(image: np.ndarray) -> dict[int, float]:
    """For each quality factor q in `QUALITIES` log c(q - 1) + log c(q + 1) - 2 log c(q), c the change by JPEG.

    Args:
        image: uint8 (H, W, 1) gray or (H, W, 3) RGB, of which the luma is judged: how the file kept the chroma does
            not matter then. Blocks of the JPEG to be found begin at its top left pixel.
    """
    return _depths(_log_changes(image))


def full_range_luma(image: np.ndarray) -> np.ndarray:
    """The luma that JPEG files keep, uint8 (H, W, 1), of gray (H, W, 1) or RGB (H, W, 3)."""
    return image if image.shape[2] == 1 else cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None]


def _log_changes(image: np.ndarray) -> dict[int, float]:
    """Log of the mean squared change by each quality factor, from one below the first to one above the last."""
    luma = full_range_luma(image)
    codec = JPEG()
    found = {}
    for quality in range(QUALITIES[0] - 1, QUALITIES[-1] + 2):
        change = cv2.norm(luma, codec.compress(luma, quality)[0], cv2.NORM_L2SQR) / luma.size
        found[quality] = float(np.log(max(change, _SMALLEST)))
    return found


def _depths(changes: Mapping[int, float]) -> dict[int, float]:
    return {q: changes[q - 1] + changes[q + 1] - 2 * changes[q] for q in QUALITIES}


def middle(image: np.ndarray) -> np.ndarray:
    """The middle of a large image (H, W, C), from where a block begins."""
    top, left = (max(0, length - _LARGEST_SIDE) // 16 * 8 for length in image.shape[:2])
    return image[top : top + _LARGEST_SIDE, left : left + _LARGEST_SIDE]
