"""Structural similarity losses, single-scale and multi-scale: 1 minus the metric, on unrounded values.

H. Zhao, O. Gallo, I. Frosio, J. Kautz, "Loss Functions for Image Restoration with Neural Networks", IEEE TCI 3(1),
2017, section III.
"""

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from powerqe.algorithm.registries import LOSSES
from powerqe.utils.errors import UserError
from powerqe.utils.metrics.image_metric import PEAK
from powerqe.utils.metrics.ssim import Window, similarity

_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang, Simoncelli, Bovik, Asilomar 2003, section 3.2
_WINDOW = 11
_LEAST = 1e-6
"""Lower bound of similarities: negative ones have no real power, and 0 no finite gradient."""


@LOSSES.register("SSIM")
class SSIMLoss(nn.Module):
    """1 - mean SSIM, over all channels (Wang et al., IEEE TIP 2004, eq. 13), of images at least as large as the window.

    Args:
        window: see the metric SSIM.
    """

    def __init__(self, *, window: Window = "gaussian11") -> None:
        super().__init__()
        self._window: Window = window

    def forward(self, result: Tensor, target: Tensor) -> Tensor:
        luminance, structure = similarity(result * PEAK, target * PEAK, self._window)
        return 1 - (luminance * structure).mean()


@LOSSES.register("MSSSIM")
class MSSSIMLoss(nn.Module):
    """1 - multi-scale SSIM, the mean of images and channels (Wang, Simoncelli and Bovik, Asilomar 2003, eq. 7).

    The window is 11x11; between scales the image is reduced by 2x2 means, without an odd last row or column:
    n scales need images of at least 11 x 2^(n - 1) pixels, five 176. Contrast and structure count at every scale,
    luminance at the last.

    Args:
        scales: the first ones of the paper's five, with its exponents, divided by their sum.
    """

    def __init__(self, *, scales: Annotated[int, Field(ge=1, le=len(_EXPONENTS))] = len(_EXPONENTS)) -> None:
        super().__init__()
        used = _EXPONENTS[:scales]
        self._exponents = [exponent / sum(used) for exponent in used]

    def forward(self, result: Tensor, target: Tensor) -> Tensor:
        """Of (..., C, H, W) in [0, 1]; raises `UserError` if they are too small."""
        self._check_size(*result.shape[-2:])
        x, y = result * PEAK, target * PEAK
        product = x.new_ones(())
        *_, last = range(len(self._exponents))
        for scale, exponent in enumerate(self._exponents):
            if scale:
                x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
            luminance, structure = similarity(x, y)
            factor = luminance * structure if scale == last else structure
            product = product * factor.mean(dim=(-2, -1)).clamp(min=_LEAST) ** exponent
        return 1 - product.mean()

    def _check_size(self, height: int, width: int) -> None:
        scales = len(self._exponents)
        if min(height, width) < (least := _WINDOW * 2 ** (scales - 1)):
            fitting = max(min(height, width) // _WINDOW, 1).bit_length()
            advice = f", or set scales of this loss to {fitting}" if min(height, width) >= _WINDOW else ""
            raise UserError(
                f"MSSSIM: an image of {height}x{width} is too small for {scales} scales; "
                f"take patches of at least {least}{advice}"
            )
