"""Structural similarity.

Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image Quality Assessment: From Error Visibility to
Structural Similarity", IEEE TIP 13(4), 2004.
"""

import math
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field

from powerqe.utils.metrics import METRICS, MetricUnavailable
from powerqe.utils.metrics.image_metric import PEAK, Border, Channel, Preparation, Rounding

_C1 = (0.01 * PEAK) ** 2
_C2 = (0.03 * PEAK) ** 2
_STRIP = 32  # rows at a time on a CPU: the maps of a strip stay in its cache


class _Window(NamedTuple):
    """A separable window: its weights along one axis, and the factor on variances and covariances."""

    weights: list[float]
    correction: float
    remark: str


def _gaussian(size: int, sigma: float) -> list[float]:
    bell = [math.exp(-((k - size // 2) ** 2) / (2 * sigma**2)) for k in range(size)]
    return [value / sum(bell) for value in bell]


_WINDOWS = {
    "gaussian11": _Window(_gaussian(11, 1.5), 1.0, ""),
    "uniform8": _Window([1 / 8] * 8, 1.0, ", 8x8 window"),
    "uniform7": _Window([1 / 7] * 7, 49 / 48, ", 7x7 window"),
}

Window = Annotated[
    Literal["gaussian11", "uniform8", "uniform7"],
    Field(description="gaussian11: the original; uniform8: the QGCN papers'; uniform7: scikit-image's default"),
]


@METRICS.register()
class SSIM:
    """Mean structural similarity, 1 for equal images; in color, the mean of the channels.

    Equation 13 of the paper with C1 = (0.01 x 255)^2 and C2 = (0.03 x 255)^2, averaged over the positions at
    which the window lies wholly inside the image ("valid" area). Values under different windows must
    not be compared.

    Args:
        channel: "all" or "y".
        border: pixels left out at each side, before the window is laid.
        rounding: "uint8", "float" or "unclamped".
        window: "gaussian11", 11x11 Gaussian with sigma 1.5 and population covariance (the original, FBCNN,
            BasicSR); "uniform8", flat 8x8, population covariance (QGCN's gray tables); "uniform7", flat 7x7,
            sample covariance (scikit-image's default, QGCN's color LIVE1 rows).
    """

    unit = ""
    higher_is_better = True

    def __init__(
        self,
        *,
        channel: Channel = "all",
        border: Border = 0,
        rounding: Rounding = "uint8",
        window: Window = "gaussian11",
    ) -> None:
        self._prepare = Preparation(channel, border, rounding)
        self._window: Window = window

    def __call__(self, result: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """SSIM of each image, (N,) float64, of two (N, C, H, W) in [0, 1].

        Raises:
            MetricUnavailable: the image is smaller than the window, or as `Preparation`.
        """
        result, target = self._prepare(result, target)
        margin = _size(self._window, *result.shape[-2:]) - 1
        rows, columns = (side - margin for side in result.shape[-2:])
        strip = _STRIP if result.device.type == "cpu" else rows
        total = result.new_zeros(len(result), dtype=torch.float64)
        for top in range(0, rows, strip):
            part = slice(top, min(top + strip, rows) + margin)
            luminance, structure = similarity(result[..., part, :], target[..., part, :], self._window)
            total += (luminance * structure).sum(dim=(1, 2, 3), dtype=torch.float64)
        return total / (result.shape[1] * rows * columns)

    def describe(self, channels: int) -> str:
        """The convention, for images of this many channels; the original's window goes without saying."""
        return self._prepare.describe(channels) + _WINDOWS[self._window].remark


def similarity(x: torch.Tensor, y: torch.Tensor, window: Window = "gaussian11") -> tuple[torch.Tensor, torch.Tensor]:
    """The two factors of equation 13, luminance and contrast with structure, at each valid position of the window.

    Differentiable. Only the sums of the means' squares and of the variances enter, besides the products. Both follow
    from s = x + y and d = x - y, so that four maps need filtering instead of five. Variances are differences of
    squares: the level that s is measured from is free, and the mean keeps them small, so that float32 is exact enough
    (errors around 1e-6).

    Args:
        x, y: (..., H, W), 0 ... 255.

    Returns:
        Two maps (..., H', W').

    Raises:
        MetricUnavailable: the images are smaller than the window.
    """
    weights, factor, _ = _WINDOWS[window]
    _size(window, *x.shape[-2:])
    s, d = x + y, x - y
    level = s.mean(dim=(-2, -1), keepdim=True)
    s = s - level
    mean_s, mean_d, square_s, square_d = _filter(torch.stack((s, d, s * s, d * d)), weights)
    variance_s = factor * (square_s - mean_s * mean_s)
    variance_d = factor * (square_d - mean_d * mean_d)
    mean_s, mean_d = (mean_s + level).square(), mean_d.square()
    luminance = (mean_s - mean_d + 2 * _C1) / (mean_s + mean_d + 2 * _C1)
    structure = (variance_s - variance_d + 2 * _C2) / (variance_s + variance_d + 2 * _C2)
    return luminance, structure


def _size(window: Window, height: int, width: int) -> int:
    """Pixels of the window's side; raises `MetricUnavailable` if an image is smaller."""
    size = len(_WINDOWS[window].weights)
    if min(height, width) < size:
        raise MetricUnavailable(f"SSIM: an image of {height}x{width} is smaller than its window of {size}x{size}")
    return size


def _filter(maps: torch.Tensor, weights: list[float]) -> torch.Tensor:
    """Weighted mean under the window at each valid position, (..., H, W) -> (..., H', W').

    Shifted sums are several times faster here than a convolution on the CPU, and on CUDA they stay in
    full float32, which convolutions (TF32) do not.
    """
    for dim in (-2, -1):
        length = maps.shape[dim] - len(weights) + 1
        mean = maps.narrow(dim, 0, length) * weights[0]
        for shift, weight in enumerate(weights[1:], start=1):
            mean.add_(maps.narrow(dim, shift, length), alpha=weight)
        maps = mean
    return maps
