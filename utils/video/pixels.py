"""The pixels of a frame that a network sees, and the frame with the pixels that the network makes of them."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from powerqe.utils.video.colors import STUDIO, Color, ColorSpace, color_space
from powerqe.utils.video.yuv import Frame, Geometry, neutral_chroma

_LUMA, _LUMA_STEPS = Color(STUDIO, 6), 219
"""The luma of RGB: BT.601, studio range."""


class FramePixels(NamedTuple):
    """How the frames of a video become images for a network, and its results frames.

    A network of luma gets that, and the chroma stays as it was; of RGB it is the studio range's of BT.601, as in the
    data of images, and its change is added to all three colors. A network of RGB gets colors by the video's own
    description, and its change is added to the planes, so that what it leaves alone stays as it is in the file.

    Attributes:
        channels: 1 or 3, of the network.
        geometry: of the frames that are made; of those that come, if they have more bits, the rest is rounded away.
        color: of the frames.
    """

    channels: int
    geometry: Geometry
    color: Color = Color()

    @property
    def peak(self) -> int:
        """The value that is 1 for the network: 255 steps of 8 bits, however many bits there are."""
        return 255 << (self.geometry.depth - 8)

    def seen(self, frame: Frame) -> np.ndarray:
        """(H, W, C) in 0 ... `peak`; of luma a read-only view, where the bits stay."""
        if self.channels == 1 and not self.color.is_rgb:
            return self._plane(frame.y)[..., None]
        rgb = self._space.to_rgb(self._fitting(frame))
        rgb.clip(0, 1, out=rgb)
        if self.channels == 3:
            rgb *= self.peak
            return np.rint(rgb, out=rgb).astype(self.geometry.dtype)
        gray = color_space(self.geometry._replace(chroma="400"), _LUMA)
        return gray.from_rgb(rgb).y[..., None]

    def given(self, frame: Frame) -> np.ndarray:
        """What a network gets of a frame, float32 (C, H, W) in [0, 1]."""
        seen = np.moveaxis(self.seen(frame), 2, 0)
        return np.divide(seen, np.float32(self.peak), order="C", dtype=np.float32)

    def shown(self, frame: Frame) -> np.ndarray:
        """A frame as players show it, uint8 (H, W, 3)."""
        frame = Frame(*map(eight_bits, frame))
        return self._replace(channels=3, geometry=self.geometry._replace(depth=8)).seen(frame)

    def restored(self, result: Tensor, frame: Frame | None, given: np.ndarray | None = None) -> Frame:
        """The frame of a network's result.

        Args:
            result: (1, C, H, W).
            frame: what it was made of; None where there is none.
            given: of that frame, if it is at hand.
        """
        made = result[0].float().cpu().numpy()  # in NumPy: threads of PyTorch would disturb those of the network
        is_same_size = frame is not None and frame.y.shape == made.shape[1:]
        if self.channels == 1 and not (self.color.is_rgb and is_same_size):
            chroma = neutral_chroma(self.made(result)) if frame is None else self._fitting(frame)[1:]
            return Frame(self._luma(made[0]), *chroma)
        made = made.clip(0, 1)
        if frame is None or not is_same_size:
            return self._space.from_rgb(np.moveaxis(made, 0, 2))
        frame = self._fitting(frame)
        made -= self.given(frame) if given is None else given
        if self.channels == 1:
            made = np.repeat(made * np.float32(255 / _LUMA_STEPS), 3, axis=0)
        return self._space.changed(frame, np.moveaxis(made, 0, 2))

    def made(self, result: Tensor) -> Geometry:
        """The geometry of the frame of a result, which may be larger."""
        return self.geometry._replace(width=result.shape[-1], height=result.shape[-2])

    def _luma(self, made: np.ndarray) -> np.ndarray:
        scaled = made.clip(0, ((1 << self.geometry.depth) - 1) / self.peak)
        scaled *= self.peak
        return np.rint(scaled, out=scaled).astype(self.geometry.dtype)

    @property
    def _space(self) -> ColorSpace:
        return color_space(self.geometry, self.color)

    def _fitting(self, frame: Frame) -> Frame:
        """A frame with no more bits than those that are made."""
        return Frame(*map(self._plane, frame))

    def _plane(self, plane: np.ndarray) -> np.ndarray:
        return eight_bits(plane) if self.geometry.depth == 8 else plane


def eight_bits(plane: np.ndarray) -> np.ndarray:
    """A plane as uint8; 10 bits are rounded, halves up."""
    if plane.dtype == np.uint8:
        return np.asarray(plane)  # no memmap any more
    return np.minimum((plane + 2) >> 2, 255).astype(np.uint8)
