"""Compression by any other codec than JPEG."""

from typing import Annotated, Any

import numpy as np

from powerqe.dataset.augment import Dice
from powerqe.dataset.degradations.degradation import DEGRADATIONS, Action, Change
from powerqe.dataset.quality import Quality, read_quality
from powerqe.utils.codecs import JPEG, Codec
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import Slot, build, validate_component


@DEGRADATIONS.register("Codec")
class Recompression:
    """lq out of a codec: WebP, AVIF, HEVC, BPG, or a frame of a video.

    Args:
        codec: {type: NAME, ...}; JPEG is a step of its own.
        quality: one quality; or a list or {min, max}, of which one is drawn; see `DegradedImages`.

    Raises:
        UserError: a codec that is not there, or a quality that it does not have.
    """

    def __init__(self, *, codec: Annotated[Any, Slot("codec")], quality: Quality) -> None:
        self._codec: Codec = build(validate_component("codec", codec))
        if isinstance(self._codec, JPEG):
            raise UserError("codec: JPEG is a step of its own: {type: JPEG, quality: ...}")
        self._quality = read_quality(self._codec, quality)

    def draw(self, dice: Dice) -> Action:
        """See `Degradation.draw`."""
        quality = self._quality.draw(dice.number())

        def change(image: np.ndarray) -> np.ndarray:
            return self._codec.compress(image, quality)[0]

        return Change(change)
