"""Frames of another size: a part of each, or all of it made smaller."""

import re
from fractions import Fraction
from typing import Literal

import cv2
import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.image.crop import CropBox
from powerqe.utils.image.imresize import imresize
from powerqe.utils.video.yuv import Chroma, Frame, Geometry

Method = Literal["area", "bicubic"]

_CROP = re.compile(r"([1-9]\d*)x([1-9]\d*)\+(\d+)\+(\d+)")


def parse_crop(text: str) -> CropBox:
    """The inverse of `str(box)`, WxH+X+Y; raises `UserError` for anything else."""
    match = _CROP.fullmatch(text)
    if match is None:
        raise UserError(f"found {text!r}, expected a part of the frame such as 416x240+0+0 (WxH+X+Y)")
    width, height, left, top = (int(number) for number in match.groups())
    return CropBox(top, left, height, width)


def check_crop(box: CropBox, geometry: Geometry, where: object) -> None:
    """Raise `UserError` that names `where` if frames of the geometry have no such part."""
    if box.left + box.width > geometry.width or box.top + box.height > geometry.height:
        raise UserError(f"{where}: no part {box} in frames of {geometry.width}x{geometry.height} pixels")
    if geometry.chroma == "420" and any(side % 2 for side in box):
        raise UserError(f"{where}: no part {box} with 4:2:0 chroma; all four numbers must be even")


def crop(frame: Frame, box: CropBox, chroma: Chroma) -> Frame:
    """A part of a frame, as views; `box` is in luma pixels, even in 4:2:0."""
    step = 2 if chroma == "420" else 1
    coarse = CropBox(*(value // step for value in box))
    return Frame(box.cut(frame.y), coarse.cut(frame.u), coarse.cut(frame.v))


def shrunk_geometry(geometry: Geometry, factor: int, where: object) -> Geometry:
    """What `shrink` makes of frames: each side divided by `factor`, with 4:2:0 rounded down to an even number.

    Raises:
        UserError: nothing would be left; the message names `where`.
    """
    step = 2 if geometry.chroma == "420" else 1
    width, height = (side // (factor * step) * step for side in geometry[:2])
    if not width or not height:
        raise UserError(f"{where}: {geometry.width}x{geometry.height} pixels cannot be reduced {factor} times")
    return geometry._replace(width=width, height=height)


def shrink(frame: Frame, factor: int, method: Method, depth: int) -> Frame:
    """Each plane made `factor` times smaller, without aliasing; rows and columns too many at the end are left out.

    Luma and chroma are treated alike, as if chroma lay in the middle of its pixels. Of MPEG-2's sampling, where it
    lies at the left ones, it moves by up to a quarter of a chroma pixel to the right.

    Args:
        frame: of any geometry.
        factor: from 1.
        method: "area", the mean of factor x factor samples, or "bicubic", MATLAB's imresize.
        depth: bits of a sample.
    """
    rows, columns = (side // factor for side in frame.u.shape)
    scale = [1 if frame.u.shape == frame.y.shape else 2, 1, 1]
    return Frame(
        *(
            _shrink(plane[: times * rows * factor, : times * columns * factor], factor, method, depth)
            for times, plane in zip(scale, frame, strict=True)
        )
    )


def _shrink(plane: np.ndarray, factor: int, method: Method, depth: int) -> np.ndarray:
    if method == "area":
        size = (plane.shape[1] // factor, plane.shape[0] // factor)
        return cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_AREA)
    return imresize(plane[..., None], Fraction(1, factor), depth)[..., 0]
