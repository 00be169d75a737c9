"""A network with its weights, applied to images and frames of videos: tiles, precision, arguments of its forward."""

from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from powerqe.dataset.loader import Batch
from powerqe.dataset.windows import FrameWindow, PeakFrames, Sliding
from powerqe.inference.choose import PEAKS, arguments_of, window_of
from powerqe.inference.forward import Forward
from powerqe.inference.inference_options import InferenceOptions
from powerqe.inference.lazy_image import LazyImage
from powerqe.inference.load import NetworkReference, NetworkSource, find_network
from powerqe.inference.precision import choose_precision, note_on, prepared
from powerqe.inference.self_ensemble import SelfEnsemble
from powerqe.inference.tile_grid import FORWARDS, Order
from powerqe.inference.tile_option import tile_choice
from powerqe.inference.tiled import WholeImage, tiling_of
from powerqe.inference.within_memory import WithinMemory, default_bound
from powerqe.net import NETWORKS
from powerqe.utils.errors import UserError


class EnhancedBand(NamedTuple):
    """result: (1, C, rows, W) or (1, C, H, columns) float32, not clamped, on the CPU. estimates: of the network.
    free: see `powerqe.inference.tiled.Band`."""

    result: Tensor
    estimates: dict[str, float]
    free: int


class Model:
    """A network that enhances a batch of one image, or of one frame of a video with those around it.

    Args:
        source: a name of published weights, a path, or a network; see `find_network`.
        options: how it is applied.
        network: the network of the weights; None: as recorded in or recognized from the file.

    Attributes:
        name: of the weights. method: the network's type. card: what is known of published weights, else None.
        network: the module. parameters: how many it has. channels: 3, it takes RGB, or 1, luma. scale: by which it
        enlarges images. needs_tables: the quantization tables of JPEG. needs_quality: the quality factor of the image,
        -1 where it is not known. estimates: names of its estimates, in the order of its outputs.
        window: which frames of a video it sees. takes_clips: it sees several at once, so it is for videos only.
        needs_peaks: some of them are the frames of peak quality. options: how it is applied.
        precision: in which it computes, "fp32", "bf16" or "fp16". note: on that, for the user; "" if it is as expected.

    Raises:
        UserError: no such weights, or of a network that takes other channels, or no quality factor.
    """

    def __init__(
        self,
        source: NetworkReference,
        options: InferenceOptions | None = None,
        network: Mapping[str, Any] | None = None,
    ) -> None:
        self.options = options = options or InferenceOptions()
        self._device = options.torch_device
        found = find_network(source, network)
        self.name, self.method, self.card = found.name, found.method, found.card
        arguments = arguments_of(self.method)
        self.needs_tables, self._needs_more = "tables" in arguments, Parameter.empty in arguments.values()
        self.precision = choose_precision(options.precision, self._device, found.card)
        self.note = note_on(options.precision, self.precision, self._device)
        module = prepared(found.build(self._device), self.precision)
        self.channels = _channels(found, module)
        fixed: dict[str, Any] = {**getattr(module, "applied", {})}
        if options.qf is not None:
            if "qf" not in {*getattr(module, "estimates", {}), *getattr(module, "conditioning", {})}:
                reason = "cannot be conditioned on a quality factor, FBCNN can; leave it out"
                raise UserError(f"qf: {self.method} ({self.name}) {reason}")
            fixed["qf"] = options.qf
        self.needs_quality = "qf" in getattr(module, "conditioning", {}) and options.qf is None
        self.scale = int(getattr(module, "scale", 1))
        self.network, self.parameters = module, sum(parameter.numel() for parameter in module.parameters())
        self.window = _window(module, window_of(self.method))
        self.takes_clips, self.needs_peaks = self.window.size > 1, window_of(self.method) == PEAKS
        self._enhance = Forward(module, self._call(module), fixed, on_cpu=True)
        self.estimates = list(self._enhance.estimates)

    _tiles: WithinMemory | None = None

    @property
    def tile(self) -> int | None:
        """Side of the tiles of the last image; None if it was seen as a whole."""
        return self._tiles.size if self._tiles else None

    @property
    def is_exact(self) -> bool:
        """Whether tiles give what the whole image gives."""
        return self._tiles is None or self._tiles.exact

    @property
    def is_local(self) -> bool:
        """Whether what becomes of a pixel depends on those around it alone, and not on means over the image."""
        return self._tiles is not None and self._tiles.is_local

    @property
    def tiling(self) -> str:
        """How the last image was seen in tiles, in words; "" if as a whole."""
        return self._tiles.remark if self._tiles else ""

    @torch.inference_mode()
    def fits(self, count: int, pixels: int) -> bool:
        """Whether so many images, each of so many pixels, may be enhanced at once, in threads."""
        form = None if self._needs_more or self.takes_clips else torch.zeros(1, self.channels, 8, 8)
        return self._tiles is not None and self._tiles.fits(count, pixels, form)

    @torch.inference_mode()
    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The enhanced image (1, C, H, W) float32, not clamped, on the CPU, and the network's estimates.

        Args:
            batch: lq (1, C, H, W), of a network that takes clips (1, T, C, H, W), in [0, 1] and, if it needs them,
                tables or quality (1,); on the CPU.
        """
        return self._parts(self._enhance(batch))

    def in_tiles(self, image: LazyImage, known: Batch) -> bool:
        """Whether the network sees an image in tiles, so that it can be enhanced in `bands`."""
        if self._tiles is None or self.options.self_ensemble:
            return False
        return self._tiles.divides(image.form, **self._enhance.arguments(known))

    def bands(
        self, image: LazyImage, known: Batch, order: Order = FORWARDS, title: str | None = None
    ) -> Iterator[EnhancedBand]:
        """What a call gives, band after band, for an image that is not there as floats.

        Args:
            known: the batch without lq.
            order, title: see `powerqe.inference.tiled.Tiled.bands`.
        """
        assert self._tiles is not None
        bands = self._tiles.bands(image, order, title, **self._enhance.arguments(known))
        while True:
            with torch.inference_mode():
                band = next(bands, None)
            if band is None:
                return
            yield EnhancedBand(*self._parts(band.output), band.free)
            band = None  # not beside the next one

    def _parts(self, output: Any) -> tuple[Tensor, dict[str, float]]:
        image, *others = output if isinstance(output, tuple) else (output,)
        return image.float().cpu(), {name: float(value) for name, value in zip(self.estimates, others, strict=False)}

    def _call(self, network: nn.Module) -> Callable[..., Any]:
        tile = tile_choice(self.options.tile)
        call: Callable[..., Any] = WholeImage(network, "take tiles: --tile 512")
        if tile is not None and (tile.side is not None or tiling_of(network) != "whole"):
            memory = self.options.memory or default_bound(self._device)
            call = self._tiles = WithinMemory(network, memory, tile.side, exact=tile.exact)
        return SelfEnsemble(call) if self.options.self_ensemble else call


def _window(network: nn.Module, name: str | None) -> FrameWindow:
    """Which frames the network takes."""
    if name == PEAKS:
        return PeakFrames()
    return Sliding(radius=0 if name is None else int(network.radius))  # type: ignore[arg-type]


def _channels(found: NetworkSource, network: nn.Module) -> int:
    """Number of input channels: in_channels of its arguments or of the network, else 3."""
    options = NETWORKS.signature(found.method)
    default = options["in_channels"][1] if "in_channels" in options else getattr(network, "in_channels", 3)
    channels = found.spec.get("in_channels", default)
    if channels not in (1, 3):
        raise UserError(f"{found.method} ({found.name}) takes {channels} channels, images have 1 or 3")
    return channels
