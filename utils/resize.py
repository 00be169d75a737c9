"""Smaller images."""

import cv2
import numpy as np

from utils.errors import UserError


def area_downsample(image: np.ndarray, factor: int) -> np.ndarray:
    """Shrink a uint8 (H, W, C) image to (H // factor, W // factor, C) by area interpolation.

    An output pixel is the mean over the rectangle of input pixels it covers, rounded (OpenCV's
    INTER_AREA). A side that is no multiple of `factor` is not cropped: its rectangles are slightly larger.

    Raises:
        UserError: a side is shorter than `factor`.
    """
    height, width, channels = image.shape
    if min(height, width) < factor:
        raise UserError(f"{width}x{height} pixels cannot be reduced {factor} times; leave the image out")
    small = cv2.resize(image, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    return small.reshape(height // factor, width // factor, channels)  # OpenCV drops the axis of a grey image
