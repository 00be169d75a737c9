"""The results of tiles, put together to those of the image or of a band of it."""

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from powerqe.inference.tile_grid import Ratios, Tile
from powerqe.net.forward_inputs import is_image, moved, rebuilt, results


def together(outputs: Iterator[tuple[Tile, Any]], box: Tile, device: torch.device) -> Any:
    """What the network returns for a part of the image, from what it returns for the tiles there."""
    tile, first = next(outputs)
    if tile == box:
        return moved(first, device)
    output = _Output(first, tile, box, device)
    output.add(first, tile)
    for tile, result in outputs:
        output.add(result, tile)
    return output.result()


class _Output:
    """The results of all tiles of a part of the image, put together."""

    def __init__(self, first: Any, tile: Tile, box: Tile, device: torch.device) -> None:
        self._form = rebuilt(first, repeat(None))
        self._device, self._box = device, box
        self._last: list[Any] = []
        self._ratios = [_ratios(value, tile) for value in results(first)]
        """How much larger than the image each result is; None if it is no image."""
        self._images = [
            None if ratios is None else _canvas(value, ratios, box, device)
            for value, ratios in zip(results(first), self._ratios, strict=True)
        ]

    def add(self, result: Any, tile: Tile) -> None:
        """The result of a tile."""
        self._last = results(result)
        for number, (value, canvas) in enumerate(zip(self._last, self._images, strict=True)):
            ratios = _ratios(value, tile)
            if canvas is None or ratios is None or ratios != self._ratios[number]:
                self._images[number] = None  # only the first tile's size made it look like an image
                continue
            sides = zip(tile, self._box, ratios, strict=True)
            core = [span.core_in(whole, ratio) for span, whole, ratio in sides]
            canvas[(..., *core)] = tile.core_of(value, ratios).to(self._device)

    def result(self) -> Any:
        """As the network would return it."""
        pairs = zip(self._images, self._last, strict=True)
        return moved(
            rebuilt(self._form, (value if canvas is None else canvas for canvas, value in pairs)), self._device
        )


def _ratios(value: Any, tile: Tile) -> Ratios | None:
    is_like = is_image(value, tile.rows.length, tile.columns.length)
    return tile.ratios_of(value, 1) if is_like else None


def _canvas(value: Tensor, ratios: Ratios, box: Tile, device: torch.device) -> Tensor:
    sides = (int((span.core_stop - span.core_start) * ratio) for span, ratio in zip(box, ratios, strict=True))
    return value.new_empty((*value.shape[:-2], *sides), device=device)
