"""Networks of other authors by the library spandrel, which recognizes architectures by the names of the tensors.

Checkpoints are read by our own reader (net/weights/read.py), which executes nothing; spandrel gets tensors only, and
only of checkpoints that no network of ours recognizes (net/weights/recognize.py).
"""

import math
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from powerqe.net.blocks import GlobalMean
from powerqe.net.networks import NETWORKS
from powerqe.net.weights.fit import check_finite
from powerqe.net.weights.index import find
from powerqe.net.weights.names import State
from powerqe.net.weights.read import read
from powerqe.utils.errors import UserError

_STRIDE = 32
"""Pixels. spandrel does not state strides and attention windows of networks; tiles are exact if they divide this."""


@NETWORKS.register()
class Spandrel(nn.Module):
    """Any image-to-image network that spandrel recognizes, with its weights (pip install 'powerqe[zoo]').

    Attributes:
        architecture: name of it. made_of: path of the checkpoint. scale: of the output. in_channels: 1 or 3.
        multiple, tiling: see inference/tiled.py.

    Args:
        path: of the checkpoint, or name of published weights.

    Raises:
        UserError: no such file; spandrel is not installed or does not recognize it; an inpainting network, or one with
            other channels than gray or RGB; weights that are not finite.
    """

    free_options = ("path",)

    def __init__(self, *, path: str) -> None:
        super().__init__()
        self.made_of = find(path)
        found = _load(self.made_of)
        size = found.size_requirements
        self.architecture, self.scale, self.in_channels = found.architecture.name, found.scale, found.input_channels
        step = math.lcm(_STRIDE, size.multiple_of)
        self.multiple = step * max(1, -(-size.minimum // (2 * step)))  # tiles have two of it at least
        discouraged = found.tiling.name == "DISCOURAGED" or size.square
        self.tiling = "near" if discouraged else {"INTERNAL": "whole"}.get(found.tiling.name, "exact if possible")
        self._padding, self._call = size.get_padding, found._call_fn
        self.model: nn.Module = found.model
        _find_means(self.model)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) in [0, 1] -> (N, in_channels, scale H, scale W)."""
        if x.shape[1] != self.in_channels:
            raise UserError(f"{self.architecture} takes {self.in_channels} channels, found {x.shape[1]}")
        height, width = x.shape[-2:]
        columns, rows = self._padding(width, height)
        result = self._call(self.model, _continued(x, rows, columns))
        return result[..., : height * self.scale, : width * self.scale]

    @staticmethod
    def recognizes(state: State) -> bool:
        """Whether spandrel recognizes a state dict; raises `UserError` if it is not installed."""
        return _architecture(state) is not None

    @staticmethod
    def upstream_name(name: str) -> str:
        """The names of another checkpoint of the same architecture."""
        return f"model.{name}"


def _library() -> Any:
    try:
        import spandrel
    except (ImportError, RuntimeError):  # RuntimeError: its torchvision is built for another torch
        raise UserError("networks of other authors need spandrel: pip install 'powerqe[zoo]'") from None
    return spandrel


def _architecture(state: State) -> Any:
    """spandrel's architecture of a state dict; None: not recognized."""
    library = _library()
    known = library.MAIN_REGISTRY.architectures("detection")
    tensors = library.canonicalize_state_dict(dict(state))
    return next((each.architecture for each in known if each.detect(tensors)), None)


def _load(path: Path) -> Any:
    """spandrel's descriptor of the network in a checkpoint."""
    library, states = _library(), read(path).states
    recognized = ((state, found) for state in states if (found := _architecture(state)))
    state, architecture = next(recognized, (None, None))
    if state is None or architecture is None:
        raise UserError(f"{path}: spandrel does not recognize the network")
    check_finite(state, path)
    try:
        found = architecture.load(library.canonicalize_state_dict(dict(state)))
    except Exception as error:  # a state dict that only looks like this architecture fails in any way
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"{path}: spandrel recognizes {architecture.name}, but loading failed ({reason})") from None
    if not isinstance(found, library.ImageModelDescriptor):
        raise UserError(f"{path}: {architecture.name} is an inpainting network and needs a mask; take another one")
    if found.input_channels != found.output_channels or found.input_channels not in (1, 3):
        raise UserError(
            f"{path}: {architecture.name} takes {found.input_channels} channels and gives {found.output_channels}, "
            "images have 1 or 3"
        )
    return found


def _find_means(network: nn.Module) -> None:
    """Make global means exact in tiles (inference/whole_image.py)."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.AdaptiveAvgPool2d) and child.output_size in (1, (1, 1)):
                setattr(module, name, GlobalMean())


def _continued(x: Tensor, rows: int, columns: int) -> Tensor:
    """Reflect the image at the bottom and at the right as far as it goes, then repeat its last row and column."""
    height, width = x.shape[-2:]
    below, right = min(rows, height - 1), min(columns, width - 1)
    x = F.pad(x, (0, right, 0, below), "reflect") if below or right else x
    rest = (0, columns - right, 0, rows - below)
    return F.pad(x, rest, "replicate") if any(rest) else x
