"""Raw planar video (.yuv): frames back to back, of each Y, then U (Cb), then V (Cr), rows from the top, no header.

The geometry is in the name of the file: `<Name>_<W>x<H>_<Frames>.yuv`, read from the right. The number of frames
comes from the size of the file; a name may promise more, for coded sequences are often cut short.
"""

import os
import re
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, NamedTuple

import cv2
import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path
from powerqe.utils.image.color import YCBCR

Chroma = Literal["420", "444"]
Depth = Literal[8, 10]

_NAME = re.compile(r"(?P<name>.+)_(?P<width>[1-9]\d*)x(?P<height>[1-9]\d*)_(?P<frames>\d+)")

_STEPS = {False: (219, 224, 224), True: (255, 255, 255)}
"""Of Y, Cb and Cr in the studio range (ITU-R BT.601-7, 2.5, 8 bit) and, if that is so, in the full range."""
_TO_YCBCR = {full: np.array(YCBCR) * (np.array(steps)[:, None] / 255) for full, steps in _STEPS.items()}
_TO_RGB = {full: np.linalg.inv(matrix).astype(np.float32) for full, matrix in _TO_YCBCR.items()}
_OFFSET = {full: np.array([0 if full else 16, 128, 128], np.float32) for full in _STEPS}


class Frame(NamedTuple):
    """One frame: y (H, W), u and v (H, W) or, of 4:2:0, (H / 2, W / 2); uint8, or uint16 with 10 bits used."""

    y: np.ndarray
    u: np.ndarray
    v: np.ndarray


class Geometry(NamedTuple):
    """What every frame of a file has in common.

    width, height: of the luma, in pixels; both even with 4:2:0 chroma. depth: bits; 10 are stored as two bytes each,
    the low one first.
    """

    width: int
    height: int
    chroma: Chroma = "420"
    depth: Depth = 8

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of Y, U and V."""
        step = 2 if self.chroma == "420" else 1
        luma, chroma = (self.height, self.width), (self.height // step, self.width // step)
        return luma, chroma, chroma

    @property
    def dtype(self) -> np.dtype:
        """Of a sample in the file."""
        return np.dtype("u1" if self.depth == 8 else "<u2")

    @property
    def samples(self) -> int:
        """Of all planes of a frame."""
        return sum(rows * columns for rows, columns in self.shapes)

    @property
    def frame_bytes(self) -> int:
        """Of a frame in the file."""
        return self.samples * self.dtype.itemsize

    def check(self, where: object) -> "Geometry":
        """Itself; raises `UserError` that names `where` if there can be no such frames."""
        if self.chroma == "420" and (self.width % 2 or self.height % 2):
            raise UserError(
                f"{where}: {self.width}x{self.height} pixels cannot have 4:2:0 chroma, which needs even sides; "
                "crop the video, or store it as 4:4:4 (chroma: '444')"
            )
        return self

    def check_frame(self, frame: Frame, where: object) -> None:
        """Raise `UserError` that names `where` if a frame has planes of another shape or type."""
        for plane, shape in zip(frame, self.shapes, strict=True):
            if plane.shape != shape or plane.dtype != self.dtype:
                raise UserError(
                    f"{where}: a plane of {plane.shape[1]}x{plane.shape[0]} {plane.dtype} does not fit the video, "
                    f"which has {shape[1]}x{shape[0]} {self.dtype} there"
                )


class YUVName(NamedTuple):
    """The parts of a file name `<Name>_<W>x<H>_<Frames>.yuv`."""

    name: str
    width: int
    height: int
    frames: int

    def __str__(self) -> str:
        return f"{self.name}_{self.width}x{self.height}_{self.frames}.yuv"


def parse_name(path: str | os.PathLike[str]) -> YUVName:
    """Parse the name of a file; raises `UserError` when it does not follow the convention."""
    match = _NAME.fullmatch(Path(path).stem)
    if match is None:
        raise UserError(f"{path}: the name has no geometry; rename it to <Name>_<W>x<H>_<Frames>.yuv")
    return YUVName(match["name"], int(match["width"]), int(match["height"]), int(match["frames"]))


class YUVReader:
    """The frames of a raw video by number, from a memory map: only what is looked at is read from the disk.

    Args:
        path: of the file.
        geometry: of its frames; None: 8 bit, 4:2:0, of the size in the file's name.

    Raises:
        UserError: no such file, nothing in it, a geometry that cannot be, or a size of the file that is not a
            whole number of such frames.
    """

    def __init__(self, path: str | os.PathLike[str], geometry: Geometry | None = None) -> None:
        self.path = Path(path)
        if geometry is None:
            name = parse_name(path)
            geometry = Geometry(name.width, name.height)
        self.geometry = geometry.check(path)
        self._count = count_frames(path, geometry)
        self._samples = np.memmap(path, geometry.dtype, "r").reshape(self._count, geometry.samples)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Frame:
        """The planes of a frame, as read-only views of the file."""
        samples = self._samples[index]
        ends = np.cumsum([rows * columns for rows, columns in self.geometry.shapes])
        planes = np.split(samples, ends[:-1])
        return Frame(*(plane.reshape(shape) for plane, shape in zip(planes, self.geometry.shapes, strict=True)))

    def luma(self, index: int) -> np.ndarray:
        """The Y plane of a frame, (H, W), a read-only view of the file."""
        height, width = self.geometry.shapes[0]
        return self._samples[index, : height * width].reshape(height, width)


def count_frames(path: str | os.PathLike[str], geometry: Geometry) -> int:
    """How many frames a file has; raises `UserError` when it is not there, empty, or ends inside of one."""
    try:
        size = Path(path).stat().st_size
    except OSError as error:
        raise UserError(f"cannot read the video {path}: {error.strerror}") from None
    count, rest = divmod(size, geometry.frame_bytes)
    if rest or not count:
        raise UserError(
            f"{path} has {size:,} bytes, {count} frames of {geometry.frame_bytes:,} and {rest:,} left over: it is cut "
            f"off, or not {geometry.width}x{geometry.height} in 4:{geometry.chroma[1]}:{geometry.chroma[2]} with "
            f"{geometry.depth} bit"
        )
    return count


class YUVWriter:
    """Writes a raw video frame by frame; the file appears under its name when the `with` block succeeds.

    Args:
        path: of the file.
        geometry: of the frames.

    Raises:
        UserError: a geometry that cannot be; on `write`, a frame of another shape or type.
    """

    def __init__(self, path: str | os.PathLike[str], geometry: Geometry) -> None:
        self.geometry = geometry.check(path)
        self._path = Path(path)
        self._whole = atomic_path(path)
        self._file: BinaryIO | None = None

    def __enter__(self) -> "YUVWriter":
        self._file = self._whole.__enter__().open("wb")
        return self

    def write(self, frame: Frame) -> None:
        """Append a frame."""
        assert self._file is not None, "used outside of its with block"
        self.geometry.check_frame(frame, self._path)
        write_frame(self._file, frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()
        self._whole.__exit__(kind, error, traceback)


def write_frame(file: BinaryIO, frame: Frame) -> None:
    """Append the planes of a frame to a raw video."""
    for plane in frame:
        file.write(np.ascontiguousarray(plane).data)


def to_rgb(frame: Frame, *, full: bool = False) -> np.ndarray:
    """An 8-bit frame as uint8 (H, W, 3) RGB: BT.601, chroma interpolated linearly between its pixels.

    Args:
        full: its samples have the full range, not the studio range.
    """
    height, width = frame.y.shape
    u, v = (_enlarged(plane, width, height) for plane in frame[1:])
    planes = np.stack([frame.y.astype(np.float32), u, v], axis=2) - _OFFSET[full]
    return _rounded(planes @ _TO_RGB[full].T)


def from_rgb(image: np.ndarray, chroma: Chroma = "420", *, full: bool = False) -> Frame:
    """The inverse of `to_rgb`: uint8 (H, W, 3) -> a frame; a sample of 4:2:0 chroma is the mean of its four pixels.

    Raises:
        UserError: an odd side with 4:2:0.
    """
    height, width, _ = image.shape
    shapes = Geometry(width, height, chroma).check("image").shapes
    planes = image.astype(np.float32) @ _TO_YCBCR[full].astype(np.float32).T + _OFFSET[full]
    y, u, v = (
        cv2.resize(planes[..., index], (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
        for index, shape in enumerate(shapes)
    )
    return Frame(_rounded(y), _rounded(u), _rounded(v))


def neutral_chroma(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """U and V of a gray frame."""
    u, v = (np.full(shape, 1 << (geometry.depth - 1), geometry.dtype) for shape in geometry.shapes[1:])
    return u, v


def _enlarged(plane: np.ndarray, width: int, height: int) -> np.ndarray:
    plane = np.ascontiguousarray(plane, dtype=np.float32)
    return plane if plane.shape == (height, width) else cv2.resize(plane, (width, height))


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)
