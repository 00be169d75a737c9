"""A network with its weights, ready for pictures and videos of people, and what it has to be told."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from powerqe.dataset.loader import Batch
from powerqe.dataset.windows import FrameWindow, PeakFrames, Sliding
from powerqe.inference.choose import PEAKS, arguments_of, window_of
from powerqe.inference.forward import Forward
from powerqe.inference.self_ensemble import SelfEnsemble
from powerqe.inference.within_memory import WithinMemory
from powerqe.net import NETWORKS, build_network, load_weights
from powerqe.net.weights import find, spec
from powerqe.utils.errors import UserError
from powerqe.utils.memory import is_out_of_memory


@dataclass(frozen=True)
class Applying:
    """How networks are applied.

    Attributes:
        device: where.
        bound: bytes that the maps of a network may take.
        tile: "auto": as large as `bound` lets them be; a side in pixels; "off": whole pictures.
        qf: quality factor that networks are told which can be told one; None: they estimate it.
        self_ensemble: the mean over eight orientations.
        amp: compute in bfloat16.
    """

    device: torch.device
    bound: int
    tile: int | Literal["auto", "off"] = "auto"
    qf: float | None = None
    self_ensemble: bool = False
    amp: bool = False


class Model:
    """A network that enhances a batch of one picture, or of one frame of a video with those around it.

    Args:
        weights: a name of published weights, or a path.
        applying: how it is applied.

    Attributes:
        name: of the weights. method: the network's type. parameters: how many it has. channels: 3, it takes RGB, or 1,
        luma. needs_tables: the quantization tables of JPEG. needs_quality: the quality factor of the picture, -1 where
        it is not known. estimates: what it says beside the image, in that order.
        window: which frames of a video it sees. takes_clips: it sees several at once, so it is for videos only.
        needs_peaks: some of them are the frames of peak quality.

    Raises:
        UserError: no such weights, or of a network that takes other channels, or no quality factor.
    """

    def __init__(self, weights: str, applying: Applying) -> None:
        path = find(weights)
        self._applying, self.name = applying, Path(path).stem
        network_spec = spec(path)
        self.method: str = network_spec["type"]
        self.channels = _channels(network_spec, weights)
        arguments = arguments_of(self.method)
        self.needs_tables = "tables" in arguments
        network = build_network(network_spec)
        told: dict[str, Any] = {**getattr(network, "applied", {})}
        can_be_told = {*getattr(network, "estimates", {}), *getattr(network, "told", {})}
        if applying.qf is not None:
            if "qf" not in can_be_told:
                reason = f"{self.method} ({weights}) cannot be told a quality factor, FBCNN can; leave it out"
                raise UserError(f"--qf: {reason}")
            told["qf"] = applying.qf
        self.needs_quality = "qf" in getattr(network, "told", {}) and applying.qf is None
        load_weights(network, path)
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        network = network.to(applying.device).eval()
        self.window = _window(network, window_of(self.method))
        self.takes_clips, self.needs_peaks = self.window.size > 1, window_of(self.method) == PEAKS
        self._tiles: WithinMemory | None = None
        self._enhance = Forward(network, self._call(network), told, on_cpu=True)
        self.estimates = list(self._enhance.estimates)

    @property
    def tile(self) -> int | None:
        """Side of the tiles of the last picture; None if it was seen as a whole."""
        return self._tiles.size if self._tiles else None

    @property
    def is_exact(self) -> bool:
        """Whether tiles give what the whole picture gives."""
        return self._tiles is None or self._tiles.exact

    @torch.inference_mode()
    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The enhanced picture (1, C, H, W) float32, not clamped, on the CPU, and what the network says of it.

        Args:
            batch: lq (1, C, H, W), of a network that takes clips (1, T, C, H, W), in [0, 1] and, if it needs them,
                tables or quality (1,); on the CPU.
        """
        device = self._applying.device
        with torch.autocast(device.type, torch.bfloat16) if self._applying.amp else nullcontext():
            output = self._enhance(batch)
        picture, *others = output if isinstance(output, tuple) else (output,)
        return picture.float().cpu(), {name: float(value) for name, value in zip(self.estimates, others, strict=False)}

    def _call(self, network: nn.Module) -> Callable[..., Any]:
        tile = self._applying.tile
        call: Callable[..., Any] = _whole(network, self._applying.device)
        if tile != "off":
            call = self._tiles = WithinMemory(network, self._applying.bound, None if tile == "auto" else tile)
        return SelfEnsemble(call) if self._applying.self_ensemble else call


def _whole(network: nn.Module, device: torch.device) -> Callable[..., Any]:
    """The network itself, for what lies on the CPU; it says what to do where that does not fit into memory."""

    def call(picture: Tensor, **named: Any) -> Any:
        there = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in named.items()}
        try:
            return network(picture.to(device), **there)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        height, width = picture.shape[-2:]
        raise UserError(f"{width}x{height} pixels do not fit into memory as a whole; leave --tile off out")

    return call


def _window(network: nn.Module, name: str | None) -> FrameWindow:
    """Which frames the network takes."""
    if name == PEAKS:
        return PeakFrames()
    return Sliding(radius=0 if name is None else int(network.radius))  # type: ignore[arg-type]


def _channels(network_spec: dict[str, Any], weights: str) -> int:
    """What a network takes in: its argument in_channels or what its class says, else RGB."""
    method = network_spec["type"]
    options = NETWORKS.signature(method)
    default = options["in_channels"][1] if "in_channels" in options else getattr(NETWORKS[method], "in_channels", 3)
    channels = network_spec.get("in_channels", default)
    if channels not in (1, 3):
        raise UserError(f"{method} ({weights}) takes {channels} channels, pictures have 1 or 3")
    return channels
