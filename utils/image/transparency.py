"""Colors and alpha: associated alpha, and colors that nobody sees."""

import cv2
import numpy as np


def unassociated(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colors that were multiplied by alpha (Porter and Duff 1984), as they were before; 0 where nothing is left.

    Args:
        pixels: (H, W, C), uint8 or uint16. alpha: (H, W, 1), of the same type.
    """
    peak = np.iinfo(pixels.dtype).max
    divisor = np.maximum(alpha, 1).astype(np.uint32)
    colors = (pixels.astype(np.uint32) * peak + divisor // 2) // divisor  # 65535 * 65535 + 32767 < 2**32
    return np.where(alpha > 0, np.minimum(colors, peak), 0).astype(pixels.dtype)


def with_hidden_filled(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """The pixels, where alpha is 0 each as the nearest one that can be seen: so hidden colors have no influence.

    Args:
        pixels: (H, W, C). alpha: (H, W, 1).
    """
    hidden = None if alpha is None else alpha[..., 0] == 0
    if hidden is None or not hidden.any() or hidden.all():
        return pixels
    labels = cv2.distanceTransformWithLabels(hidden.view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    colors = np.zeros((labels.max() + 1, pixels.shape[2]), pixels.dtype)
    colors[labels[~hidden]] = pixels[~hidden]
    return colors[labels]
