"""A network that takes whole images while its maps fit into memory, and larger ones in tiles that do.

How much memory the maps take is measured: all tensors that live at once while the network sees two small images.
It grows with the pixels as good as linearly from there. What libraries take in addition (another layout, work space) is
not seen; `MARGIN` is for that, and where it is not enough, tiles are halved (inference/tiled.py).
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from powerqe.inference.lazy_image import LazyImage
from powerqe.inference.tile_grid import FORWARDS, Order, core_size
from powerqe.inference.tile_option import Exactness
from powerqe.inference.tiled import SAMPLED_DB, SMALLEST, Band, Tiled, can_be_exact, device_of
from powerqe.net.forward_inputs import ForwardInputs
from powerqe.net.measure.live_memory import LiveMemory
from powerqe.utils.memory import available_memory

MARGIN = 2.0
"""Memory that is planned for, in that of the tensors."""
_PROBES = (64, 128)
_SPARED = 1.1**0.5 - 1
"""By which factor a tile's side may be longer than that of its core: for 10 % more work."""
_LEAST = 256
_AMPLE = 1 << 17
"""Bytes for each pixel that are more than any network takes: so much memory spares a small image the measurement."""


def default_bound(device: torch.device) -> int:
    """Bytes that the maps of a network may take: half of what is free on the device."""
    if device.type != "cpu":
        with suppress(RuntimeError):  # not of mps, whose memory is that of the CPU
            return torch.accelerator.get_memory_info(device)[0] // 2
    return available_memory() // 2


class WithinMemory:
    """A network, called as itself; see above. Images stay on the CPU.

    Args:
        network: in evaluation mode.
        bound: bytes that its maps may take.
        tile: side of the tiles, in place of the one that fits. None: that.
        exact: as far as the network can be, see `Tiled`.

    Attributes:
        size: side of the tiles of the last image; None if it was seen as a whole.
    """

    def __init__(self, network: nn.Module, bound: int, tile: int | None = None, *, exact: Exactness = "auto") -> None:
        self.bound, self.size = bound, None
        self._network = network
        self._fixed = tile
        self._tiled = Tiled(network, tile or SMALLEST, exact=exact if can_be_exact(network) else False)
        self._line: tuple[float, float] | None = None

    def __call__(self, image: Tensor, **named: Any) -> Any:
        """What the network returns for (1, C, H, W) or a clip (1, T, C, H, W).

        Raises:
            UserError: the smallest tile does not fit into memory.
        """
        planned = self._plan(image, named)
        result = self._tiled(image, **named)
        self._learn(planned, image, named)
        return result

    def bands(
        self, image: LazyImage, order: Order = FORWARDS, title: str | None = None, **named: Any
    ) -> Iterator[Band]:
        """The same of an image that is not there as floats, band after band; see `Tiled.bands`."""
        planned = self._plan(image.form, named)
        yield from self._tiled.bands(image, order, title, **named)
        self._learn(planned, image.form, named)

    @torch.inference_mode()
    def divides(self, image: Tensor, **named: Any) -> bool:
        """Whether it would see an image of this shape in tiles."""
        return self._plan(image, named) < max(image.shape[-2:])

    @property
    def exact(self) -> bool:
        """Whether tiles give what the whole image gives."""
        return self._tiled.exact

    @property
    def is_local(self) -> bool:
        """See `Tiled`."""
        return self._tiled.is_local

    @property
    def remark(self) -> str:
        """How the tiles of the last image were, in words; "" if there were none."""
        if self.size is None:
            return ""
        near = "" if self.exact else ", near what whole images give"
        if self._tiled.sampled:
            near = f", global means of a sample: {SAMPLED_DB} dB or more to exact ones (--tile exact)"
        return f"in tiles of {self.size}{near}"

    def _plan(self, image: Tensor, named: dict[str, Any]) -> int:
        """The side of the tiles."""
        if self._fixed is None:
            self._tiled.size = self._side(image, named)
        return self._tiled.size

    def _learn(self, planned: int, image: Tensor, named: dict[str, Any]) -> None:
        """From what did fit."""
        if self._tiled.size < planned and self._fixed is None:  # later images are planned for what did fit
            self.bound = self._largest_need(image, named)
        self.size = None if max(image.shape[-2:]) <= self._tiled.size else self._tiled.size

    def fits(self, count: int, pixels: int, form: Tensor | None) -> bool:
        """Whether so many images, each of so many pixels, are surely seen as wholes and fit into memory at once.

        Args:
            form: some image of the kind; None: the network takes more than an image, so it cannot be measured yet.
        """
        if self._fixed is not None or count * _AMPLE * pixels <= self.bound:
            return self._fixed is None
        if form is not None:
            self._measure(form, {})
        return self._line is not None and count * self.needs(pixels) <= self.bound

    def needs(self, pixels: int) -> int:
        """Bytes for an image or tile of so many pixels, once they were measured."""
        assert self._line is not None
        return int(MARGIN * (self._line[0] + self._line[1] * pixels))

    def _side(self, image: Tensor, named: dict[str, Any]) -> int:
        """The largest side of tiles that fit; that of the image if it does."""
        height, width = image.shape[-2:]
        multiple = self._tiled.multiple  # of which sides have to be
        side = -(-max(height, width) // multiple) * multiple
        if _AMPLE * height * width <= self.bound:
            return side
        self._measure(image, named)
        if self.needs(height * width) <= self.bound:
            return side
        side, smallest = min(side * 7 // 8, self._ample(image, named)), core_size(SMALLEST, multiple)
        while True:
            self._tiled.size = side = max(side // multiple * multiple, smallest)
            if side == smallest or self._largest_need(image, named) <= self.bound:
                return side
            side = side * 7 // 8

    def _ample(self, image: Tensor, named: dict[str, Any]) -> int:
        """A side of tiles from which on larger ones save a CPU hardly any work, and take memory."""
        if device_of(self._network, image).type != "cpu":
            return max(image.shape[-2:])
        return max(int(2 * max(self._tiled.overlaps(image, **named)) / _SPARED), _LEAST)

    def _measure(self, image: Tensor, named: dict[str, Any]) -> None:
        self._line = self._line or _measured(self._network, image, named)

    def _largest_need(self, image: Tensor, named: dict[str, Any]) -> int:
        """Bytes for the largest of the tiles in which the image would be seen now."""
        self._measure(image, named)
        return self.needs(max(tile.pixels for tile in self._tiled.tiles(image, **named)))


def _measured(network: nn.Module, image: Tensor, named: dict[str, Any]) -> tuple[float, float]:
    """Bytes of the maps: for any image, and more for each pixel."""
    device = device_of(network, image)
    peaks = []
    for side in _PROBES:
        small = ForwardInputs((image,), named).changed(
            lambda like, side=side: like.new_zeros((*like.shape[:-2], side, side))
        )
        small = small.to(device)
        network(*small.positional, **small.named)  # the first call of a size packs weights (inference/packed_layers.py)
        with LiveMemory() as live:
            network(*small.positional, **small.named)
        peaks.append(live.peak)
    less, more = peaks
    slope = (more - less) / (_PROBES[1] ** 2 - _PROBES[0] ** 2)
    return max(0.0, less - slope * _PROBES[0] ** 2), max(slope, 4.0)
