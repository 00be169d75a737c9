"""RGB to luma, as the restoration literature means it: BT.601, studio range.

ITU-R BT.601-7, section 2.5: Y' = 16 + 219 E'Y with E'Y = 0.299 R' + 0.587 G' + 0.114 B'. The weights below
are 219 times these, with the three decimals of MATLAB's rgb2ycbcr, against which papers report "Y".
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # the data scripts use this file and start four times as fast without torch
    import torch

_WEIGHTS = (65.481, 128.553, 24.966)
_OFFSET = 16

YCBCR = ((0.299, 0.587, 0.114), (-0.299 / 1.772, -0.587 / 1.772, 0.5), (0.5, -0.587 / 1.402, -0.114 / 1.402))
"""E'Y, E'Cb and E'Cr, rows, of E'R, E'G and E'B, columns: ITU-R BT.601-7, section 2.5; Cb and Cr are -0.5 ... 0.5."""


def luma(rgb: "torch.Tensor") -> "torch.Tensor":
    """Unrounded luma of RGB images.

    Args:
        rgb: (N, 3, H, W), float, [0, 1].

    Returns:
        (N, 1, H, W), [16 / 255, 235 / 255].
    """
    red, green, blue = rgb.split(1, dim=1)
    return (_WEIGHTS[0] * red + _WEIGHTS[1] * green + _WEIGHTS[2] * blue + _OFFSET) / 255


def luma_uint8(image: np.ndarray) -> np.ndarray:
    """Luma of an 8-bit RGB image, rounded to 8 bit, halves up as MATLAB does.

    Args:
        image: (H, W, 3), uint8.

    Returns:
        (H, W, 1), uint8, 16 ... 235.
    """
    # In thousandths, so that the sum is exact and the same on every machine.
    red, green, blue = (round(1000 * weight) for weight in _WEIGHTS)
    pixels = image.astype(np.int32)
    scaled = red * pixels[..., :1] + green * pixels[..., 1:2] + blue * pixels[..., 2:]
    return ((scaled + 127_500) // 255_000 + _OFFSET).astype(np.uint8)
