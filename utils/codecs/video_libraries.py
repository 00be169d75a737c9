"""FFmpeg's encoders for sequences: their parameters, and the way of a sequence through encoder and decoder."""

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.video.frame_records import luma_psnr
from powerqe.utils.video.pyav import from_av_frame, pixel_format, pyav, to_av_frame
from powerqe.utils.video.yuv import Frame, Geometry

RATE = Fraction(30)
"""Frames per second, written into the stream; constant QP does not depend on it."""

Settings = dict[str, int | str]


class EncoderLibrary(NamedTuple):
    """How one of FFmpeg's encoders is driven.

    encoder, decoder: FFmpeg's names. key: the option that takes the encoder's own parameters, `settings` and the QP
    among them. zones: whether the QP of each frame can be set.
    """

    encoder: str
    decoder: str
    key: str
    settings: dict[str, int | str]
    presets: tuple[str, ...]
    preset: str
    quality_range: tuple[int, int]
    suffix: str
    zones: bool = False


_X26_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"
)  # fmt: skip

LIBRARIES: dict[str, EncoderLibrary] = {
    "hevc": EncoderLibrary(
        "libx265",
        "hevc",
        "x265-params",
        {
            "ipratio": 1,  # else the I frame gets the QP minus 3
            "bframes": 0,
            "keyint": -1,
            "scenecut": 0,
            "ref": 4,
            "weightp": 0,
            "aq-mode": 0,
            "cutree": 0,
            "rc-lookahead": 0,
            "psy-rd": 0,
            "psy-rdoq": 0,
            "frame-threads": 1,
            "pools": "none",
            "wpp": 0,
            "info": 0,
            "log-level": "none",
        },
        _X26_PRESETS,
        "medium",
        (0, 51),
        ".hevc",
        zones=True,
    ),
    "h264": EncoderLibrary(
        "libx264",
        "h264",
        "x264-params",
        {
            "ipratio": 1,
            "bframes": 0,
            "keyint": "infinite",
            "scenecut": 0,
            "ref": 4,
            "weightp": 0,
            "aq-mode": 0,
            "mbtree": 0,
            "rc-lookahead": 0,
            "sync-lookahead": 0,
            "psy": 0,
            "threads": 1,
            "log-level": "none",
        },
        _X26_PRESETS,
        "medium",
        (0, 51),
        ".h264",
    ),
    "av1": EncoderLibrary(
        "libsvtav1",
        "libdav1d",
        "svtav1-params",
        {
            "rc": 0,
            "pred-struct": 1,  # low delay
            "keyint": -1,
            "scd": 0,
            "aq-mode": 0,
            "tune": 1,  # PSNR
            "enable-tf": 0,
            "use-fixed-qindex-offsets": 1,  # else the encoder has a hierarchy of its own, which is not documented
            "lp": 1,
        },
        tuple(str(number) for number in range(14)),
        "8",
        (1, 63),
        ".obu",
    ),
}
"""By the name of the standard."""


class DecodedFrame(NamedTuple):
    """A frame as a decoder of the stream sees it. type: "I", "P" or "B". bits: of its packet. psnr_y: in dB."""

    frame: Frame
    type: str
    bits: int
    psnr_y: float


def code(
    library: EncoderLibrary,
    preset: str,
    settings: Settings,
    frames: Iterable[Frame],
    geometry: Geometry,
    stream: BinaryIO,
) -> Iterator[DecodedFrame]:
    """Encode frames and decode what comes out at once: in order, with a handful of frames in memory.

    Args:
        library: the encoder.
        preset: of the encoder.
        settings: all of its parameters.
        frames: of this geometry.
        stream: gets the packets, as they are made.

    Raises:
        UserError: the encoder does not have this chroma or depth.
        av.FFmpegError: it takes no frames of this size, or does not know a parameter.
    """
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1: errors only
    av = pyav(f"{library.encoder} coding", library.encoder, library.decoder)
    encoder, decoder = av.CodecContext.create(library.encoder, "w"), av.CodecContext.create(library.decoder, "r")
    _set_up(encoder, geometry)
    encoder.options = options(library, preset, settings)
    decoder.thread_count = 1
    originals: dict[int, np.ndarray] = {}  # of the frames that are between encoder and decoder
    bits: dict[int, int] = {}

    def packets() -> Iterator[Any]:
        for number, frame in enumerate(frames):
            av_frame = to_av_frame(frame, geometry)
            av_frame.pts, originals[number] = number, frame.y
            yield from encoder.encode(av_frame)
        yield from encoder.encode(None)

    def av_frames() -> Iterator[Any]:
        for packet in packets():
            bits[packet.pts] = 8 * packet.size
            stream.write(bytes(packet))
            yield from decoder.decode(packet)
        yield from decoder.decode(None)

    for av_frame in av_frames():
        frame = from_av_frame(av_frame)
        psnr = luma_psnr(frame.y, originals.pop(av_frame.pts), geometry.depth)
        yield DecodedFrame(frame, av.video.frame.PictureType(av_frame.pict_type).name, bits.pop(av_frame.pts), psnr)


def options(library: EncoderLibrary, preset: str, settings: Settings) -> dict[str, str]:
    """FFmpeg's options of the encoder."""
    return {"preset": preset, library.key: ":".join(f"{name}={value}" for name, value in settings.items())}


def _set_up(encoder: Any, geometry: Geometry) -> None:
    name = pixel_format(geometry)
    if name not in {item.name for item in encoder.codec.video_formats or ()}:
        raise UserError(f"{encoder.name.removeprefix('lib')} cannot code {name}; give it 4:2:0 with 8 bit")
    encoder.width, encoder.height, encoder.pix_fmt = geometry.width, geometry.height, name
    encoder.framerate, encoder.time_base, encoder.thread_count = RATE, 1 / RATE, 1
