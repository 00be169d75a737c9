"""What the samples of a video mean: YCbCr by the standards, or RGB, to RGB and back.

E'Y = Kr E'R + (1 - Kr - Kb) E'G + Kb E'B, E'Cb = (E'B - E'Y) / (2 (1 - Kb)), E'Cr = (E'R - E'Y) / (2 (1 - Kr)), and
their samples of 8 or more bits: ITU-T H.273, section 8.3; the same in ITU-R BT.601-7, BT.709-6 and, with non-constant
luminance, BT.2020-2.

A file that does not say its matrix has that of its primaries, else BT.709 where it is 1280 or more pixels wide or has
more than 576 lines, else BT.601, as mpv takes it. The range is the studio's where a file does not say it. Chroma lies
at the left, as in MPEG-2, H.264 and HEVC by default.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.video.chroma import SITES, Site, enlarged, reduced
from powerqe.utils.video.planes import resample
from powerqe.utils.video.yuv import SUBSAMPLING, Chroma, Depth, Frame, Geometry, Matrix, YUVName, parse_name

RGB, STUDIO, FULL = 0, 1, 2

_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087),
            9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}  # fmt: skip
"""Kr and Kb by MatrixCoefficients; of BT.2020's constant luminance (10), which is not linear, those are near."""
_OF_PRIMARIES = {1: 1, 5: 5, 6: 6, 7: 7, 9: 9}
_MARKS: dict[Matrix, int] = {"bt601": 6, "bt709": 1, "bt2020": 9}
_GREEN_BLUE_RED = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
_WIDE, _TALL = 1280, 576


class Color(NamedTuple):
    """The color description of a stream, in the numbers of ITU-T H.273; range: of FFmpeg, 1 studio, 2 full.

    space: MatrixCoefficients. location: ChromaSampleLocType; None if unknown.
    """

    range: int = 0
    space: int = 2
    primaries: int = 2
    transfer: int = 2
    location: int | None = None

    @property
    def is_rgb(self) -> bool:
        """Whether the planes are green, blue and red."""
        return self.space == RGB

    def matrix(self, width: int, height: int) -> int:
        """MatrixCoefficients of frames of a size, known also if they are not noted."""
        usual = 1 if width >= _WIDE or height > _TALL else 6
        known = _OF_PRIMARIES.get(self.primaries, usual)
        return self.space if self.space in _WEIGHTS or self.is_rgb else known

    def resized(self, before: Geometry, after: Geometry) -> "Color":
        """Of frames that got another size, for which players may take another matrix."""
        return self if before[:2] == after[:2] else self._replace(space=self.matrix(before.width, before.height))

    def converted(self, geometry: Geometry) -> "Color":
        """Of RGB frames that became YCbCr."""
        usual = Color(primaries=self.primaries).matrix(geometry.width, geometry.height)
        return Color(STUDIO, usual, self.primaries, self.transfer)


class ColorSpace(NamedTuple):
    """How the samples of frames are colors, see `color_space`.

    to_samples: (3, 3), steps of the samples Y, Cb and Cr, rows, for E'R, E'G and E'B, columns. offset: of the samples,
    (3,). chroma: of the frames. site: of chroma, see `powerqe.utils.video.chroma`. depth: bits.
    """

    to_samples: np.ndarray
    offset: np.ndarray
    chroma: Chroma
    site: Site
    depth: Depth

    def to_rgb(self, frame: Frame) -> np.ndarray:
        """A frame as float32 (H, W, 3) RGB, nominally 0 ... 1, not clipped; chroma is interpolated linearly."""
        y, *chroma = frame[: self._planes]
        planes = np.stack([y.astype(np.float32), *(enlarged(plane, self._steps, self.site) for plane in chroma)])
        planes -= self.offset[: self._planes, None, None].astype(np.float32)
        return _mixed(planes, np.linalg.inv(self.to_samples)[:, : self._planes])

    def from_rgb(self, rgb: np.ndarray) -> Frame:
        """The inverse of `to_rgb`, rounded and clipped.

        Raises:
            UserError: an odd side, where chroma needs even ones.
        """
        height, width, _ = rgb.shape
        shapes = Geometry(width, height, self.chroma, self.depth).check("frame").shapes
        zero = Frame(*(np.full(shape, value, self._dtype) for shape, value in zip(shapes, self.offset, strict=True)))
        return self.changed(zero, rgb)

    def changed(self, frame: Frame, change: np.ndarray) -> Frame:
        """A frame whose RGB changed by float (H, W, 3); where nothing changed, no sample does."""
        planes = np.ascontiguousarray(np.moveaxis(change, 2, 0), np.float32)
        y, *chroma = np.moveaxis(_mixed(planes, self.to_samples[: self._planes]), 2, 0)
        changes = [y, *(reduced(plane, self._steps, self.site) for plane in chroma)]
        largest = (1 << self.depth) - 1
        planes = [np.rint(plane + change).clip(0, largest).astype(self._dtype)
                  for plane, change in zip(frame, changes, strict=False)]  # fmt: skip
        return Frame(*planes, *frame[len(planes) :])

    @property
    def _planes(self) -> int:
        return 1 if self.chroma == "400" else 3

    @property
    def _steps(self) -> tuple[int, int]:
        return SUBSAMPLING[self.chroma]

    @property
    def _dtype(self) -> np.dtype:
        return Geometry(0, 0, self.chroma, self.depth).dtype


def _mixed(planes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(H, W, M) of planes (N, H, W): each pixel times a matrix (M, N). Planes that lie as a whole in memory are faster,
    and row by row the threads of BLAS stay out of it."""
    if len(matrix) == 1:  # BLAS would round the last few pixels of a row otherwise
        return np.ascontiguousarray(np.moveaxis(planes, 0, 2)) @ matrix.astype(np.float32).T
    mixed = np.empty((len(matrix), *planes.shape[1:]), np.float32)
    np.matmul(matrix.astype(np.float32), planes.swapaxes(0, 1), out=mixed.swapaxes(0, 1))
    return np.moveaxis(mixed, 0, 2)


def color_space(geometry: Geometry, color: Color = Color()) -> ColorSpace:  # noqa: B008 - immutable
    """That of frames of a geometry with a color description; RGB has the full range, whatever it says."""
    unit, largest = 1 << (geometry.depth - 8), (1 << geometry.depth) - 1
    site = SITES[color.location or 0]
    if color.is_rgb:
        return ColorSpace(largest * _GREEN_BLUE_RED, np.zeros(3), geometry.chroma, site, geometry.depth)
    is_full = color.range == FULL
    scale = np.full(3, largest) if is_full else np.array([219, 224, 224]) * unit
    offset = np.array([0 if is_full else 16, 128, 128]) * unit
    red, blue = _WEIGHTS[color.matrix(geometry.width, geometry.height)]
    luma = np.array([red, 1 - red - blue, blue])
    ends = np.eye(3)
    chroma = (ends[2] - luma) / (2 * (1 - blue)), (ends[0] - luma) / (2 * (1 - red))
    matrix = np.stack([luma, *chroma])
    return ColorSpace(matrix * scale[:, None], offset, geometry.chroma, site, geometry.depth)


def converter(source: Geometry, color: Color, target: Geometry, wanted: Color) -> Callable[[Frame], Frame]:
    """What turns frames into those of another geometry and, if they are RGB, of another description."""
    before, after = color_space(source, color), color_space(target, wanted)
    if color.is_rgb and not wanted.is_rgb:
        return lambda frame: after.from_rgb(before.to_rgb(frame))
    if source == target:
        return lambda frame: frame
    full = color.range == FULL
    return lambda frame: resample(frame, source, target, before.site, full=full)


def marked(name: YUVName, color: Color, source: Geometry) -> YUVName:
    """The name of a raw file with what differs from its usual colors.

    Args:
        color, source: description, not of RGB, and geometry of the frames before they got the size of the name.
    """
    weights, usual = _WEIGHTS[color.matrix(*source[:2])], _WEIGHTS[Color().matrix(name.width, name.height)]
    marks = {_WEIGHTS[number]: mark for mark, number in _MARKS.items()}
    return name._replace(matrix=None if weights == usual else marks.get(weights), full=color.range == FULL)


def named_color(path: str | os.PathLike[str]) -> Color:
    """The color description in the name of a raw file; nothing in a name without geometry."""
    try:
        name = parse_name(path)
    except UserError:
        return Color()
    return Color(FULL if name.full else 0, _MARKS[name.matrix] if name.matrix else 2)
