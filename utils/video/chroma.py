"""Chroma between its own samples and the pixels of luma, which need not lie where its samples do.

Where a sample lies is ITU-T H.273's ChromaSampleLocType, figures of its section 8.7: an offset to the first pixel of
those that it stands for, in pixels of luma.
"""

import numpy as np

Site = tuple[float, float]
"""(down, right): the offset of a sample of subsampled chroma, 0, 0.5 or 1."""

SITES: tuple[Site, ...] = ((0.5, 0), (0.5, 0.5), (0, 0), (0, 0.5), (1, 0), (1, 0.5))
"""By ChromaSampleLocType: left, center, top left, top, bottom left, bottom."""

_UP = {0: ((0, 1, 0), (0, 0.5, 0.5)), 0.5: ((0.25, 0.75, 0), (0, 0.75, 0.25)), 1: ((0.5, 0.5, 0), (0, 1, 0))}
"""By the offset: weights of the sample before, the one itself and the next, for both of its pixels: linear."""
_DOWN = {0: (0.25, 0.5, 0.25, 0), 0.5: (0, 0.5, 0.5, 0), 1: (0, 0.25, 0.5, 0.25)}
"""By the offset: weights of the pixel before a sample's two, these, and the next."""


def enlarged(plane: np.ndarray, steps: tuple[int, int], site: Site) -> np.ndarray:
    """A plane of chroma at each pixel, float32, interpolated linearly.

    Args:
        plane: (H, W) of any type.
        steps: rows and columns of pixels for each of its samples, 1 or 2.
        site: of its samples.
    """
    plane = np.asarray(plane, np.float32)
    for axis, step in enumerate(steps):
        if step == 2:
            places = range(plane.shape[axis])
            pixels = [_weighted(plane, axis, places, (-1, 0, 1), weights) for weights in _UP[site[axis]]]
            shape = [2 * size if place == axis else size for place, size in enumerate(plane.shape)]
            plane = np.stack(pixels, axis + 1).reshape(shape)
    return plane


def reduced(plane: np.ndarray, steps: tuple[int, int], site: Site) -> np.ndarray:
    """The inverse of `enlarged`, float32: a sample is the mean of its pixels, or of those around it weighted 1, 2, 1.

    Args:
        plane: (H, W), with even sides where there are two pixels for a sample.
    """
    plane = np.asarray(plane, np.float32)
    for axis, step in enumerate(steps):
        if step == 2:
            places = range(0, plane.shape[axis], 2)
            plane = _weighted(plane, axis, places, (-1, 0, 1, 2), _DOWN[site[axis]])
    return plane


def _weighted(
    plane: np.ndarray, axis: int, places: range, offsets: tuple[int, ...], weights: tuple[float, ...]
) -> np.ndarray:
    """The weighted sum of what lies at offsets from some places along an axis; beyond the border it goes on."""
    last, starts = plane.shape[axis] - 1, np.array(places)
    parts = [weight * plane.take((starts + offset).clip(0, last), axis)
             for offset, weight in zip(offsets, weights, strict=True) if weight]  # fmt: skip
    return np.stack(parts).sum(axis=0, dtype=np.float32)
