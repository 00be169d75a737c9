"""Side-by-side image before | after: the whole image, and enlarged crops of the most changed regions."""

from pathlib import Path

import cv2
import numpy as np

from powerqe.utils.figures import plain_texts, save_figure
from powerqe.utils.image.photo import Photo

CROPS = 3
"""Maximum number of crops."""
_SIDE = 96
"""Side of a crop in pixels of the image after the enhancement."""
_COLORS = ("#d81b60", "#1e88e5", "#ffb000")
_LONGEST = 1400
"""Longer side of the whole image in the figure, in pixels."""


@plain_texts()
def draw_comparison(path: Path, before: Photo, after: Photo, titles: tuple[str, str]) -> None:
    """Draw the image.

    Args:
        before: of any size; it is enlarged to that of `after` for this.
        titles: above before and after.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    images = [_shown(before), _shown(after)]
    height, width = images[1].shape[:2]
    if images[0].shape != images[1].shape:
        images[0] = cv2.resize(images[0], (width, height), interpolation=cv2.INTER_CUBIC).reshape(images[1].shape)
    corners, side = most_changed(*images)
    count = len(corners)
    across = 5.0  # inches of each whole image
    rows = [min(across * height / width, 8.0), across / count]
    figure = Figure(figsize=(2 * across + 0.3, sum(rows) + 0.5))
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0.0, hspace=0.0)
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[rows[0] + 0.35, rows[1]])[:, 0]
    for axis, image, title in zip(top.subplots(1, 2), images, titles, strict=True):
        _show(axis, _reduced(image), (0, width, height, 0), "antialiased")
        axis.set_title(title, fontsize=11)
        for (row, column), color in zip(corners, _COLORS, strict=False):
            axis.add_patch(Rectangle((column, row), side, side, fill=False, edgecolor=color, linewidth=1.8))
    axes = bottom.subplots(1, 2 * count, squeeze=False)[0]
    for number, axis in enumerate(axes):  # the crops of each image stand below it
        (row, column), image = corners[number % count], images[number // count]
        crop = image[row : row + side, column : column + side]
        _show(axis, crop, (0, crop.shape[1], crop.shape[0], 0), "nearest")
        for edge in axis.spines.values():
            edge.set(color=_COLORS[number % count], linewidth=2.5)
    save_figure(figure, path)


def most_changed(before: np.ndarray, after: np.ndarray) -> tuple[list[tuple[int, int]], int]:
    """Top left corners of the windows with the largest change, on a grid of half windows, and their side.

    Windows do not overlap. Of a small image there are fewer, or one of all that fits.
    """
    height, width = before.shape[:2]
    side = min(_SIDE, height, width)
    step = max(side // 2, 1)
    sums = {}
    for row in range(0, height - side + 1, step):  # no more of a huge image is there as floats
        rows = slice(row, row + side)
        change = np.abs(after[rows].astype(np.float32) - before[rows].astype(np.float32)).sum(axis=2)
        for column in range(0, width - side + 1, step):
            sums[row, column] = float(change[:, column : column + side].sum())
    found: list[tuple[int, int]] = []
    for corner in sorted(sums, key=lambda corner: (-sums[corner], corner)):
        apart = all(max(abs(corner[0] - other[0]), abs(corner[1] - other[1])) >= side for other in found)
        if apart and len(found) < CROPS:
            found.append(corner)
    return found, side


def _shown(photo: Photo) -> np.ndarray:
    """uint8 (H, W, 3), upright, transparency on white."""
    photo = photo.upright(copy=False)
    if photo.pixels.dtype == np.uint8 and photo.alpha is None and not photo.is_gray:
        return np.ascontiguousarray(photo.pixels)
    shown = np.empty((*photo.pixels.shape[:2], 3), np.uint8)
    for top in range(0, len(shown), _SIDE):
        rows = slice(top, top + _SIDE)
        pixels = photo.pixels[rows].astype(np.float32) * (255 / photo.peak)
        if photo.alpha is not None:
            opacity = photo.alpha[rows].astype(np.float32) / photo.peak
            pixels = pixels * opacity + 255 * (1 - opacity)
        shown[rows] = pixels.round()
    return shown


def _reduced(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    factor = _LONGEST / max(height, width)
    if factor >= 1:
        return image
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _show(axis, image: np.ndarray, extent: tuple[int, int, int, int], interpolation: str) -> None:
    axis.imshow(image, extent=extent, interpolation=interpolation)
    axis.set_xticks([])
    axis.set_yticks([])
