"""JPEG as there is all over: any quality, subsampling and quantization tables, cropped afterwards or not."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt

from powerqe.dataset.augment import Dice
from powerqe.dataset.degradations.degradation import DEGRADATIONS, Action, DegradedPair
from powerqe.dataset.quality import Quality, read_quality
from powerqe.utils.codecs import JPEG
from powerqe.utils.codecs.jpeg import compress_with_tables
from powerqe.utils.codecs.jpeg_tables import quant_tables
from powerqe.utils.codecs.table_file import read_table_file
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import Section

Subsampling = Literal["4:2:0", "4:2:2", "4:4:4"]


class OtherTables(Section):
    """Tables that are no libjpeg's, and the share of the samples that have one of them."""

    file: str
    share: Annotated[float, Field(ge=0, le=1)] = 1.0


@dataclass(frozen=True)
class _Coded(Action):
    """encode: image -> decoded image and size. crop: rows and columns that are cut off at the top and at the left."""

    encode: Callable[[np.ndarray], tuple[np.ndarray, int]]
    quality: int
    tables: np.ndarray
    crop: tuple[int, int]

    def needs(self, side: int) -> int:
        return side + max(self.crop)

    def apply(self, pair: DegradedPair, least: int) -> DegradedPair:
        height, width, channels = pair.lq.shape
        top, left = min(self.crop[0], max(height - least, 0)), min(self.crop[1], max(width - least, 0))
        lq, _ = self.encode(pair.lq)
        tables = self.tables[: 1 if channels == 1 else 2] if (top, left) == (0, 0) else None
        return DegradedPair(lq[top:, left:], pair.gt[top:, left:], self.quality, tables)


@DEGRADATIONS.register("JPEG")
class VariedJPEG:
    """Baseline JPEG of drawn quality factor, subsampling of the chroma and quantization tables.

    Two of them in one chain are double JPEG: `crop` of the first one moves the blocks of the second.

    Args:
        quality: one quality factor; or a list or {min, max}, of which one is drawn; see `DegradedImages`.
        subsampling: of the chroma: one, a list of equally likely ones, or a mapping of them to weights, such as
            {"4:2:0": 0.7, "4:4:4": 0.3}. YAML wants the quotes.
        tables: {file: FILE, share: p}: p of the samples (1) have, instead of a quality factor, one of the tables in
            a file of `powerqe data collect-jpeg-tables`, all equally likely; their quality is -1.
        crop: rows and columns that are cut off at the top and at the left afterwards, both drawn from 0 to this.

    Raises:
        UserError: a quality that JPEG does not have, no subsampling with a weight, or a file without tables.
    """

    def __init__(
        self,
        *,
        quality: Quality,
        subsampling: Subsampling | list[Subsampling] | dict[Subsampling, NonNegativeFloat] = "4:2:0",
        tables: OtherTables | None = None,
        crop: NonNegativeInt = 0,
    ) -> None:
        weights = _weights(subsampling)
        self._names, self._weights = list(weights), list(weights.values())
        self._codecs = {name: JPEG(subsampling=name) for name in self._names}
        self._quality = read_quality(JPEG(), quality)
        self._other = [] if tables is None else read_table_file(tables.file)
        self._share = 0.0 if tables is None else tables.share
        self._crop = crop

    def draw(self, dice: Dice) -> Action:
        """See `Degradation.draw`."""
        name, quality = self._names[dice.pick(self._weights)], self._quality.draw(dice.number())
        crop = dice.between(0, self._crop), dice.between(0, self._crop)
        if dice.unit() < self._share:
            tables = self._other[dice.between(0, len(self._other) - 1)]
            return _Coded(partial(compress_with_tables, tables=tables, subsampling=name), -1, tables, crop)
        codec = self._codecs[name]
        return _Coded(partial(codec.compress, quality=quality), quality, quant_tables(quality, 3), crop)


def _weights(
    subsampling: Subsampling | list[Subsampling] | dict[Subsampling, float],
) -> dict[Subsampling, float]:
    weights: dict[Subsampling, float]
    if isinstance(subsampling, dict):
        weights = subsampling
    else:
        weights = dict.fromkeys(subsampling if isinstance(subsampling, list) else [subsampling], 1.0)
    if not any(weights.values()):
        raise UserError(f"subsampling: found {subsampling}, expected one or more with a weight above 0")
    return weights
