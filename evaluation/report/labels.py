"""Names next to the points of a plot, without overlaps."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

_DISTANCES = (8.0, 16.0, 26.0, 38.0)  # points
_LINE = 10.0  # from this distance on a line leads from the point to its name
_ANGLES = (0, 90, 270, 180, 45, 315, 135, 225)  # degrees, the best first
_GAP = 2.0  # pixels around a name


class _Box(NamedTuple):
    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: "_Box") -> float:
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.top - self.bottom)


def place_labels(figure: Any, axes: Any, points: Sequence[tuple[float, float, str]], color: str, line: str) -> None:
    """Write the names of points into a plot.

    Args:
        figure: on a canvas that can measure text; its layout is fixed here.
        points: x, y and name.
        color: of the names.
        line: color of the lines to names further from their points.
    """
    figure.canvas.draw()
    figure.set_layout_engine("none")
    pixels, frame = figure.dpi / 72, _Box(*axes.get_window_extent().extents)
    places = [axes.transData.transform((x, y)) for x, y, _ in points]
    taken = [_Box(x - 5 * pixels, y - 5 * pixels, x + 5 * pixels, y + 5 * pixels) for x, y in places]
    taken += [_Box(*text.get_window_extent().extents) for text in axes.texts]
    for (x, y, name), (across, up) in zip(points, places, strict=True):
        text = axes.annotate(
            name, (x, y), xytext=(0, 0), textcoords="offset points", fontsize=8, color=color, annotation_clip=False
        )
        extent = text.get_window_extent()
        width, height = extent.width, extent.height
        best, least = (0.0, 0.0, "left", "center", 0.0), math.inf
        for distance in _DISTANCES:
            for rank, angle in enumerate(_ANGLES):
                turn = math.radians(angle)
                dx, dy = distance * math.cos(turn), distance * math.sin(turn)
                box = _box(across + dx * pixels, up + dy * pixels, width, height, angle)
                outside = box.area - box.overlap(frame)
                cost = 10 * sum(box.overlap(other) for other in taken) + 10 * outside + distance + rank / 10
                if cost < least:
                    best, least = (dx, dy, *_alignment(angle), distance), cost
                    chosen = box
        dx, dy, horizontal, vertical, distance = best
        text.set(ha=horizontal, va=vertical)
        text.set_position((dx, dy))
        taken.append(chosen)
        if distance > _LINE:
            arrow = {"arrowstyle": "-", "color": line, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4}
            axes.annotate("", (x, y), xytext=(dx, dy), textcoords="offset points", arrowprops=arrow)


def _alignment(angle: int) -> tuple[str, str]:
    """Horizontal and vertical alignment of a name placed at an angle from its point."""
    horizontal = "center" if angle in (90, 270) else "left" if math.cos(math.radians(angle)) > 0 else "right"
    vertical = "center" if angle in (0, 180) else "bottom" if math.sin(math.radians(angle)) > 0 else "top"
    return horizontal, vertical


def _box(x: float, y: float, width: float, height: float, angle: int) -> _Box:
    horizontal, vertical = _alignment(angle)
    left = x - {"left": 0.0, "center": width / 2, "right": width}[horizontal]
    bottom = y - {"bottom": 0.0, "center": height / 2, "top": height}[vertical]
    return _Box(left - _GAP, bottom - _GAP, left + width + _GAP, bottom + height + _GAP)
