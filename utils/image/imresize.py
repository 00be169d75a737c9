"""Images of another size."""

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.image.orientation import oriented

_TRANSPOSED = 4  # symmetry of `oriented`


def area_downsample(image: np.ndarray, factor: int) -> np.ndarray:
    """Shrink a uint8 (H, W, C) image to (H // factor, W // factor, C) by area interpolation.

    An output pixel is the mean over the rectangle of input pixels it covers, rounded (OpenCV's
    INTER_AREA). A side that is no multiple of `factor` is not cropped: its rectangles are slightly larger.

    Raises:
        UserError: a side is shorter than `factor`.
    """
    height, width, channels = image.shape
    _check_sides(image, factor)
    small = cv2.resize(image, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    return small.reshape(height // factor, width // factor, channels)  # OpenCV drops the axis of a gray image


def bicubic_downsample(image: np.ndarray, factor: int) -> np.ndarray:
    """Shrink a uint8 (H, W, C) image to (H // factor, W // factor, C) by `imresize`.

    The last rows and columns that `factor` does not divide are cut off before, as for super-resolution.

    Raises:
        UserError: a side is shorter than `factor`.
    """
    _check_sides(image, factor)
    return imresize(crop_to_multiple(image, factor), Fraction(1, factor))


def _check_sides(image: np.ndarray, factor: int) -> None:
    height, width, _ = image.shape
    if min(height, width) < factor:
        raise UserError(f"{width}x{height} pixels cannot be reduced {factor} times; leave the image out")


def imresize(image: np.ndarray, factor: int | Fraction, depth: int = 8) -> np.ndarray:
    """Resize by MATLAB's bicubic interpolation, with which the super-resolution papers make and judge their images.

    As its `imresize(image, factor)`: the cubic kernel of Keys ("Cubic convolution interpolation for digital image
    processing", IEEE TASSP 29(6), 1981, a = -1/2), stretched when shrinking so that nothing aliases; borders
    mirrored; first the rows, then the columns, each rounded to whole numbers. Sums are exact, so that an output pixel
    depends on the input pixels under the kernel and on nothing else. Halves go to the even number.

    Args:
        image: uint8 or uint16 (H, W, 1 or 3).
        factor: 2 doubles height and width, Fraction(1, 2) halves them.
        depth: bits of a sample that are used.

    Returns:
        (ceil(factor H), ceil(factor W), C) of the same type.
    """
    if factor <= 0:
        raise ValueError(f"found factor {factor}, expected a positive number")
    if factor == 1:
        return image
    halfway = oriented(_resize_rows(image, Fraction(factor), depth), _TRANSPOSED)
    return oriented(_resize_rows(halfway, Fraction(factor), depth), _TRANSPOSED)


def crop_to_multiple(image: np.ndarray, factor: int) -> np.ndarray:
    """The view of an (H, W, C) image without the last rows and columns that `factor` does not divide."""
    height, width = (side - side % factor for side in image.shape[:2])
    return image[:height, :width]


class _Kernel(NamedTuple):
    """How sums of rows make rows. At factor p / q, each q input rows make p output rows in the same way.

    weights: (p, taps) whole numbers. total: (p, 1), their sums. rows: the input row under each tap, of the first
    group 0 ... taps - 1, of the next q ... q + taps - 1, and so on.
    """

    weights: np.ndarray
    total: np.ndarray
    rows: np.ndarray


@lru_cache(maxsize=64)  # training uses the same few sizes repeatedly
def _kernel(length: int, factor: Fraction, depth: int) -> _Kernel:
    """Output row i lies at (i + 1/2) q / p - 1/2. In units of 1 / 2p (1 / 2q when shrinking, stretched), row j is
    |q (2i + 1) - p (2j + 1)| away from it and the kernel's unit is 2 max(p, q), so that all weights are whole."""
    p, q = factor.numerator, factor.denominator
    unit = 2 * max(p, q)
    first = (q - 2 * unit - p) // (2 * p) + 1
    last = -((q - 2 * p * q - 2 * unit + p) // (2 * p)) - 1
    out, row = np.arange(p)[:, None], np.arange(first, last + 1)
    weights = _cubic(np.abs(q * (2 * out + 1) - p * (2 * row + 1)), unit)
    groups = -(-_length(length, factor) // p)
    rows = np.arange(first, first + q * (groups - 1) + len(row)) % (2 * length)
    exact = np.float32 if ((1 << depth) - 1) * np.abs(weights).sum(axis=1).max() < 2**23 else np.float64
    total = weights.sum(axis=1, keepdims=True)
    return _Kernel(weights.astype(exact), total.astype(exact), np.minimum(rows, 2 * length - 1 - rows))


def _cubic(distance: np.ndarray, unit: int) -> np.ndarray:
    """Keys' kernel (equation 15 of the paper) at distance / unit, times 2 unit^3: whole numbers from whole numbers."""
    d, u = distance.astype(np.int64), unit
    near = 3 * d**3 - 5 * u * d**2 + 2 * u**3
    far = -(d**3) + 5 * u * d**2 - 8 * u**2 * d + 4 * u**3
    return np.where(d < u, near, np.where(d < 2 * u, far, 0))


def _length(length: int, factor: Fraction) -> int:
    return -(-length * factor.numerator // factor.denominator)


def _resize_rows(image: np.ndarray, factor: Fraction, depth: int) -> np.ndarray:
    """Resize along the first axis: (H, W, C) -> (ceil(factor H), W, C)."""
    height, width, channels = image.shape
    weights, total, rows = _kernel(height, factor, depth)
    line = width * channels
    source = image[rows].reshape(len(rows), line).astype(weights.dtype)
    step, pixel = source.strides
    taps = weights.shape[1]
    groups = np.lib.stride_tricks.as_strided(
        source,
        ((len(source) - taps) // factor.denominator + 1, taps, line),
        (factor.denominator * step, step, pixel),
        writeable=False,
    )
    result = np.matmul(weights, groups)
    result /= total
    np.rint(result, out=result).clip(0, (1 << depth) - 1, out=result)
    return result.reshape(-1, width, channels)[: _length(height, factor)].astype(image.dtype)
