"""An image of integers that a network sees in tiles, each of which becomes floats when it is cut."""

import numpy as np
import torch
from torch import Tensor

from powerqe.inference.tile_grid import Tile
from powerqe.utils.image.color import luma, luma_uint8


class LazyImage:
    """Pixels as a network sees them, of which no more become floats than are asked for.

    Args:
        pixels: (H, W, 1 or 3) uint8 or uint16, gray or RGB; a view of any strides.
        channels: of the network: 3, RGB, gray three times; or 1, gray or luma.

    Attributes:
        form: a tensor of the shape and type that the whole image would have, (1, channels, H, W), without its memory.
    """

    def __init__(self, pixels: np.ndarray, channels: int) -> None:
        self.pixels, self.channels = pixels, channels
        self.form = torch.zeros(()).expand(1, channels, *pixels.shape[:2])

    def cut(self, tile: Tile) -> Tensor:
        """(1, channels, h, w) float32 in [0, 1]."""
        rows, columns = (slice(span.start, span.stop) for span in tile)
        return self.part(rows, columns)

    def part(self, rows: slice, columns: slice = slice(None)) -> Tensor:
        """The same of any rectangle."""
        pixels = self.pixels[rows, columns]
        if self.channels == 1 and pixels.shape[2] == 3:
            if pixels.dtype != np.uint8:
                return luma(to_batch(pixels))
            pixels = luma_uint8(pixels)
        return to_batch(pixels).expand(-1, self.channels, -1, -1).contiguous()


def to_batch(pixels: np.ndarray) -> Tensor:
    """(H, W, C) uint8 or uint16 -> (1, C, H, W) float32 in [0, 1]."""
    peak = np.iinfo(pixels.dtype).max
    pixels = np.ascontiguousarray(pixels, np.float32 if peak > 255 else None)
    tensor = torch.from_numpy(pixels).movedim(-1, 0)[None]
    return tensor.to(torch.float32, memory_format=torch.contiguous_format).div_(peak)
