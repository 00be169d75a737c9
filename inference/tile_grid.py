"""Where the tiles of an image lie, and which part of a tile's features and results counts.

An image is divided into cores. The tile of a core is the core and what lies around it, as far as the image goes, so
that the network computes the core as it would in the whole image. Networks with strides pad at the right and at the
bottom as the size demands, some even shift by a pixel; therefore tiles start at multiples of the network's largest
stride and end where the remainder is that of the image: each tile is, for the network, a smaller image of
the same kind.
"""

from fractions import Fraction
from itertools import product
from math import lcm
from typing import NamedTuple

from torch import Tensor

from powerqe.net.forward_inputs import ratio_of

PATCH = 64
"""Pixels of a sample's squares."""
_BLOCKS = 16
Ratios = tuple[Fraction, Fraction]
"""Height and width of a map of features, or of a result, per pixel of the image."""


class Span(NamedTuple):
    """A tile along one axis, in pixels of the image."""

    start: int
    stop: int
    core_start: int
    core_stop: int
    is_last: bool
    """The core ends where the image ends."""

    @property
    def length(self) -> int:
        """What the network sees."""
        return self.stop - self.start

    def core_in(self, box: "Span", ratio: Fraction) -> slice:
        """Where the core lies in a map of a box of cores."""
        origin = int(box.core_start * ratio)
        return slice(int(self.core_start * ratio) - origin, int(self.core_stop * ratio) - origin)

    def core(self, ratio: Fraction, length: int) -> slice:
        """The core in a map of this tile that is `length` long; the last one has what padding added, too."""
        first = int((self.core_start - self.start) * ratio)
        return slice(first, length if self.is_last else int((self.core_stop - self.start) * ratio))


class Tile(NamedTuple):
    """A rectangle of the image."""

    rows: Span
    columns: Span

    def cut(self, image: Tensor) -> Tensor:
        """(..., H, W) -> what this tile sees of it."""
        return image[..., self.rows.start : self.rows.stop, self.columns.start : self.columns.stop]

    def core_of(self, features: Tensor, ratios: Ratios) -> Tensor:
        """A map that was computed from this tile -> the part of it that belongs to the core."""
        height, width = features.shape[-2:]
        return features[..., self.rows.core(ratios[0], height), self.columns.core(ratios[1], width)]

    def ratios_of(self, features: Tensor, multiple: int) -> Ratios:
        """How large a map of features is per pixel of the image; `multiple` of the network.

        The first tile is sufficient: it has three times `multiple` pixels or more, or is the whole image.
        """
        height, width = features.shape[-2:]
        return ratio_of(height, self.rows.length, multiple), ratio_of(width, self.columns.length, multiple)

    @property
    def pixels(self) -> int:
        """What the network sees."""
        return self.rows.length * self.columns.length


class Order(NamedTuple):
    """In which order tiles come: band after band, along the rows (-2) or columns (-1), from the first or the last."""

    axis: int
    backwards: bool


FORWARDS = Order(-2, backwards=False)


def bands_of(tiles: list[Tile], order: Order) -> list[list[Tile]]:
    """The tiles of each band."""
    found: dict[int, list[Tile]] = {}
    for tile in tiles:
        found.setdefault(tile[order.axis].core_start, []).append(tile)
    return [found[start] for start in sorted(found, reverse=order.backwards)]


def box_of(tiles: list[Tile]) -> Tile:
    """What their cores make up, as a tile without overlap."""
    rows, columns = (
        Span(first.core_start, last.core_stop, first.core_start, last.core_stop, last.is_last)
        for first, last in zip(min(tiles), max(tiles), strict=True)
    )
    return Tile(rows, columns)


def patches(height: int, width: int, pixels: int, multiple: int) -> list[list[Tile]]:
    """A sample of an image: squares of `PATCH` or some more pixels, evenly spread, row by row, of `pixels` at most.

    They start where blocks of JPEG do, and at multiples of `multiple`.
    """
    step = lcm(multiple, _BLOCKS)
    side = -(-PATCH // step) * step
    most = max(pixels // side**2, 1)
    across = min(max(round((most * width / height) ** 0.5), 1), most, max(width // side, 1))
    down = min(most // across, max(height // side, 1))
    rows, columns = (_spread(length, side, number, step) for length, number in ((height, down), (width, across)))
    return [[Tile(*pair) for pair in product([row], columns)] for row in rows]


def _spread(length: int, side: int, number: int, step: int) -> list[Span]:
    """Spans of a side over a length."""
    starts = (number and (length - side) * (2 * place + 1) // (2 * number) for place in range(number))
    return [Span(start, min(start + side, length), start, min(start + side, length), False)
            for start in (max(start, 0) // step * step for start in starts)]  # fmt: skip


def divide(height: int, width: int, size: int, overlap: tuple[int, int], multiple: int) -> list[Tile]:
    """The tiles of an image, row by row.

    Args:
        size: largest side of a core (see `core_size`).
        overlap: pixels around a core that the network must see, above and below, left and right.
        multiple: of which tiles and cores start.
    """
    rows = spans(height, size, overlap[0], multiple)
    columns = spans(width, size, overlap[1], multiple)
    return [Tile(*pair) for pair in product(rows, columns)]


def spans(length: int, size: int, overlap: int, multiple: int) -> list[Span]:
    """The tiles along one axis; all cores but the last are of one length, about that of the last.

    Where a tile would see the whole axis, dividing it saves no memory, and it is one tile.
    """
    size = core_size(size, multiple)
    overlap = -(-overlap // multiple) * multiple
    if multiple > 1:
        overlap = max(overlap, multiple)
    number = -(-length // size)
    step = -(-length // (number * multiple)) * multiple
    found = []
    for start in range(0, length, step):
        stop = min(start + step, length)
        end = min(stop + overlap + length % multiple, length)
        found.append(Span(max(start - overlap, 0), end, start, stop, stop == length))
    if any(span.length == length for span in found):
        return [Span(0, length, 0, length, True)]
    return found


def core_size(size: int, multiple: int) -> int:
    """The side of a core next to `size`: a multiple, and two of it at least."""
    return size if multiple == 1 else max(size // multiple, 2) * multiple
