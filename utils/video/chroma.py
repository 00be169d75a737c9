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
            shape = [2 * size if place == axis else size for place, size in enumerate(plane.shape)]
            coarse, plane = plane, np.empty(shape, np.float32)
            for first, weights in enumerate(_UP[site[axis]]):
                plane[_along(axis, first, None, 2)] = _weighted(coarse, axis, 1, weights)
    return plane


def reduced(plane: np.ndarray, steps: tuple[int, int], site: Site) -> np.ndarray:
    """The inverse of `enlarged`, float32: a sample is the mean of its pixels, or of those around it weighted 1, 2, 1.

    Args:
        plane: (H, W), with even sides where there are two pixels for a sample.
    """
    plane = np.asarray(plane, np.float32)
    for axis, step in enumerate(steps):
        if step == 2:
            plane = _weighted(plane, axis, 2, _DOWN[site[axis]])
    return plane


def _weighted(plane: np.ndarray, axis: int, step: int, weights: tuple[float, ...]) -> np.ndarray:
    """For each `step`-th line along an axis the weighted sum of the line before it and those that follow; beyond the
    border the plane goes on."""
    count, last = plane.shape[axis], plane[_along(axis, -1, None)]
    continued = np.concatenate([plane[_along(axis, None, 1)], plane, last, last], axis)
    parts = (
        continued[_along(axis, place, place + count, step)] * np.float32(weight)
        for place, weight in enumerate(weights)
        if weight
    )
    total = next(parts)
    for part in parts:
        total += part
    return total


def _along(axis: int, *bounds: int | None) -> tuple[slice, ...]:
    """The index of some of the lines along an axis."""
    return (*[slice(None)] * axis, slice(*bounds))
