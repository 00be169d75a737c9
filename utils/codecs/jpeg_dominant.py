"""Which quality factor governs the damage of a JPEG image, also if it was compressed twice.

An image that is compressed once more, with its blocks in the same places, changes least where the quality factor is
the one of before: mean squared change against quality factor has a sharp dip there. If the image was cropped
between two compressions, the blocks of the first lie elsewhere, and the dip shows only after rows and columns
have been dropped until they lie in the same places again. The lower one of the two quality factors governs the damage:
FBCNN-D in Jiang et al., "Towards Flexible Blind JPEG Artifacts Removal", ICCV 2021, sec. 3.3 (their search is not
published; this one is PowerQE's).
"""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np

from powerqe.utils.codecs.jpeg_estimate import DIP, full_range_luma, last_compression
from powerqe.utils.codecs.jpeg_tables import quant_tables

QUALITIES = range(5, 96)
"""Quality factors that can be found."""
DISTINCT = 8.0
"""How many spreads the dip of an earlier compression stands out of those on all other positions of the blocks, at
least. LIVE1 has at most 7 where there was none."""

LEAST_DETAIL = 1.0
"""Mean AC energy of a block below which no quality is estimated."""

_BLOCK = 8
_BINS = 4  # of the histogram of coefficients, per unit
_LARGEST = 1024  # coefficient of 8-bit samples around 0, orthonormal transform
_SMALLEST_CHANGE = 1e-6  # an image may come back unchanged
_SMALLEST_SPREAD = 2e-3  # of dips; below it, chance stands out
_MAD = 1.4826  # standard deviation of a normal distribution in terms of its median absolute deviation


class _Earlier(NamedTuple):
    """An earlier compression as it shows."""

    quality: int
    depth: float
    shift: tuple[int, int]
    """Rows and columns to drop before its blocks begin."""
    distinct: float
    """In spreads of the depth on all positions of the blocks."""


class Dominant(NamedTuple):
    """What governs the damage of an image."""

    quality: int
    """The lower one of the quality factors that were found."""
    shift: tuple[int, int]
    """Rows and columns to drop before its blocks begin; (0, 0) if it is that of the last compression."""
    dip: float
    trusted: bool
    remark: str
    """Why it is not to be trusted; "" if it is."""


def dominant_quality(image: np.ndarray, distinct: float = DISTINCT) -> Dominant:
    """Find the dominant quality factor of a decoded JPEG, its blocks where the last compression had them.

    An earlier compression counts if its quality factor is lower than the last one's, which destroys its traces
    otherwise, and if its dip stands out. Measured on 15 images of LIVE1, cropped by 0 to 7 rows and columns
    between quality factors 10 and 30, 10 and 50, 20 and 30, 30 and 50, 30 and 90, 80 and 90: all were found to
    within 1, and nothing where there was nothing. Between 40 and 50 one was.

    Args:
        image: uint8 (H, W, 1) gray or (H, W, 3) RGB, of which the luma is judged.
        distinct: see `DISTINCT`.
    """
    gray = full_range_luma(image)
    last = last_compression(gray)
    limit = QUALITIES[-1]
    if last.depth >= DIP:
        limit = min(limit, last.quality - 2)  # next to the last one, its own dip ends
    earlier = _most_distinct(gray, limit)
    if earlier is not None and earlier.distinct >= distinct:
        return Dominant(earlier.quality, earlier.shift, earlier.depth, True, "")
    remark = ""
    if last.depth < DIP:
        remark = f"no trace of JPEG: its change by JPEG has no dip of {DIP:g} at any quality factor"
    elif not last.is_clear:
        remark = "no clear trace of JPEG: its change by JPEG has the same dip wherever the blocks begin"
    elif _detail(gray) < LEAST_DETAIL:
        remark = "hardly any detail, which every quality factor leaves as it is"
    return Dominant(last.quality, (0, 0), last.depth, not remark, remark)


def _depths(changes: Mapping[int, float]) -> dict[int, float]:
    qualities = list(changes)
    logs = np.log(np.maximum(list(changes.values()), _SMALLEST_CHANGE))
    return dict(zip(qualities[1:-1], (logs[:-2] + logs[2:] - 2 * logs[1:-1]).tolist(), strict=True))


def _detail(gray: np.ndarray) -> float:
    """Mean square of what is left of the image without the means of its blocks."""
    coefficients = _coefficients(_whole_blocks(gray[..., 0]))
    return float(np.square(coefficients[:, 1:]).sum() / max(1, coefficients.size))


def _most_distinct(gray: np.ndarray, limit: int) -> _Earlier | None:
    """The dip up to a quality factor that stands out most on a position of the blocks other than the last one's.

    The images themselves and the last compression make small dips, which are much the same on all positions.
    """
    shifts = [shift for shift in np.ndindex(_BLOCK, _BLOCK) if shift != (0, 0)]
    if min(gray.shape[:2]) < 2 * _BLOCK or limit < QUALITIES[0]:
        return None
    depths = np.array([list(_depths(_quantization(gray[row:, column:, 0])).values()) for row, column in shifts])
    depths = depths[:, : limit - QUALITIES[0] + 1]
    residual = depths - np.median(depths, axis=0)
    spread = _MAD * np.median(np.abs(residual), axis=0) + _SMALLEST_SPREAD
    place, number = np.unravel_index(np.argmax(residual / spread), residual.shape)
    distinct = float(residual[place, number] / spread[number])
    return _Earlier(QUALITIES[int(number)], float(depths[place, number]), shifts[place], distinct)


def _quantization(gray: np.ndarray) -> dict[int, float]:
    """Mean squared change of an image (H, W) by each quality factor, from the quantization of its coefficients.

    What rounds to uint8 and clips afterwards is left out; it matters only where hardly anything changes. One
    histogram for each of the 64 frequencies and a table of what each step does to each value give all at once.
    """
    blocks = _whole_blocks(gray)
    bins = np.rint(np.abs(_coefficients(blocks)) * _BINS).astype(np.int32).clip(max=_LARGEST * _BINS)
    ends = bins.max(axis=0) + 1  # high frequencies are small: most of the table is not needed for them
    starts = np.cumsum(ends) - ends
    histograms = np.bincount((bins + starts).ravel(), minlength=int(ends.sum())).astype(np.float32)
    errors = _squared_errors()
    rows = [histograms[start : start + end] @ errors[:end] for start, end in zip(starts, ends, strict=True)]
    by_step = np.stack(rows)
    qualities = range(QUALITIES[0] - 1, QUALITIES[-1] + 2)
    frequencies = np.arange(_BLOCK**2)
    return {q: float(by_step[frequencies, _steps(q)].sum()) / blocks.size for q in qualities}


def _whole_blocks(gray: np.ndarray) -> np.ndarray:
    return gray[: gray.shape[0] // _BLOCK * _BLOCK, : gray.shape[1] // _BLOCK * _BLOCK]


def _coefficients(blocks: np.ndarray) -> np.ndarray:
    """DCT of each block, (number of blocks, 64)."""
    height, width = blocks.shape
    transform = _transform()
    centerd = blocks.astype(np.float32) - 128
    columns = np.matmul(transform, centerd.reshape(height // _BLOCK, _BLOCK, width))
    both = np.matmul(columns.reshape(-1, _BLOCK), transform.T)  # (block row, frequency, block column) x frequency
    return (
        both.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
        .transpose(0, 2, 1, 3)
        .reshape(-1, _BLOCK * _BLOCK)
    )


@cache
def _transform() -> np.ndarray:
    """The orthonormal DCT-II of 8 samples, frequencies as rows (ITU-T T.81, A.3.3)."""
    frequency, sample = np.ogrid[:_BLOCK, :_BLOCK]
    matrix = np.cos((2 * sample + 1) * frequency * np.pi / (2 * _BLOCK)) * np.sqrt(2 / _BLOCK)
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)


@cache
def _squared_errors() -> np.ndarray:
    """(bin of the coefficient, step - 1) -> squared change by quantization."""
    values = np.arange(_LARGEST * _BINS + 1, dtype=np.float32)[:, None] / _BINS
    steps = np.arange(1, 256, dtype=np.float32)
    return np.square(values - steps * np.rint(values / steps))


@cache
def _steps(quality: int) -> np.ndarray:
    """Row of `_squared_errors` of the luma step of each frequency."""
    return quant_tables(quality, 1)[0].ravel().astype(np.int64) - 1
