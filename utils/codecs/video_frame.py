"""A frame of a video, through PyAV, which carries x264 and x265."""

from io import BytesIO
from typing import ClassVar, Literal

import cv2
import numpy as np
from pydantic import PositiveInt

from powerqe.utils.codecs.codec import CODECS, check_quality, too_large
from powerqe.utils.codecs.video_libraries import LIBRARIES, DecodedFrame, Settings, code
from powerqe.utils.codecs.ycbcr import from_i420, padded, to_i420
from powerqe.utils.video.pyav import pyav
from powerqe.utils.video.yuv import Frame, Geometry

_LEAST = 66  # pixels; x265 wants two columns of coding tree units of 64


@CODECS.register()
class VideoFrame:
    """The last of a few frames of a video: an intra frame, then P frames of the same QP, 8 bit, 4:2:0.

    The encoders and their settings are those of `powerqe data compress-video`. The frames before are the image as it
    slides into its place. Colors are full-range BT.601 YCbCr; sides are padded as for `HEVC`.

    Args:
        standard: of the video.
        frames: how many there are; 1 is an intra frame.
        motion: [rows, columns] that the image moves from frame to frame.
        preset: of the encoder, from fast to slow.

    Raises:
        UserError: no PyAV, or one without the encoder.
    """

    quality_name: ClassVar[str] = "qp"
    quality_range: ClassVar[tuple[int, int]] = (0, 51)

    def __init__(
        self,
        *,
        standard: Literal["h264", "hevc"] = "h264",
        frames: PositiveInt = 1,
        motion: tuple[int, int] = (1, 2),
        preset: Literal[
            "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"
        ] = "medium",
    ) -> None:
        self._library, self._frames, self._motion, self._preset = LIBRARIES[standard], frames, motion, preset
        self._errors = pyav("VideoFrame", self._library.encoder, self._library.decoder).FFmpegError

    def compress(self, image: np.ndarray, quality: int) -> tuple[np.ndarray, int]:
        """See `Codec.compress`; `quality` is the QP, 0 (best) to 51, and the size that of the last frame."""
        height, width, channels = image.shape
        try:
            last = self._last(padded(image, _LEAST), check_quality(self, quality))
        except self._errors as error:
            raise too_large("VideoFrame", image, error) from None
        planes = np.concatenate([last.frame.y.ravel(), last.frame.u.ravel(), last.frame.v.ravel()])
        decoded = from_i420(planes.reshape(-1, last.frame.y.shape[1]), channels)
        return np.ascontiguousarray(decoded[:height, :width]), last.bits // 8

    def _last(self, image: np.ndarray, quality: int) -> DecodedFrame:
        height, width = image.shape[:2]
        settings: Settings = {"qp": quality, **self._library.settings}
        frames = (_frame(self._moved(image, left)) for left in range(self._frames - 1, -1, -1))
        *_, last = code(self._library, self._preset, settings, frames, Geometry(width, height), BytesIO())
        return last

    def _moved(self, image: np.ndarray, left: int) -> np.ndarray:
        """The image with as many frames left until it is in its place; what comes in at the borders is mirrored."""
        if not left:
            return image
        rows, columns = self._motion
        shift = np.array([[1, 0, -left * columns], [0, 1, -left * rows]], np.float32)
        size = image.shape[1::-1]
        moved = cv2.warpAffine(image, shift, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
        return moved.reshape(image.shape)


def _frame(image: np.ndarray) -> Frame:
    height, width = image.shape[:2]
    planes = to_i420(image)
    u, v = planes[height:].reshape(2, height // 2, width // 2)
    return Frame(planes[:height], u, v)
