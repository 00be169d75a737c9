"""HEVC still images, through PyAV, which carries x265 and FFmpeg's decoder: no other program is needed."""

from fractions import Fraction
from typing import Any, ClassVar, Literal

import numpy as np

from powerqe.utils.codecs.codec import CODECS, check_quality, too_large
from powerqe.utils.codecs.ycbcr import from_i420, padded, to_i420
from powerqe.utils.video.pyav import pyav

_CTU = 64  # pixels; x265 takes smaller coding tree units in frames below this size
_BT601, _FULL_RANGE = 5, 2  # FFmpeg's AVCOL_SPC_BT470BG and AVCOL_RANGE_JPEG, written into the stream

_X265 = {
    "keyint": 1,
    "total-frames": 1,  # with keyint=1 this is the Main Still Picture profile
    "ipratio": 1,  # else an I frame gets the QP minus 3
    "aq-mode": 0,
    "cutree": 0,
    "psy-rd": 0,  # judged by PSNR, as the tables are
    "psy-rdoq": 0,
    "bframes": 0,
    "rc-lookahead": 0,
    "pools": "none",  # one thread: the stream is the same everywhere, and each core has an image of its own
    "frame-threads": 1,
    "wpp": 0,
    "info": 0,  # no message with x265's options in the stream
    "log-level": "none",
}


@CODECS.register()
class HEVC:
    """One HEVC intra frame (ITU-T H.265, Main Still Picture profile, 8 bit, 4:2:0), coded by x265.

    The quantization parameter is the same everywhere in the image, with deblocking and SAO as x265 has them.
    Colors are full-range BT.601 YCbCr (see utils/codecs/ycbcr.py), as in BPG; a gray image is the luma. Sides are
    padded to even numbers and at least 64 by repeating the last pixels, and cut again.

    Figures are not those of BPG or HM at equal QP and belong into a column of their own: libbpg 0.9.6 to 0.9.8 codes
    with QP - 3. Its PSNR at QP 42 is that of QP 39 here within 0.4 dB (LIVE1, at 22 to 42).

    Args:
        preset: of x265, from fast to slow; `bpgenc -m 1` has superfast, since libbpg 0.9.2. From "slow" on
            rate-distortion optimized quantization makes files smaller and the PSNR at equal QP lower.

    Raises:
        UserError: no PyAV, or one without x265.
    """

    quality_name: ClassVar[str] = "qp"
    quality_range: ClassVar[tuple[int, int]] = (0, 51)

    def __init__(
        self,
        *,
        preset: Literal[
            "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"
        ] = "veryfast",
    ) -> None:
        _pyav()
        self._preset = preset

    def compress(self, image: np.ndarray, quality: int) -> tuple[np.ndarray, int]:
        """See `Codec.compress`; `quality` is the QP, 0 (best) to 51."""
        height, width, channels = image.shape
        try:
            stream = self.encode(image, check_quality(self, quality))
            planes = _decode(stream)
        except _pyav().FFmpegError as error:
            raise too_large("HEVC", image, error) from None
        return np.ascontiguousarray(from_i420(planes, channels)[:height, :width]), len(stream)

    def encode(self, image: np.ndarray, quality: int) -> bytes:
        """The bit stream (annex B of the standard) of an image, of its size after the padding."""
        av, planes = _pyav(), to_i420(padded(image, _CTU))
        encoder = av.CodecContext.create("libx265", "w")
        encoder.height, encoder.width = planes.shape[0] * 2 // 3, planes.shape[1]
        encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
        encoder.colorspace, encoder.color_range = _BT601, _FULL_RANGE
        settings = {**_X265, "qp": quality}
        encoder.options = {
            "preset": self._preset,
            "x265-params": ":".join(f"{name}={value}" for name, value in settings.items()),
        }
        frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
        return b"".join(bytes(packet) for item in (frame, None) for packet in encoder.encode(item))


def _decode(stream: bytes) -> np.ndarray:
    """The planes of the one image of a stream, see `to_i420`."""
    av = _pyav()
    decoder = av.CodecContext.create("hevc", "r")
    decoder.thread_count = 1
    (frame,) = (frame for item in (av.Packet(stream), None) for frame in decoder.decode(item))
    return frame.to_ndarray()


def _pyav() -> Any:
    return pyav("HEVC", "libx265")
