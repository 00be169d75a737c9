"""Bjøntegaard's mean distance between two curves of quality over bit rate.

G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001: each curve is a polynomial
of third degree through (here: fitted by least squares to) its points on a logarithmic axis of rates, and the
distance is the mean over what both curves cover.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.polynomial import Polynomial

from powerqe.utils.errors import UserError

POINTS = 4
"""As many as a polynomial of third degree needs."""


class RatePoint(NamedTuple):
    """One coding of a sequence: bits, or bits in a second, or in a frame (the unit drops out), and PSNR in dB."""

    rate: float
    quality: float


Points = Sequence[RatePoint]


def bd_rate(anchor: Points, test: Points) -> float:
    """How much more rate the second curve takes for the same quality, in percent; negative is a saving.

    Raises:
        UserError: a curve of fewer than four points, with values that are not finite or not positive, in which more
            rate does not bring more quality, or curves whose qualities do not overlap.
    """
    first, second = (_checked(points, what) for points, what in ((anchor, "anchor"), (test, "test")))
    distance = _mean_distance(first.quality, np.log10(first.rate), second.quality, np.log10(second.rate))
    return 100 * (math.pow(10, distance) - 1)


class _Curve(NamedTuple):
    """Points by rising rate."""

    rate: np.ndarray
    quality: np.ndarray


def _checked(points: Points, what: str) -> _Curve:
    if len(points) < POINTS:
        raise UserError(f"BD-rate: the {what} curve has {len(points)} points, a cubic needs {POINTS} or more rates")
    ordered = sorted(points)
    rate, quality = (np.array(values, float) for values in zip(*ordered, strict=True))
    if not (np.isfinite(rate).all() and np.isfinite(quality).all() and (rate > 0).all()):
        raise UserError(f"BD-rate: the {what} curve has a rate or a quality that is not a positive, finite number")
    if not ((np.diff(rate) > 0).all() and (np.diff(quality) > 0).all()):
        listed = ", ".join(f"{point.rate:g} -> {point.quality:.3f} dB" for point in ordered)
        raise UserError(f"BD-rate: quality does not grow with the rate in the {what} curve: {listed}")
    return _Curve(rate, quality)


def _mean_distance(x1: np.ndarray, y1: np.ndarray, x2: np.ndarray, y2: np.ndarray) -> float:
    """Mean of y2 - y1 over the x that both curves cover."""
    low, high = max(x1[0], x2[0]), min(x1[-1], x2[-1])
    if low >= high:
        raise UserError("BD-rate: the curves have no qualities in common")
    areas = [(integral := Polynomial.fit(x, y, 3).integ())(high) - integral(low) for x, y in ((x1, y1), (x2, y2))]
    return float(areas[1] - areas[0]) / float(high - low)
