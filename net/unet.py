"""U-Net: convolutions at several scales, each scale joined with the next coarser one.

Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015;
zero padding, the choices of scaling and merging, and repeated layers are PowerQE's.
"""

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from powerqe.net.blocks import Repeated, at_least, check_skip, conv, fit, init_residual
from powerqe.net.networks import NETWORKS


@NETWORKS.register()
class UNet(nn.Module):
    """Encoder and decoder of 3x3 convolutions with ReLU, at H, W and their halves, quarters, ...

    Level l = 0, 1, ... has min(base_features * feature_growth^l, max_features) features. The stacks of the
    encoder into level l + 1 and of the decoder into level l have one convolution that changes the number of
    features and min(base_layers * layer_growth^level, max_layers) that keep it.

    Args:
        num_levels: scales; 1 is two convolutions at full size.
        base_features: features of level 0.
        max_features: most features of a level.
        feature_growth: factor of the features from level to level.
        base_layers: convolutions of level 0 that keep the number of features.
        max_layers: most of them in a level.
        layer_growth: factor of their number from level to level.
        down: 2x2 mean, or 3x3 convolution of stride 2 with ReLU.
        up: 3x3 transposed convolution of stride 2, or nearest neighbor (after a 1x1 convolution where the
            two levels differ in features).
        merge: how the decoder takes in the encoder's features of its level.
        residual: add the input to the output; the network then starts as the identity.
        share_weights: one set of weights for the equal convolutions of a stack, as in PowerQE v1.
    """

    free_options = ("share_weights",)

    def __init__(
        self,
        *,
        in_channels: PositiveInt,
        out_channels: PositiveInt,
        num_levels: Annotated[int, Field(ge=1, le=10)],
        base_features: PositiveInt,
        max_features: PositiveInt = 1024,
        feature_growth: PositiveInt = 2,
        base_layers: PositiveInt = 1,
        max_layers: PositiveInt = 8,
        layer_growth: PositiveInt = 2,
        down: Literal["avgpool", "strideconv"] = "avgpool",
        up: Literal["transpose", "nearest"] = "transpose",
        merge: Literal["concat", "add"] = "concat",
        residual: bool = True,
        share_weights: bool = True,
    ) -> None:
        super().__init__()
        features = _grown(num_levels, base_features, feature_growth, max_features)
        layers = _grown(num_levels, base_layers, layer_growth, max_layers)
        steps = list(pairwise(features))  # from each level to the next coarser one
        merged = 2 if merge == "concat" else 1
        encoders = [_Stack(fine, coarse, n, share_weights) for (fine, coarse), n in zip(steps, layers[1:], strict=True)]
        decoders = [
            _Stack(merged * fine, fine, n, share_weights) for (fine, _), n in zip(steps, layers[:-1], strict=True)
        ]

        self.head = nn.Sequential(conv(in_channels, features[0], 3), nn.ReLU(inplace=True))
        self.downs = nn.ModuleList(_down(down, fine) for fine, _ in steps)
        self.encoders = nn.ModuleList(encoders)
        self.ups = nn.ModuleList(_up(up, coarse, fine) for fine, coarse in steps)
        self.decoders = nn.ModuleList(decoders)
        self.tail = conv(features[0], out_channels, 3)
        self.in_channels = in_channels
        self.merge = merge
        self.residual = residual
        self.smallest = 2 ** (num_levels - 1) if down == "avgpool" else 1
        """Height and width that leave one pixel to the coarsest level."""
        self.multiple = 2 ** (num_levels - 1)
        """Tiles of an image start at multiples of this (inference/tiled.py)."""
        self._v1_names = _v1_names(encoders, decoders)
        if residual:
            check_skip("UNet with residual: true", in_channels, out_channels)
        init_residual(self, self.tail)  # without the skip it learns faster so, too

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) in [0, 1] -> (N, out_channels, H, W), not clamped."""
        height, width = x.shape[-2:]
        f = self.head(at_least(x, self.smallest))
        skips = []
        for down, encode in zip(self.downs, self.encoders, strict=True):
            skips.append(f)
            f = encode(down(f))
        for up, decode in zip(reversed(self.ups), reversed(self.decoders), strict=True):
            skip = skips.pop()
            f = fit(up(f), skip)
            f = decode(f + skip if self.merge == "add" else torch.cat((f, skip), dim=1))
        y = self.tail(f)[..., :height, :width]
        return x + y if self.residual else y

    def upstream_name(self, name: str) -> str:
        """PowerQE v1 numbers the levels from the finest, and all layers of a stack, ReLUs too, in one sequence."""
        layer, _, tensor = name.rpartition(".")
        return f"{self._v1_names.get(layer, layer)}.{tensor}"


class _Stack(nn.Sequential):
    """1 + `times` convolutions, each with a ReLU; the first changes the number of features."""

    def __init__(self, before: int, features: int, times: int, share_weights: bool) -> None:
        def unit() -> nn.Module:
            return nn.Sequential(conv(features, features, 3), nn.ReLU(inplace=True))

        repeated = Repeated(times, unit, share_weights=share_weights)
        super().__init__(conv(before, features, 3), nn.ReLU(inplace=True), repeated)
        self.layers = ["0", *(f"2.{i}.0" for i in repeated.order)]
        """Names of the convolutions in the order in which they are applied."""


def _grown(num_levels: int, base: int, growth: int, limit: int) -> list[int]:
    """One number per level, each `growth` times the one before it, up to the limit."""
    numbers = [base]
    while len(numbers) < num_levels:
        numbers.append(min(numbers[-1] * growth, limit))
    return numbers


def _v1_names(encoders: list[_Stack], decoders: list[_Stack]) -> dict[str, str]:
    """Name of each layer in PowerQE v1 -> our name."""
    names = {"inc.0": "head.0", "outc": "tail"}
    for level, (encoder, decoder) in enumerate(zip(encoders, decoders, strict=True)):
        names |= {f"down_{level + 1}.0": f"downs.{level}.0", f"up_{level}.up": f"ups.{level}"}
        names |= {f"enc_{level + 1}.{2 * n}": f"encoders.{level}.{layer}" for n, layer in enumerate(encoder.layers)}
        names |= {f"dec_{level}.{2 * n}": f"decoders.{level}.{layer}" for n, layer in enumerate(decoder.layers)}
    return names


def _down(kind: str, features: int) -> nn.Module:
    if kind == "avgpool":
        return nn.AvgPool2d(2)
    return nn.Sequential(nn.Conv2d(features, features, 3, stride=2, padding=1), nn.ReLU(inplace=True))


def _up(kind: str, coarse: int, fine: int) -> nn.Module:
    if kind == "nearest":
        # A 1x1 convolution before nearest neighbor is the same as after it, at a quarter of the cost.
        change = conv(coarse, fine, 1) if coarse != fine else nn.Identity()
        return nn.Sequential(change, nn.Upsample(scale_factor=2))
    up = nn.ConvTranspose2d(coarse, fine, 3, stride=2, padding=1)
    # No ReLU follows, and of the 9 weights a pixel meets 9/4 in the mean: keep the signal's variance.
    nn.init.normal_(up.weight, std=(coarse * 9 / 4) ** -0.5)
    if up.bias is not None:
        nn.init.zeros_(up.bias)
    return up
