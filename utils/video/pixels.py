"""The pixels of a frame that a network sees, and the frame with the pixels that the network makes of them."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from powerqe.utils.image.tensors import to_image
from powerqe.utils.video.yuv import Chroma, Depth, Frame, Geometry, from_rgb, to_rgb


class FramePixels(NamedTuple):
    """How the frames of a video become images for a network, and its results frames.

    A network of luma gets that, and the chroma stays as it was. A network of RGB gets colors by BT.601.

    Attributes:
        channels: 1 or 3, of the network. depth: bits of the frames that are made; of those that come, if they have
            more, the rest is rounded away. chroma: of the frames. full: they have the full range.
    """

    channels: int
    depth: Depth = 8
    chroma: Chroma = "420"
    full: bool = False

    @property
    def peak(self) -> int:
        """The value that is 1 for the network: 255 steps of 8 bits, however many bits there are."""
        return 255 << (self.depth - 8)

    def seen(self, frame: Frame) -> np.ndarray:
        """(H, W, C) in 0 ... `peak`; of luma a read-only view, where the bits stay."""
        if self.channels == 1:
            return self._plane(frame.y)[..., None]
        return to_rgb(Frame(*map(self._plane, frame)), full=self.full)

    def restored(self, result: Tensor, chroma: tuple[np.ndarray, np.ndarray]) -> Frame:
        """The frame of a network's result, (1, C, H, W), and of the chroma (U, V) that its frame had."""
        if self.channels == 3:
            return from_rgb(to_image(result[0]), self.chroma, full=self.full)
        top = ((1 << self.depth) - 1) / self.peak
        luma = result[0, 0].clamp(0, top).mul(self.peak).round().cpu().numpy()
        return Frame(luma.astype(np.uint8 if self.depth == 8 else np.uint16), *map(self._plane, chroma))

    def geometry(self, result: Tensor) -> Geometry:
        """Of the frames that are made."""
        return Geometry(result.shape[-1], result.shape[-2], self.chroma, self.depth)

    def _plane(self, plane: np.ndarray) -> np.ndarray:
        return eight_bits(plane) if self.depth == 8 else plane


def eight_bits(plane: np.ndarray) -> np.ndarray:
    """A plane as uint8; 10 bits are rounded, halves up."""
    if plane.dtype == np.uint8:
        return np.asarray(plane)  # no memmap any more
    return np.minimum((plane + 2) >> 2, 255).astype(np.uint8)
