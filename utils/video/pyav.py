"""PyAV, FFmpeg's libraries for Python: what all rooms that use it share.

It is imported when it is needed, so that everything else works without it.
"""

from typing import Any

import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.video.yuv import Chroma, Depth, Frame, Geometry

FORMATS: dict[str, tuple[Chroma, Depth]] = {
    "yuv420p": ("420", 8),
    "yuv444p": ("444", 8),
    "yuv420p10le": ("420", 10),
    "yuv444p10le": ("444", 10),
    "yuvj420p": ("420", 8),  # the same samples, in full range
    "yuvj444p": ("444", 8),
}
"""FFmpeg's pixel formats whose planes are those of `powerqe.utils.video.yuv.Frame`."""


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


def pixel_format(geometry: Geometry) -> str:
    """FFmpeg's name of the pixel format of such frames."""
    return next(name for name, planes in FORMATS.items() if planes == (geometry.chroma, geometry.depth))


def to_av_frame(frame: Frame, geometry: Geometry) -> Any:
    """A frame as an `av.VideoFrame`, whose lines may be longer than the frame is wide."""
    import av

    av_frame = av.VideoFrame(geometry.width, geometry.height, pixel_format(geometry))
    for plane, samples in zip(av_frame.planes, frame, strict=True):
        _lines(plane, geometry.dtype)[: samples.shape[0], : samples.shape[1]] = samples
    return av_frame


def from_av_frame(av_frame: Any) -> Frame:
    """The planes of an `av.VideoFrame` in one of the `FORMATS`, read-only; chroma of 4:2:0 is rounded up."""
    _, depth = FORMATS[av_frame.format.name]
    dtype = np.dtype("u1" if depth == 8 else "<u2")
    planes = (_lines(plane, dtype)[: plane.height, : plane.width] for plane in av_frame.planes[:3])
    frame = Frame(*(np.ascontiguousarray(plane) for plane in planes))
    for plane in frame:
        plane.flags.writeable = False  # it may be memory that the decoder still refers to
    return frame


def x265_tree_size(geometry: Geometry) -> dict[str, int]:
    """x265's parameter for the size of coding tree units, where it may not choose it: there must be two columns.

    With a single column, x265 4.2 makes streams of P frames that differ from run to run and that a decoder
    reconstructs otherwise than the encoder did (the hashes of the frames do not match), even in lossless coding.

    Raises:
        UserError: the frame is too small for two columns of the smallest units.
    """
    if geometry.width > 64:
        return {}
    sizes = [size for size in (32, 16) if size < geometry.width and size <= geometry.height]
    if not sizes:
        raise UserError(f"x265 cannot code {geometry.width}x{geometry.height} pixels: too small")
    return {"ctu": sizes[0]}


def _lines(plane: Any, dtype: np.dtype) -> np.ndarray:
    """A view of the memory of a plane: (lines, samples of a line with those after the frame)."""
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size).view(dtype)
