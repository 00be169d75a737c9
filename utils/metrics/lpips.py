"""Learned perceptual similarity, through the lpips package.

R. Zhang, P. Isola, A. A. Efros, E. Shechtman, O. Wang, "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", CVPR 2018.
"""

from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from powerqe.utils.backbones import backbone
from powerqe.utils.errors import UserError
from powerqe.utils.metrics import METRICS
from powerqe.utils.metrics.foreign import foreign
from powerqe.utils.metrics.image_metric import PEAK, Border, Preparation, Rounding, rgb_pixels

_VERSION = "0.1"

Net = Annotated[
    Literal["alex", "vgg", "squeeze"],
    Field(description="backbone; the authors advise alex to compare results"),
]
Weights = Annotated[
    str | None,
    Field(description="backbone weights, a torchvision state dict; null: torchvision's cache or download"),
]

_BACKBONES = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}
_SHORTEST_SIDE = {"alex": 31, "vgg": 16, "squeeze": 17}  # below it a pooling layer is left without input


@METRICS.register()
class LPIPS:
    """Distance of deep features, version 0.1; 0 for equal images, lower is better.

    Judges RGB; gray images enter as three equal channels. The linear weights on the features come with the
    lpips package, the ImageNet backbone does not: it is read from `weights`, or as `powerqe.utils.backbones` says.

    Args:
        net: "alex", "vgg" or "squeeze".
        weights: path of the backbone's state dict in torchvision's layout (`features.0.weight` ...).
        border: pixels left out at each side.
        rounding: "uint8", "float" or "unclamped".

    Raises:
        MetricUnavailable: lpips or torchvision cannot be imported, or there are no backbone weights: offline,
            missing, damaged, or of another network.
    """

    unit = ""
    higher_is_better = False

    def __init__(
        self, *, net: Net = "alex", weights: Weights = None, border: Border = 0, rounding: Rounding = "uint8"
    ) -> None:
        self._prepare = Preparation("all", border, rounding)
        self._net = net
        self._network = _network(net, weights)

    @torch.no_grad()
    def __call__(self, result: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """LPIPS of each image, (N,) float64, of two (N, C, H, W) in [0, 1], C = 1 or 3.

        Raises:
            UserError: neither gray nor RGB, too small for the backbone, or as `Preparation`.
        """
        result, target = map(rgb_pixels, self._prepare(result, target))
        height, width = result.shape[-2:]
        if min(height, width) < (least := _SHORTEST_SIDE[self._net]):
            raise UserError(
                f"LPIPS: an image of {height}x{width} is too small for {self._net}: {least}x{least} at least"
            )
        network = self._network.to(result.device)
        return network(_signed(result), _signed(target)).flatten().double()

    def describe(self, channels: int) -> str:
        """The convention, for images of this many channels, with backbone and version."""
        return f"{self._prepare.describe(channels)}, {self._net} v{_VERSION}"


def _signed(pixels: torch.Tensor) -> torch.Tensor:
    """0 ... 255 -> [-1, 1], the range that lpips expects."""
    return pixels / (PEAK / 2) - 1


def _network(net: str, weights: str | None) -> nn.Module:
    """The LPIPS network in evaluation mode, on the CPU."""
    with foreign("LPIPS: lpips and torchvision do not work here"):
        import lpips

        network = lpips.LPIPS(net=net, version=_VERSION, pnet_rand=True, verbose=False)
    source = weights if weights is not None else "download (give a file: weights)"
    with foreign(f"LPIPS: no {net} backbone from {source}"):
        state = _read(weights) if weights is not None else backbone(_BACKBONES[net])
        network.net.load_state_dict(_lpips_layout(state, network.net))
    return network.eval().requires_grad_(False)


def _read(path: str) -> dict[str, torch.Tensor]:
    if not Path(path).is_file():
        raise FileNotFoundError("no such file")
    return torch.load(path, map_location="cpu", weights_only=True)


def _lpips_layout(state: dict[str, torch.Tensor], trunk: nn.Module) -> dict[str, torch.Tensor]:
    """torchvision's names to lpips': `features.3.weight` is in one of the slices, as `slice2.3.weight`."""
    wanted = {name: f"features.{name.partition('.')[2]}" for name in trunk.state_dict()}
    missing = [name for name in wanted.values() if name not in state]
    if missing:
        raise KeyError(f"{len(missing)} names are missing, the first is {missing[0]}")
    return {name: state[theirs] for name, theirs in wanted.items()}
