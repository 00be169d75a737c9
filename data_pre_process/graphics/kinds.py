"""The kinds of images by name, and the one image that a seed, a number and a kind stand for."""

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from powerqe.data_pre_process.graphics import (
    diagram,
    drawing,
    gradient,
    halftone,
    mixed,
    pattern,
    pixel_art,
    plot,
    scan,
    screen,
    text,
)
from powerqe.data_pre_process.graphics.fonts import Face
from powerqe.data_pre_process.graphics.scene import Painter, Scene
from powerqe.utils.errors import UserError

KINDS: dict[str, Painter] = {
    "text": text.paint,
    "screen": screen.paint,
    "mixed": mixed.paint,
    "drawing": drawing.paint,
    "plot": plot.paint,
    "diagram": diagram.paint,
    "scan": scan.paint,
    "halftone": halftone.paint,
    "gradient": gradient.paint,
    "pixel-art": pixel_art.paint,
    "pattern": pattern.paint,
}
"""What makes the images of a kind."""

WEIGHTS: dict[str, float] = {
    "text": 4,
    "screen": 4,
    "mixed": 3,
    "drawing": 2,
    "plot": 2,
    "diagram": 2,
    "scan": 1,
    "halftone": 1,
    "gradient": 1,
    "pixel-art": 1,
    "pattern": 1,
}
"""How many images of a kind there are in relation to others."""

TRAIN_SEED, HELD_OUT_SEED = 0, 1
"""The seed of images to train with, and that of images to test with, which nothing is to be trained with."""

NEUTRAL = 0.25
"""Share of the images, of each kind, that are made neutral (R = G = B)."""

SMALLEST = 96
"""Least height and width in pixels."""

_GOLDEN = (5**0.5 - 1) / 2


def kind_of(index: int, weights: Mapping[str, float]) -> str:
    """The kind of image `index`. Any stretch of numbers has all kinds, as often as the weights (> 0) say.

    (Multiples of the golden ratio, modulo 1, fall evenly into an interval; the kinds have parts of it.)
    """
    ends = np.cumsum(list(weights.values()))
    place = (index + 0.5) * _GOLDEN % 1 * ends[-1]
    return list(weights)[min(int(np.searchsorted(ends, place, side="right")), len(ends) - 1)]


def create_graphic(
    kind: str, seed: int, index: int, size: int, faces: tuple[Face, ...], photos: tuple[Path, ...] = ()
) -> np.ndarray:
    """Make one image: the same one each time, from the same arguments, fonts, photographs and versions of libraries.

    Args:
        kind: of `KINDS`.
        seed, index: which image, both from 0.
        size: height and width in pixels, at least `SMALLEST`.
        faces: fonts, see `bundled_faces`.
        photos: image files to be shown inside screens and pages.

    Returns:
        uint8 (size, size, 3) RGB; with R = G = B in a share of `NEUTRAL` of the cases, and where the kind has no color.

    Raises:
        UserError: a photograph that cannot be read.
    """
    if size < SMALLEST:
        raise UserError(f"images of {size} pixels are too small for text and graphics; use at least {SMALLEST}")
    rng = np.random.default_rng([seed, index, zlib.crc32(kind.encode())])
    neutral = rng.random() < NEUTRAL
    image = KINDS[kind](Scene(rng, size, size, faces, photos)).convert("RGB")
    return np.asarray(image.convert("L").convert("RGB") if neutral else image)
