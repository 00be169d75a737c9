"""JPEG, through OpenCV or Pillow."""

from typing import ClassVar, Literal

import cv2
import numpy as np

from powerqe.utils.codecs import pillow
from powerqe.utils.codecs.codec import CODECS, check_quality, too_large
from powerqe.utils.image.library_settings import silent_opencv

_CV2_SUBSAMPLING = {
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


@CODECS.register()
class JPEG:
    """Baseline JPEG (ITU-T T.81) with the quality factor and tables of libjpeg.

    Args:
        subsampling: of the chroma; a gray image has none.
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
        self._encoder = encoder

    def compress(self, image: np.ndarray, quality: int) -> tuple[np.ndarray, int]:
        """See `Codec.compress`; `quality` is the quality factor, 1 (worst) to 100."""
        if self._encoder == "pillow":
            options = {"quality": check_quality(self, quality), "subsampling": self._subsampling}
            return pillow.compress(np.ascontiguousarray(image), "JPEG", **options)
        data = np.frombuffer(self.encode(image, quality), np.uint8)
        if image.shape[2] == 1:
            return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))[..., None], data.size
        return cv2.cvtColor(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB), data.size

    def encode(self, image: np.ndarray, quality: int) -> bytes:
        """The bytes of the file that `compress` decodes."""
        image, quality = np.ascontiguousarray(image), check_quality(self, quality)
        if self._encoder == "pillow":
            return pillow.encode(image, "JPEG", quality=quality, subsampling=self._subsampling)
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        if image.shape[2] == 1:
            return _encoded(image, image, options).tobytes()
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _CV2_SUBSAMPLING[self._subsampling]]
        return _encoded(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), image, options).tobytes()


def compress_with_tables(
    image: np.ndarray, tables: np.ndarray, subsampling: Literal["4:2:0", "4:2:2", "4:4:4"]
) -> tuple[np.ndarray, int]:
    """Compress with any quantization tables, through Pillow; see `Codec.compress`.

    Args:
        image: uint8 (H, W, 3) RGB or (H, W, 1) gray.
        tables: (2, 8, 8) whole steps 1 to 255 of luma and chroma, natural order; a gray image takes the first.
        subsampling: of the chroma.
    """
    used = tables[: 1 if image.shape[2] == 1 else 2].reshape(-1, 64).astype(int).tolist()
    return pillow.compress(image, "JPEG", qtables=used, subsampling=subsampling)


def _encoded(stored: np.ndarray, image: np.ndarray, options: list[int]) -> np.ndarray:
    try:
        with silent_opencv:
            done, data = cv2.imencode(".jpg", stored, options)
    except cv2.error:  # OpenCV 4 raises
        done, data = False, None
    if not done:
        raise too_large("JPEG", image, "65500 pixels are the most in each direction")
    return np.asarray(data)
