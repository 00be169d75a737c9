"""Raw planar video (.yuv): frames back to back, of each Y, then U (Cb), then V (Cr), rows from the top, no header.

The geometry is in the name of the file, `<Name>_<W>x<H>_<Frames>.yuv`, read from the right. Other samples than 8 bit,
4:2:0, studio range with the matrix that players take for the size (see `powerqe.utils.video.colors`) are marked behind
the number of frames: `Foo_416x240_50_444_10bit_bt709_full.yuv`.
"""

import os
import re
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, NamedTuple, get_args

import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path

Chroma = Literal["400", "420", "422", "444"]
Depth = Literal[8, 10]
Matrix = Literal["bt601", "bt709", "bt2020"]

SUBSAMPLING: dict[Chroma, tuple[int, int]] = {"400": (1, 1), "420": (2, 2), "422": (1, 2), "444": (1, 1)}
"""(rows, columns) of luma for each sample of chroma; 4:0:0, gray, has none."""

_FIELDS = {"chroma": ("422", "444", "400"), "depth": ("10bit",), "matrix": get_args(Matrix), "range": ("full",)}
_MARKS = "".join(f"(?:_(?P<{field}>{'|'.join(marks)}))?" for field, marks in _FIELDS.items())
_NAME = re.compile(rf"(?P<name>.+)_(?P<width>[1-9]\d*)x(?P<height>[1-9]\d*)_(?P<frames>\d+){_MARKS}")


class Frame(NamedTuple):
    """One frame: y (H, W), u and v as `SUBSAMPLING` has it, of gray (0, 0); uint8, or uint16 with 10 bits used.

    Of RGB they are green, blue and red, as in ITU-T H.273, MatrixCoefficients 0.
    """

    y: np.ndarray
    u: np.ndarray
    v: np.ndarray


class Geometry(NamedTuple):
    """What every frame of a file has in common.

    width, height: of the luma, in pixels; both even with 4:2:0 chroma, the width with 4:2:2. depth: bits; 10 are
    stored as two bytes each, the low one first.
    """

    width: int
    height: int
    chroma: Chroma = "420"
    depth: Depth = 8

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of Y, U and V."""
        rows, columns = SUBSAMPLING[self.chroma]
        chroma = (0, 0) if self.chroma == "400" else (self.height // rows, self.width // columns)
        return (self.height, self.width), chroma, chroma

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
        rows, columns = SUBSAMPLING[self.chroma]
        if self.width % columns or self.height % rows:
            sides = "even sides" if rows == columns else "an even width"
            raise UserError(
                f"{where}: {self.width}x{self.height} pixels cannot have {self.subsampling} chroma, which needs "
                f"{sides}; crop the video, or store it as 4:4:4 (chroma: '444')"
            )
        return self

    @property
    def subsampling(self) -> str:
        """Of the chroma, as people write it: 4:2:0."""
        return ":".join(self.chroma)

    def check_frame(self, frame: Frame, where: object) -> None:
        """Raise `UserError` that names `where` if a frame has planes of another shape or type."""
        for plane, shape in zip(frame, self.shapes, strict=True):
            if plane.shape != shape or plane.dtype != self.dtype:
                raise UserError(
                    f"{where}: a plane of {plane.shape[1]}x{plane.shape[0]} {plane.dtype} does not fit the video, "
                    f"which has {shape[1]}x{shape[0]} {self.dtype} there"
                )


class YUVName(NamedTuple):
    """The parts of a file name, see above; matrix None: that of the size."""

    name: str
    width: int
    height: int
    frames: int
    chroma: Chroma = "420"
    depth: Depth = 8
    matrix: Matrix | None = None
    full: bool = False

    def __str__(self) -> str:
        marks = [
            self.chroma if self.chroma != "420" else None,
            "10bit" if self.depth == 10 else None,
            self.matrix,
            "full" if self.full else None,
        ]
        size = f"{self.width}x{self.height}"
        return "_".join([self.name, size, str(self.frames), *filter(None, marks)]) + ".yuv"

    @property
    def geometry(self) -> Geometry:
        """Of the frames."""
        return Geometry(self.width, self.height, self.chroma, self.depth)


def parse_name(path: str | os.PathLike[str]) -> YUVName:
    """Parse the name of a file; raises `UserError` when it does not follow the convention."""
    match = _NAME.fullmatch(Path(path).stem)
    if match is None:
        raise UserError(f"{path}: the name has no geometry; rename it to <Name>_<W>x<H>_<Frames>.yuv")
    parts: dict[str, Any] = match.groupdict()
    width, height, frames = (int(parts[field]) for field in ("width", "height", "frames"))
    chroma, depth = parts["chroma"] or "420", 10 if parts["depth"] else 8
    return YUVName(parts["name"], width, height, frames, chroma, depth, parts["matrix"], bool(parts["range"]))


def with_depth(path: Path, depth: Depth) -> Path:
    """The name of a file with other bits, if it has a geometry."""
    try:
        return path.with_name(str(parse_name(path)._replace(depth=depth)))
    except UserError:
        return path


def sequence_stem(stem: str) -> str:
    """The stem of a file without the number of frames and what is behind it: `<Name>_<W>x<H>`."""
    match = _NAME.fullmatch(stem)
    return f"{match['name']}_{match['width']}x{match['height']}" if match else stem


def named_geometry(path: str | os.PathLike[str], chroma: Chroma | None = None, depth: Depth | None = None) -> Geometry:
    """The geometry in the name of a file.

    Args:
        chroma, depth: of files whose names say nothing of them; None: 4:2:0, 8 bit.

    Raises:
        UserError: a name without geometry, one that says something else, or frames that cannot be.
    """
    named = parse_name(path).geometry
    chosen = named._replace(chroma=chroma or named.chroma, depth=depth or named.depth)
    for said, usual, wanted in zip(named[2:], Geometry(0, 0)[2:], chosen[2:], strict=True):
        if said not in (usual, wanted):
            raise UserError(f"{path} holds {said} by its name, not {wanted}; leave the option out")
    return chosen.check(path)


class YUVReader:
    """The frames of a raw video by number, from a memory map: only what is looked at is read from the disk.

    Args:
        path: of the file.
        geometry: of its frames; None: by the file's name, which must have their number too.
        chroma, depth: see `named_geometry`.

    Raises:
        UserError: no such file, nothing in it, a geometry that cannot be, or a size of the file that is not a
            whole number of such frames or not that of its name.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        geometry: Geometry | None = None,
        *,
        chroma: Chroma | None = None,
        depth: Depth | None = None,
    ) -> None:
        self.path = Path(path)
        if geometry is None:
            self.geometry = named_geometry(path, chroma, depth)
            self._count = count_named_frames(path, self.geometry)
        else:
            self.geometry = geometry.check(path)
            self._count = count_frames(path, geometry)
        geometry = self.geometry
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
            f"off, or not {geometry.width}x{geometry.height} in {geometry.subsampling} with {geometry.depth} bit;"
            f"{_guess(path, geometry) or ' get it again, or'} correct its name"
        )
    return count


def count_named_frames(path: str | os.PathLike[str], geometry: Geometry, needed: int | None = None) -> int:
    """How many frames a file has, which its name promises.

    Args:
        needed: the first frames are enough, so many.

    Raises:
        UserError: see `count_frames`; or it has others than its name promises, with a guess why.
    """
    count, name = count_frames(path, geometry), parse_name(path)
    if count > name.frames or count < min(name.frames, needed or name.frames):
        others = _guess(path, geometry) or (" if it is not cut off," if count < name.frames else "")
        raise UserError(
            f"{path} has {count} frames in {geometry.subsampling} with {geometry.depth} bit, its name promises "
            f"{name.frames};{others} rename it to {name._replace(frames=count)}"
        )
    return count


def _guess(path: str | os.PathLike[str], geometry: Geometry) -> str:
    """What samples a file may have instead, if it has the frames that its name promises; else nothing."""
    try:
        name = parse_name(path)
    except UserError:
        return ""
    size = Path(path).stat().st_size
    depths: tuple[Depth, ...] = get_args(Depth)
    chromas: tuple[Chroma, ...] = (geometry.chroma, "420", "444", "422")
    for chroma, depth in product(chromas, depths):
        other = geometry._replace(chroma=chroma, depth=depth)
        if name.frames and name.frames * other.frame_bytes == size:
            renamed = name._replace(chroma=chroma, depth=depth)
            return f" is it {other.subsampling} with {depth} bit? Then rename it to {renamed}, else"
    return ""


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


def neutral_chroma(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """U and V of a gray frame."""
    u, v = (np.full(shape, 1 << (geometry.depth - 1), geometry.dtype) for shape in geometry.shapes[1:])
    return u, v
