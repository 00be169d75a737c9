"""What a codec is."""

from typing import ClassVar, Protocol

import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.options.registry import Registry

CODECS = Registry("codec", package="powerqe.utils.codecs")


class Codec(Protocol):
    """What the data sets and scripts use of a codec.

    Attributes:
        quality_name: short name of the quality, the prefix of folder names and groups ("qf" -> "qf10").
        quality_range: smallest and largest quality.
    """

    quality_name: ClassVar[str]
    quality_range: ClassVar[tuple[int, int]]

    def compress(self, image: np.ndarray, quality: int) -> tuple[np.ndarray, int]:
        """Encode and decode a uint8 (H, W, 3) RGB or (H, W, 1) gray image.

        Returns the decoded image, of the same shape, and the size of the bit stream in bytes. Raises
        `UserError` when the codec has no such quality or cannot hold an image of this size.
        """
        ...


def check_quality(codec: Codec, quality: int) -> int:
    """Return `quality`; raises `UserError` when the codec has no such quality."""
    low, high = codec.quality_range
    if not low <= quality <= high:
        raise UserError(
            f"{codec.quality_name}{quality}: {type(codec).__name__} has {codec.quality_name} {low} to {high}"
        )
    return quality


def too_large(codec: str, image: np.ndarray, reason: object) -> UserError:
    """The error for an image that a codec refuses; as good as always because of its size."""
    return UserError(f"{codec} cannot code {image.shape[1]}x{image.shape[0]} pixels: {reason}")
