"""Shapes with smooth or stepped edges, on Pillow's drawing."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from powerqe.data_pre_process.graphics.colors import Color
from powerqe.data_pre_process.graphics.scene import Scene

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


class Canvas:
    """A drawing in units of the final pixels.

    Args:
        width, height: of the image in pixels.
        paper: the color it starts with.
        smooth: how many times finer it is drawn than it is in the end; 1: without anti-aliasing.
    """

    def __init__(self, width: int, height: int, paper: Color, smooth: int = 4) -> None:
        self.width, self.height, self.smooth = width, height, smooth
        self._image = Image.new("RGB", (width * smooth, height * smooth), paper)
        self._draw = ImageDraw.Draw(self._image)

    def image(self) -> Image.Image:
        """The drawing in its final size."""
        return self._image.reduce(self.smooth) if self.smooth > 1 else self._image

    def line(self, points: Sequence[Point], color: Color, width: float = 1) -> None:
        """Lines from point to point, with round joints."""
        self._draw.line(self._scaled(points), color, self._thick(width), joint="curve")

    def polygon(
        self, points: Sequence[Point], fill: Color | None, outline: Color | None = None, width: float = 1
    ) -> None:
        """A closed shape, filled, and with a line around it if there is a color for that."""
        if fill is not None:
            self._draw.polygon(self._scaled(points), fill)
        if outline is not None:
            self.line([*points, points[0], points[1]], outline, width)

    def ellipse(
        self, center: Point, radii: Point, fill: Color | None, outline: Color | None = None, width: float = 1
    ) -> None:
        """An ellipse with axes along the image's."""
        (x, y), (a, b) = center, (abs(radii[0]), abs(radii[1]))
        self._draw.ellipse(self._box((x - a, y - b, x + a, y + b)), fill, outline, self._thick(width))

    def box(
        self, box: Box, fill: Color | None, outline: Color | None = None, width: float = 1, radius: float = 0
    ) -> None:
        """A rectangle, with rounded corners if there is a radius. One without an extent is left out."""
        left, top, right, bottom = box
        if right - left >= 1 and bottom - top >= 1:
            limit = min(radius, (right - left) / 2, (bottom - top) / 2)
            self._draw.rounded_rectangle(self._box(box), limit * self.smooth, fill, outline, self._thick(width))

    def paste(self, image: Image.Image, left: float, top: float) -> None:
        """An image with its corner there; it stays as sharp as it is where the place is a whole number of pixels."""
        size = (image.width * self.smooth, image.height * self.smooth)
        self._image.paste(
            image.resize(size, Image.Resampling.NEAREST), (round(left * self.smooth), round(top * self.smooth))
        )

    def _thick(self, width: float) -> int:
        return max(1, round(width * self.smooth))

    def _scaled(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self.smooth, y * self.smooth) for x, y in points]

    def _box(self, box: Box) -> Box:
        left, top, right, bottom = (value * self.smooth for value in box)
        return left, top, max(left, right - 1), max(top, bottom - 1)


def smoothing(scene: Scene) -> int:
    """How an image's edges are drawn: mostly smooth."""
    return scene.pick([1, 3, 4, 4])


def blob(scene: Scene, center: Point, radius: float, roughness: float = 0.3, points: int = 72) -> list[Point]:
    """A closed shape around a point, rounder for a lower `roughness` (0 to about 0.6)."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    distance = np.ones(points)
    for harmonic in range(2, 6):
        distance += roughness / harmonic * scene.uniform(-1, 1) * np.sin(harmonic * angle + scene.uniform(0, 7))
    stretch = scene.uniform(0.7, 1.4)
    x = center[0] + radius * stretch * distance * np.cos(angle)
    y = center[1] + radius / stretch * distance * np.sin(angle)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def curve(points: Sequence[Point]) -> list[Point]:
    """A smooth curve through the points (a Catmull-Rom spline)."""
    given = np.array([points[0], *points, points[-1]], dtype=float)
    t = np.linspace(0, 1, 12, endpoint=False)[:, None]
    parts = []
    for a, b, c, d in zip(given, given[1:], given[2:], given[3:], strict=False):
        parts.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    parts.append(given[-1:])
    return [(float(x), float(y)) for x, y in np.concatenate(parts)]
