"""PyAV, FFmpeg's libraries for Python: what all rooms that use it share.

It is imported when it is needed, so that everything else works without it.
"""

import logging
import os
import re
from itertools import islice
from typing import Any

import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.video.yuv import SUBSAMPLING, Chroma, Depth, Frame, Geometry

FORMATS: dict[str, tuple[Chroma, Depth]] = {
    "yuv420p": ("420", 8),
    "yuv422p": ("422", 8),
    "yuv444p": ("444", 8),
    "gray": ("400", 8),
    "yuv420p10le": ("420", 10),
    "yuv422p10le": ("422", 10),
    "yuv444p10le": ("444", 10),
    "gray10le": ("400", 10),
    "yuvj420p": ("420", 8),  # the same samples, in full range
    "yuvj422p": ("422", 8),
    "yuvj444p": ("444", 8),
}
"""FFmpeg's pixel formats whose planes are those of `powerqe.utils.video.yuv.Frame`."""

RGB_FORMATS: dict[str, tuple[Chroma, Depth]] = {"gbrp": ("444", 8), "gbrp10le": ("444", 10)}
"""Those with the planes of RGB."""

_RATIOS: dict[tuple[int, int], Chroma] = {(2, 2): "420", (1, 2): "422", (1, 4): "422", (4, 4): "420"}
"""By rows and columns of luma for a sample of chroma: the subsampling that loses least."""


_LOCATIONS = {"mjpeg": 1, "mpeg1video": 1, "dvvideo": 2}
"""ChromaSampleLocType of 4:2:0 by the codec, where that is not the usual 0, left."""
_LISTED = {"h264": (0, 1, 2, 3, 4, 5), "hevc": (0, 1, 2, 3, 4, 5), "av1": (None, 0, 2, None)}
"""What the headers of a codec say, as ChromaSampleLocType."""
_LOCATION = re.compile(r"chroma_sample_(?:loc_type_top_field|position)\s.* = (\d+)")
logging.getLogger("libav").addHandler(logging.NullHandler())
# FFmpeg's messages, hundreds for one damaged file, would go to the terminal; what matters is a note or an error.

_FIRST = 8
"""Packets that are searched; with the parameter sets at the start of the file one is enough."""


def pyav(purpose: str, *codecs: str) -> Any:
    """The module `av`.

    Args:
        purpose: what needs it, the start of the message.
        codecs: FFmpeg's names of the encoders and decoders that it must have.

    Raises:
        UserError: it cannot be imported, or its build lacks one of them.
    """
    try:
        import av
    except ImportError as error:
        raise UserError(
            f"{purpose} needs PyAV, which cannot be imported here ({error}); install it: pip install av"
        ) from None
    for codec in codecs:
        if codec not in av.codecs_available:
            raise UserError(
                f"{purpose} needs {codec.removeprefix('lib')}, which this build of PyAV lacks; "
                "install its own build: pip install -U av"
            )
    return av


def open_container(path: str | os.PathLike[str], mode: str = "r", **options: Any) -> Any:
    """PyAV's `open`, in which tags that are no UTF-8 (Latin-1 in old files, or damaged) keep their bytes.

    Args:
        path: the file.
        mode: "r" or "w".
        options: further arguments of `av.open`.
    """
    return pyav("videos").open(os.fspath(path), mode, metadata_errors="surrogateescape", **options)


def pixel_format(geometry: Geometry, *, rgb: bool = False) -> str:
    """FFmpeg's name of the pixel format of such frames."""
    formats = RGB_FORMATS if rgb else FORMATS
    return next(name for name, planes in formats.items() if planes == (geometry.chroma, geometry.depth))


def is_rgb(pixels: Any) -> bool:
    """Whether a pixel format, an `av.VideoFormat`, has red, green and blue, perhaps in a palette."""
    return pixels.is_rgb or pixels.has_palette or pixels.name.startswith("xyz")


def nearest(pixels: Any) -> tuple[Chroma, Depth]:
    """Chroma subsampling and bits of the frames that can hold what a pixel format has, or most of it."""
    colors = [part for part in pixels.components if not part.is_alpha]
    depth: Depth = 10 if max(part.bits for part in colors) > 8 else 8
    if is_rgb(pixels):
        return "444", depth
    if len(colors) == 1:
        return "400", depth
    ratio = 16 // pixels.chroma_height(16), 16 // pixels.chroma_width(16)
    return _RATIOS.get(ratio, "444"), depth


def is_held(pixels: Any, geometry: Geometry, *, rgb: bool) -> bool:
    """Whether frames of a geometry have just the samples of a pixel format, perhaps in another order."""
    exact = all(part.bits == geometry.depth and not part.is_alpha for part in pixels.components)
    rows, columns = SUBSAMPLING[geometry.chroma]
    fits = (pixels.chroma_height(16), pixels.chroma_width(16)) == (16 // rows, 16 // columns)
    has_chroma = len(pixels.components) > 1
    return exact and fits and has_chroma == (geometry.chroma != "400") and is_rgb(pixels) == rgb


def to_av_frame(frame: Frame, geometry: Geometry, *, rgb: bool = False) -> Any:
    """A frame as an `av.VideoFrame`, whose lines may be longer than the frame is wide."""
    import av

    av_frame = av.VideoFrame(geometry.width, geometry.height, pixel_format(geometry, rgb=rgb))
    for plane, samples in zip(av_frame.planes, frame, strict=False):  # of gray there is one
        _lines(plane, geometry.dtype)[: samples.shape[0], : samples.shape[1]] = samples
    return av_frame


def from_av_frame(av_frame: Any) -> Frame:
    """The planes of an `av.VideoFrame` in one of the formats above, read-only; chroma of odd sides is rounded up."""
    _, depth = (FORMATS | RGB_FORMATS)[av_frame.format.name]
    dtype = np.dtype("u1" if depth == 8 else "<u2")
    planes = [_lines(plane, dtype)[: plane.height, : plane.width] for plane in av_frame.planes[:3]]
    planes += [np.empty((0, 0), dtype)] * (3 - len(planes))
    frame = Frame(*(np.ascontiguousarray(plane) for plane in planes))
    for plane in frame:
        plane.flags.writeable = False  # it may be memory that the decoder still refers to
    return frame


def chroma_location(path: str | os.PathLike[str], index: int) -> int | None:
    """Where chroma lies in a stream, by its index: ChromaSampleLocType of ITU-T H.273; None if it does not say so.

    PyAV does not tell it: the codec does, or FFmpeg's listing of the headers of the first packets.
    """
    av = pyav("reading videos")
    with open_container(path) as container:
        stream = container.streams[index]
        codec = stream.codec_context.codec.canonical_name
        if codec not in _LISTED or "trace_headers" not in av.bitstream.bitstream_filters_available:
            return _LOCATIONS.get(codec)
        level = av.logging.get_level()
        av.logging.set_level(av.logging.INFO)
        try:
            with av.logging.Capture() as lines:
                headers = av.bitstream.BitStreamFilterContext("trace_headers", stream)
                for packet in islice(container.demux(stream), _FIRST):
                    headers.filter(packet)
        except av.FFmpegError:  # reported when it is read
            return None
        finally:
            av.logging.set_level(level)
    found = (match for _, _, line in lines if (match := _LOCATION.search(line)))
    return next((_LISTED[codec][int(match[1])] for match in found), None)


def x265_small_frames(geometry: Geometry) -> dict[str, int]:
    """x265's parameters for frames that its own choice fails for: there must be two columns of coding tree units.

    With a single column, x265 4.2 makes streams of P frames that differ from run to run and that a decoder
    reconstructs otherwise than the encoder did (the hashes of the frames do not match), even in lossless coding.
    In such narrow frames its propagation of quality through time (cutree) writes beyond its memory.

    Raises:
        UserError: the frame is too small for two columns of the smallest units.
    """
    if geometry.width > 64:
        return {}
    sizes = [size for size in (32, 16) if size < geometry.width and size <= geometry.height]
    if not sizes:
        raise UserError(f"x265 cannot code {geometry.width}x{geometry.height} pixels: too small")
    return {"ctu": sizes[0], "cutree": 0}


def _lines(plane: Any, dtype: np.dtype) -> np.ndarray:
    """A view of the memory of a plane: (lines, samples of a line with those after the frame)."""
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size).view(dtype)
