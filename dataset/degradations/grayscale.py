"""Gray images among those in color."""

from dataclasses import dataclass

import cv2
import numpy as np

from powerqe.dataset.augment import Dice
from powerqe.dataset.degradations.degradation import DEGRADATIONS, Action, DegradedPair


@dataclass(frozen=True)
class _Gray(Action):
    def apply(self, pair: DegradedPair, least: int) -> DegradedPair:
        return DegradedPair(_gray(pair.lq), _gray(pair.gt))


@DEGRADATIONS.register()
class Grayscale:
    """lq and gt without color: all channels are the full-range luma of BT.601, as in a JPEG (JFIF) without chroma."""

    def draw(self, dice: Dice) -> Action:
        """See `Degradation.draw`."""
        return _Gray()


def _gray(image: np.ndarray) -> np.ndarray:
    if image.shape[2] == 1:
        return image
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
