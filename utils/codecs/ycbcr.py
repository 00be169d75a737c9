"""RGB to the planes that a video codec takes, and back: full-range BT.601 YCbCr, 4:2:0.

ITU-T T.871 (JFIF) gives the equations: Y, Cb and Cr use all of 0 ... 255. A chroma sample is the mean of its four
pixels and lies in their middle; on the way back the chroma is interpolated linearly. Both are what libjpeg does.
`bpgenc -c ycbcr -f 420` has the same equations, range and position of the chroma, but longer filters.
"""

import cv2
import numpy as np

from powerqe.utils.image.color import YCBCR

_TO_YCBCR = np.array(YCBCR, np.float32)
_TO_RGB = np.linalg.inv(_TO_YCBCR)
_CENTER = 128


def padded(image: np.ndarray, least: int) -> np.ndarray:
    """An (H, W, C) image with the last pixels repeated to even sides of at least `least` pixels, itself even."""
    height, width = (max(side + side % 2, least) for side in image.shape[:2])
    missing = ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0))
    return np.pad(image, missing, mode="edge")


def to_i420(image: np.ndarray) -> np.ndarray:
    """The planes of an image one below the other, as FFmpeg lays out yuv420p.

    Args:
        image: uint8 (H, W, 3) RGB or (H, W, 1) gray, H and W even. Gray is Y, with neutral chroma.

    Returns:
        uint8 (3/2 H, W): Y, then Cb and Cr, each row of which is half a row of the array.
    """
    height, width, channels = image.shape
    if channels == 1:
        chroma = np.full((height // 2, width), _CENTER, np.uint8)
        return np.concatenate([image[..., 0], chroma])
    planes = image.astype(np.float32) @ _TO_YCBCR.T
    chroma = planes[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).mean(axis=(1, 3)) + _CENTER
    packed = np.concatenate([planes[..., 0].ravel(), chroma.transpose(2, 0, 1).ravel()])
    return _rounded(packed).reshape(height * 3 // 2, width)


def from_i420(planes: np.ndarray, channels: int) -> np.ndarray:
    """The inverse of `to_i420`: uint8 (3/2 H, W) -> (H, W, channels)."""
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    luma = planes[:height, :, None]
    if channels == 1:
        return luma
    chroma = planes[height:].reshape(2, height // 2, width // 2).transpose(1, 2, 0).astype(np.float32) - _CENTER
    chroma = cv2.resize(np.ascontiguousarray(chroma), (width, height), interpolation=cv2.INTER_LINEAR)
    return _rounded(np.concatenate([luma, chroma], axis=2, dtype=np.float32) @ _TO_RGB.T)


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)
