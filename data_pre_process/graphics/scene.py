"""What a painter is given: dice, a size, fonts and photographs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from powerqe.data_pre_process.graphics.fonts import Face

T = TypeVar("T")


@dataclass(frozen=True)
class Scene:
    """The order for one image, or for a part of one.

    rng: the only source of chance. width, height: of the image in pixels. faces: fonts, at least one. photos: image
    files that may be shown in it; without any, textures take their place.
    """

    rng: np.random.Generator
    width: int
    height: int
    faces: tuple[Face, ...]
    photos: tuple[Path, ...] = ()

    def of_size(self, width: float, height: float) -> "Scene":
        """The same dice for a part of the image, of at least one pixel."""
        return replace(self, width=max(1, round(width)), height=max(1, round(height)))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, each as likely."""
        return options[int(self.rng.integers(len(options)))]

    def between(self, low: float, high: float) -> int:
        """A whole number from `low` to `high`, both included; `low` if `high` is less."""
        return int(self.rng.integers(int(low), max(int(low), int(high)) + 1))

    def uniform(self, low: float, high: float) -> float:
        """A real number from `low` to `high`."""
        return float(self.rng.uniform(low, high))


Painter = Callable[[Scene], Image.Image]
"""Makes an RGB image of the scene's size."""


def paint_one_of(scene: Scene, painters: Sequence[Painter]) -> Image.Image:
    """The image of one of the painters, each as likely."""
    return scene.pick(painters)(scene)
