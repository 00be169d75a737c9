"""AVIF, through Pillow."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from powerqe.utils.codecs import pillow
from powerqe.utils.codecs.codec import CODECS, check_quality


@CODECS.register()
class AVIF:
    """AVIF (AV1 Image File Format 1.1: an AV1 key frame) with the quality factor of libavif.

    A gray image is coded as RGB with equal channels. The size counts the whole file.

    Args:
        subsampling: of the chroma.
        speed: of the encoder, 0 (slow) to 10; 6 is libavif's choice.

    Raises:
        UserError: this Pillow has no AVIF; its own builds have it since version 11.3.
    """

    quality_name: ClassVar[str] = "qf"
    quality_range: ClassVar[tuple[int, int]] = (0, 100)

    def __init__(
        self,
        *,
        subsampling: Literal["4:2:0", "4:2:2", "4:4:4"] = "4:2:0",
        speed: Annotated[int, Field(ge=0, le=10)] = 6,
    ) -> None:
        pillow.require("avif", "AVIF")
        self._options: dict[str, int | str] = {"subsampling": subsampling, "speed": speed}

    def compress(self, image: np.ndarray, quality: int) -> tuple[np.ndarray, int]:
        """See `Codec.compress`; `quality` is the quality factor, 0 (worst) to 100."""
        # One thread: as many images as there are cores are coded at once already.
        return pillow.compress(image, "AVIF", quality=check_quality(self, quality), max_threads=1, **self._options)
