"""How much the quality of a video goes up and down: deviation, peaks and valleys of PSNR over the frames.

SD, PVD and PS are those of MFQE: Yang et al., "Multi-Frame Quality Enhancement for Compressed Video", CVPR 2018;
Guan et al., "MFQE 2.0", TPAMI 2019, section 3.1. The papers do not specify frames without neighbors, equal neighbors
and equally near valleys; the rules here are ours. A value that is not finite (a frame that equals its ground truth) is
a frame of the curve, but no difference is taken from it.
"""

import math
from collections.abc import Sequence
from statistics import fmean, pstdev

Curve = Sequence[float]
"""A score of each frame, in the order of the frames; better is higher."""


def deviation(curve: Curve) -> float:
    """SD, the standard deviation of the finite values, divided by their number n and not by n - 1; NaN of nothing."""
    finite = [value for value in curve if math.isfinite(value)]
    return pstdev(finite) if finite else math.nan


def peaks(curve: Curve) -> list[int]:
    """Frames that are better than both neighbors; the first and the last frame have one only and are none."""
    return [t for t in range(1, len(curve) - 1) if curve[t - 1] < curve[t] > curve[t + 1]]


def valleys(curve: Curve) -> list[int]:
    """Frames that are worse than both neighbors."""
    return [t for t in range(1, len(curve) - 1) if curve[t - 1] > curve[t] < curve[t + 1]]


def peak_valley_difference(curve: Curve, like: Curve | None = None) -> float:
    """PVD: how much better a peak is than the valley next to it, the mean over the peaks.

    Of two valleys at the same distance the mean is taken.

    Args:
        curve: whose values are compared.
        like: in which the peaks and valleys lie, by default in `curve` itself. With the compressed video's here, the
            same frames are compared before and after enhancement; it may be negative then.

    Returns:
        In the unit of the curve; NaN without a peak or without a valley.

    Raises:
        ValueError: curves of different lengths.
    """
    like = curve if like is None else like
    if len(like) != len(curve):
        raise ValueError(f"curves of {len(curve)} and {len(like)} frames")
    low = valleys(like)
    if not low:
        return math.nan
    differences = [curve[peak] - fmean(curve[valley] for valley in _nearest(low, peak)) for peak in peaks(like)]
    finite = [value for value in differences if math.isfinite(value)]
    return fmean(finite) if finite else math.nan


def peak_separation(curve: Curve) -> float:
    """PS: mean distance between one peak and the next, in frames; NaN with fewer than two peaks."""
    found = peaks(curve)
    return (found[-1] - found[0]) / (len(found) - 1) if len(found) > 1 else math.nan


def _nearest(places: Sequence[int], peak: int) -> list[int]:
    """The nearest place, or two if they are equally near."""
    distance = min(abs(place - peak) for place in places)
    return [place for place in places if abs(place - peak) == distance]
