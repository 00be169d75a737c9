"""The qualities at which a codec compresses: one, several, or a range to draw from."""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import Field, PositiveFloat

from powerqe.dataset.augment import mix, random_between, random_unit
from powerqe.utils.codecs import Codec, check_quality
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import Section


class Range(Section):
    """Qualities min <= q <= max, equally likely; but `share` of all samples have one of those in `often`.

    With a power p other than 1 the quality is min + (max - min) u^p of a uniform u: above 1 low numbers are drawn more
    often, below 1 high ones.
    """

    min: int
    max: int
    often: tuple[int, ...] = ()
    share: Annotated[float, Field(ge=0, le=1)] = 0.75
    power: PositiveFloat = 1.0

    def draw(self, seed: int) -> int:
        """The quality of the sample with this seed."""
        if self.often and random_between(mix(seed, 3), 1, 1_000_000) <= 1_000_000 * self.share:
            return self.often[random_between(mix(seed, 4), 0, len(self.often) - 1)]
        if self.power == 1:
            return random_between(seed, self.min, self.max)
        return self.min + int((self.max - self.min + 1) * random_unit(seed) ** self.power)


Quality = int | list[int] | Range
"""The type of an option `quality`."""


class QualityChoices(NamedTuple):
    """A parsed option `quality`. listed: the qualities of whole images; for a range, one of them."""

    range: Range | None
    listed: list[int]

    def draw(self, seed: int) -> int:
        """The quality of the random sample with this seed: out of the range, or one of those listed."""
        if self.range is not None:
            return self.range.draw(seed)
        return self.listed[random_between(seed, 0, len(self.listed) - 1)]


def read_quality(codec: Codec, quality: Quality | Mapping[str, Any]) -> QualityChoices:
    """Check the qualities of an option file.

    Raises:
        UserError: a quality that the codec does not have, one twice, none, or an empty range.
    """
    if isinstance(quality, Mapping):
        quality = Range(**quality)
    if isinstance(quality, Range):
        qualities = [quality.min, quality.max, *quality.often]
    else:
        qualities = [quality] if isinstance(quality, int) else list(quality)
        if not qualities or len(set(qualities)) < len(qualities):
            raise UserError(f"quality: found {qualities}, expected one or more different numbers")
    for value in qualities:
        check_quality(codec, value)
    if not isinstance(quality, Range):
        return QualityChoices(None, qualities)
    if quality.min > quality.max:
        raise UserError(f"quality: found min {quality.min} > max {quality.max}")
    return QualityChoices(quality, [quality.min])
