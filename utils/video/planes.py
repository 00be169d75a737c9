"""Frames of another size, a part of each or all of it made smaller, and of other chroma or bits."""

import re
from fractions import Fraction
from typing import Literal

import cv2
import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.image.crop import CropBox
from powerqe.utils.image.imresize import imresize
from powerqe.utils.video.chroma import Site, enlarged, reduced
from powerqe.utils.video.yuv import SUBSAMPLING, Chroma, Frame, Geometry, neutral_chroma

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
    rows, columns = SUBSAMPLING[geometry.chroma]
    if any(side % step for side, step in zip(box, (rows, columns, rows, columns), strict=True)):
        numbers = "all four numbers" if rows == columns else "width and X"
        raise UserError(f"{where}: no part {box} with {geometry.subsampling} chroma; {numbers} must be even")


def crop(frame: Frame, box: CropBox, chroma: Chroma) -> Frame:
    """A part of a frame, as views; `box` is in luma pixels, even in 4:2:0, of 4:2:2 left and width are."""
    rows, columns = SUBSAMPLING[chroma]
    coarse = CropBox(box.top // rows, box.left // columns, box.height // rows, box.width // columns)
    return Frame(box.cut(frame.y), coarse.cut(frame.u), coarse.cut(frame.v))


def resample(frame: Frame, source: Geometry, target: Geometry, site: Site, *, full: bool) -> Frame:
    """A frame with the chroma subsampling and the bits of `target`; halves are rounded up.

    Args:
        frame: of `source`, or of odd sides with chroma rounded up.
        site: of the subsampled chroma.
        full: its samples have the full range: the largest becomes the largest.
    """
    chroma = frame[1:]
    if target.chroma == "400" or source.chroma == "400":
        chroma = neutral_chroma(target._replace(depth=source.depth))
    elif target.chroma != source.chroma:
        large = (enlarged(plane, SUBSAMPLING[source.chroma], site) for plane in chroma)
        fitting = (plane[: target.height, : target.width] for plane in large)
        chroma = [reduced(plane, SUBSAMPLING[target.chroma], site) for plane in fitting]
    largest = (1 << target.depth) - 1
    scale = largest / ((1 << source.depth) - 1) if full else 2.0 ** (target.depth - source.depth)
    planes = (np.floor(np.asarray(plane, np.float32) * np.float32(scale) + 0.5) for plane in (frame.y, *chroma))
    return Frame(*(plane.clip(0, largest).astype(target.dtype) for plane in planes))


def shrunk_geometry(geometry: Geometry, factor: int, where: object) -> Geometry:
    """What `shrink` makes of frames: each side divided by `factor`, rounded down to what the chroma needs.

    Raises:
        UserError: nothing would be left; the message names `where`.
    """
    rows, columns = SUBSAMPLING[geometry.chroma]
    width, height = (side // (factor * step) * step for side, step in zip(geometry[:2], (columns, rows), strict=True))
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
    steps = (1, 1) if not frame.u.size else np.floor_divide(frame.y.shape, frame.u.shape)
    rows, columns = (side // (factor * step) for side, step in zip(frame.y.shape, steps, strict=True))
    y = _shrink(frame.y[: rows * steps[0] * factor, : columns * steps[1] * factor], factor, method, depth)
    if not frame.u.size:
        return frame._replace(y=y)
    u, v = (_shrink(plane[: rows * factor, : columns * factor], factor, method, depth) for plane in frame[1:])
    return Frame(y, u, v)


def _shrink(plane: np.ndarray, factor: int, method: Method, depth: int) -> np.ndarray:
    if method == "area":
        size = (plane.shape[1] // factor, plane.shape[0] // factor)
        return cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_AREA)
    return imresize(plane[..., None], Fraction(1, factor), depth)[..., 0]
