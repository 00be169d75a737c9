"""CBDNet, blind restoration in two steps: a map of how strong the damage is, then a U-Net that sees it.

Guo, Yan, Zhang, Zuo, Zhang, "Toward Convolutional Blind Denoising of Real Photographs", CVPR 2019. As in
PowerQE both are trained together with the loss on the restored image; the paper's supervision of the
map, its asymmetric loss and its total variation loss (equations 4 and 5) are left out.
"""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from powerqe.net.blocks import Repeated, check_skip, conv, init_residual
from powerqe.net.networks import NETWORKS
from powerqe.net.unet import UNet
from powerqe.net.weights import State, count, numbered


@NETWORKS.register()
class CBDNet(nn.Module):
    """Five convolutions with ReLU estimate the map; U-Net(image and map) is added to the image.

    Args:
        estimator_features: channels inside the estimator.
        num_levels: scales of the U-Net.
        base_features: channels of the U-Net at full size, doubled at each further scale.
        merge: how the U-Net's decoder takes in the encoder's features; the paper adds.
        share_weights: one set of weights for equal layers in a row, as in PowerQE v1 (1,860,806 parameters
            with the defaults); the paper's network has one set each (3,944,710).
    """

    free_options = ("share_weights",)

    def __init__(
        self,
        *,
        in_channels: PositiveInt = 3,
        out_channels: PositiveInt = 3,
        estimator_features: PositiveInt = 32,
        num_levels: Annotated[int, Field(ge=1, le=10)] = 3,
        base_features: PositiveInt = 64,
        merge: Literal["concat", "add"] = "add",
        share_weights: bool = True,
    ) -> None:
        super().__init__()
        check_skip("CBDNet", in_channels, out_channels)
        self.in_channels = in_channels

        def unit() -> nn.Module:
            return nn.Sequential(conv(estimator_features, estimator_features, 3), nn.ReLU(inplace=True))

        repeated = Repeated(3, unit, share_weights=share_weights)
        last = conv(estimator_features, in_channels, 3)
        self.estimator = nn.Sequential(
            conv(in_channels, estimator_features, 3),
            nn.ReLU(inplace=True),
            repeated,
            last,
            nn.ReLU(inplace=True),
        )
        self.denoiser = UNet(
            in_channels=2 * in_channels,
            out_channels=out_channels,
            num_levels=num_levels,
            base_features=base_features,
            merge=merge,
            residual=False,
            share_weights=share_weights,
        )
        self.multiple = self.denoiser.multiple
        """Tiles of an image start at multiples of this (inference/tiled.py)."""
        self._estimator_layers = ["0", "1", *(f"2.{i}.{layer}" for i in repeated.order for layer in range(2)), "3"]
        init_residual(self.estimator, last)
        _open_map(last)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> the same shape, not clamped."""
        return x + self.denoiser(torch.cat((x, self.estimator(x)), dim=1))

    def upstream_name(self, name: str) -> str:
        """PowerQE v1: `estimate.N.*`, all layers, ReLUs too, in one sequence; `denoise.*` is the U-Net."""
        if name.startswith("denoise."):
            return f"denoiser.{self.denoiser.upstream_name(name.removeprefix('denoise.'))}"
        return numbered(name, ("estimate",), [f"estimator.{layer}" for layer in self._estimator_layers])

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of PowerQE v1."""
        first, base = state["estimate.0.weight"], state["denoise.inc.0.weight"].shape[0]
        found = {
            "in_channels": first.shape[1],
            "out_channels": state["denoise.outc.weight"].shape[0],
            "estimator_features": first.shape[0],
            "num_levels": 1 + count(state, r"denoise\.enc_\d+\."),
            "base_features": base,
            "merge": "add" if state["denoise.dec_0.0.weight"].shape[1] == base else "concat",
        }
        return [{**found, "share_weights": share_weights} for share_weights in (True, False)]


def _open_map(last: nn.Conv2d) -> None:
    """Start with a faint map everywhere, so that its ReLU lets the gradient of every pixel through.

    A channel of the map that is zero for all images learns nothing; with PyTorch's initialization a third of
    them start so.
    """
    if last.bias is not None:
        nn.init.constant_(last.bias, 0.1)
