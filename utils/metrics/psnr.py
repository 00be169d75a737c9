"""Peak signal-to-noise ratio."""

import torch

from powerqe.utils.metrics import METRICS
from powerqe.utils.metrics.image_metric import Border, Channel, Preparation, Rounding, decibel, mean_square


@METRICS.register()
class PSNR:
    """10 log10(255^2 / MSE), the MSE in float64 over all pixels and channels of one image.

    Equal images give infinity. Nothing is added to the MSE to avoid that; means of infinite values are up to callers.

    Args:
        channel: "all" or "y".
        border: pixels left out at each side (super-resolution papers: the scale; JPEG papers: 0).
        rounding: "uint8", "float" or "unclamped".
    """

    unit = "dB"
    higher_is_better = True

    def __init__(self, *, channel: Channel = "all", border: Border = 0, rounding: Rounding = "uint8") -> None:
        self._prepare = Preparation(channel, border, rounding)

    def __call__(self, result: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """PSNR of each image, (N,) float64, of two (N, C, H, W) in [0, 1]; raises as `Preparation` does."""
        result, target = self._prepare(result, target)
        return decibel(mean_square(result - target))

    def describe(self, channels: int) -> str:
        """The convention, for images of this many channels."""
        return self._prepare.describe(channels)
