"""Codecs that damage images, for the data scripts and for degradation on the fly.

A codec is a small class: keyword options, the name and range of its quality, and `compress`. Adding one
(decorated with `@CODECS.register()`) is all it takes.
"""

import io
from typing import ClassVar, Literal, Protocol

import cv2
import numpy as np
from PIL import Image

from utils.errors import UserError
from utils.registry import Registry

CODECS = Registry("codec")


class Codec(Protocol):
    """What the data sets and scripts use of a codec.

    Attributes:
        quality_name: short name of the quality, the prefix of folder names and groups ("qf" -> "qf10").
        quality_range: smallest and largest quality.
    """

    quality_name: ClassVar[str]
    quality_range: ClassVar[tuple[int, int]]

    def compress(self, image: np.ndarray, quality: int) -> tuple[np.ndarray, int]:
        """Encode and decode a uint8 (H, W, 3) RGB or (H, W, 1) grey image.

        Returns the decoded image, of the same shape, and the size of the bit stream in bytes.
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


_CV2_SUBSAMPLING = {
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


@CODECS.register()
class JPEG:
    """Baseline JPEG (ITU-T T.81) with the quality factor and tables of libjpeg.

    Args:
        subsampling: of the chroma; a grey image has none.
        encoder: the library that encodes and decodes.
    """

    quality_name: ClassVar[str] = "qf"
    quality_range: ClassVar[tuple[int, int]] = (1, 100)

    def __init__(
        self,
        *,
        subsampling: Literal["4:2:0", "4:2:2", "4:4:4"] = "4:2:0",
        encoder: Literal["cv2", "pillow"] = "cv2",
    ) -> None:
        self._subsampling = subsampling
        self._compress = {"cv2": self._compress_cv2, "pillow": self._compress_pillow}[encoder]

    def compress(self, image: np.ndarray, quality: int) -> tuple[np.ndarray, int]:
        """See `Codec.compress`; `quality` is the quality factor, 1 (worst) to 100."""
        return self._compress(np.ascontiguousarray(image), check_quality(self, quality))

    def _compress_cv2(self, image: np.ndarray, quality: int) -> tuple[np.ndarray, int]:
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        if image.shape[2] == 1:
            data = cv2.imencode(".jpg", image, options)[1]
            return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))[..., None], data.size
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _CV2_SUBSAMPLING[self._subsampling]]
        data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1]
        return cv2.cvtColor(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB), data.size

    def _compress_pillow(self, image: np.ndarray, quality: int) -> tuple[np.ndarray, int]:
        file = io.BytesIO()
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        picture.save(file, "JPEG", quality=quality, subsampling=self._subsampling)
        size = file.tell()
        return np.array(Image.open(file)).reshape(image.shape), size
