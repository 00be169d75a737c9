"""WebP, through Pillow."""

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from powerqe.utils.codecs import pillow
from powerqe.utils.codecs.codec import CODECS, check_quality


@CODECS.register()
class WebP:
    """Lossy WebP (RFC 9649: a VP8 key frame, always 4:2:0) with the quality factor of libwebp.

    A gray image is coded as RGB with equal channels; WebP has no other way.

    Args:
        method: effort of the encoder, 0 (fast) to 6; 4 is what libwebp and OpenCV take.

    Raises:
        UserError: this Pillow has no WebP.
    """

    quality_name: ClassVar[str] = "qf"
    quality_range: ClassVar[tuple[int, int]] = (0, 100)

    def __init__(self, *, method: Annotated[int, Field(ge=0, le=6)] = 4) -> None:
        pillow.require("webp", "WebP")
        self._method = method

    def compress(self, image: np.ndarray, quality: int) -> tuple[np.ndarray, int]:
        """See `Codec.compress`; `quality` is the quality factor, 0 (worst) to 100."""
        return pillow.compress(image, "WebP", quality=check_quality(self, quality), method=self._method)
