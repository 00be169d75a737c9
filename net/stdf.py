"""STDF: the frames around a frame are fused by one deformable convolution, whose offsets take the place of motion.

Deng, Wang, Pu, Zhuo, "Spatio-Temporal Deformable Convolution for Compressed Video Quality Enhancement", AAAI 2020,
with the layers of STDF-PyTorch, the implementation that is known by its weights.
"""

import re
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from powerqe.net.blocks import check_clip, check_skip, conv, init_residual, planar, to_multiple
from powerqe.net.networks import NETWORKS
from powerqe.net.ops.dcn import ModulatedDeformConv2d
from powerqe.net.weights import State, count, renamed
from powerqe.utils.errors import UserError

TAPS = 9
"""Samples that the 3x3 deformable convolution takes of a frame."""


@NETWORKS.register()
class STDF(nn.Module):
    """A U-Net predicts sampling offsets for each frame from all of them; plain convolutions enhance the fused maps.

    What they make is added to the center frame. With the defaults it is the paper's R3; R3L has num_features 64,
    enhance_features 64 and enhance_layers 16, R1 has radius 1. It starts as the identity, with offsets near zero, see
    `_initialize`; STDF-PyTorch leaves all layers as PyTorch makes them, from where the first steps lead nowhere.

    Args:
        radius: frames before and after the enhanced one; a clip has T = 2 radius + 1.
        in_channels: C of a frame; the authors' network is for luma.
        out_channels: the same number.
        fusion_features: channels that the deformable convolution makes of the frames.
        num_features: channels of the U-Net.
        num_levels: times that the U-Net halves the size.
        enhance_features: channels between the convolutions after the fusion.
        enhance_layers: number of these convolutions.
    """

    window: ClassVar[str] = "sliding"
    """Which frames it takes: those up to `radius` before and after."""

    def __init__(
        self,
        *,
        radius: NonNegativeInt = 3,
        in_channels: PositiveInt = 1,
        out_channels: PositiveInt = 1,
        fusion_features: PositiveInt = 64,
        num_features: PositiveInt = 32,
        num_levels: Annotated[int, Field(ge=1, le=10)] = 3,
        enhance_features: PositiveInt = 48,
        enhance_layers: Annotated[int, Field(ge=2)] = 8,
    ) -> None:
        super().__init__()
        check_skip("STDF", in_channels, out_channels)
        self.radius, self.frames, self.in_channels = radius, 2 * radius + 1, in_channels
        planes = in_channels * self.frames
        self.offsets = _OffsetNet(planes, num_features, num_levels)
        self.fuse = ModulatedDeformConv2d(planes, fusion_features, 3, padding=1, deformable_groups=planes)
        inner = [conv(enhance_features, enhance_features, 3) for _ in range(enhance_layers - 2)]
        layers = [conv(fusion_features, enhance_features, 3), *inner, conv(enhance_features, out_channels, 3)]
        self.enhance = nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU(inplace=True))][:-1])
        _initialize(self)
        self.multiple = 2**num_levels
        """Clips are continued to multiples of this; tiles of them start there."""

    def forward(self, clip: Tensor) -> Tensor:
        """Enhance the center frame.

        Args:
            clip: (N, T, C, H, W) in [0, 1], the oldest frame first.

        Returns:
            (N, C, H, W), not clamped.

        Raises:
            UserError: the clip has another shape.
        """
        check_clip(self, clip, self.frames, self.in_channels)
        # All frames of the first channel, then all of the second: the order of the authors' weights.
        planes = to_multiple(clip.transpose(1, 2).flatten(1, 2), self.multiple)
        residual = self.enhance(self.fuse(planes, *self.offsets(planes)).relu())
        return clip[:, self.radius] + residual[..., : clip.shape[-2], : clip.shape[-1]]

    def upstream_name(self, name: str) -> str:
        """Names of STDF-PyTorch.

        Raises:
            UserError: a name of PowerQE v1, PowerVQE or an MMEditing branch, whose networks compute something else.
        """
        if found := re.match(_OTHER_NETWORKS, name):
            raise UserError(
                f"these weights ({found[0]}...) are of the STDF of PowerQE v1, PowerVQE or MMEditing, which has other "
                "activations and biases than the authors': they would give other images here. Take a checkpoint of "
                "STDF-PyTorch or of this version of PowerQE"
            )
        if found := re.fullmatch(r"ffnet\.(dn|up)_conv(\d+)\.(.+)", name):
            levels = {"dn": "downs", "up": "ups"}[found[1]]
            return f"offsets.{levels}.{int(found[2]) - 1}.{found[3]}"
        if found := re.fullmatch(r"qenet\.hid_conv\.(\d+)\.(.+)", name):
            return f"enhance.{int(found[1]) + 2}.{found[2]}"
        last = len(self.enhance) - 1
        return renamed(name, (*_UPSTREAM_NAMES, (r"^qenet\.out_conv\.", f"enhance.{last}.")))

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of STDF-PyTorch."""
        (num_features, planes), channels = (
            state["ffnet.in_conv.0.weight"].shape[:2],
            state["qenet.out_conv.weight"].shape[0],
        )
        found = {
            "radius": (planes // channels - 1) // 2,
            "in_channels": channels,
            "out_channels": channels,
            "fusion_features": state["ffnet.deform_conv.weight"].shape[0],
            "num_features": num_features,
            "num_levels": 1 + count(state, r"ffnet\.dn_conv\d+\."),
            "enhance_features": state["qenet.in_conv.0.weight"].shape[0],
            "enhance_layers": 2 + count(state, r"qenet\.hid_conv\.\d+\."),
        }
        return [found]


class _OffsetNet(nn.Module):
    """The U-Net; at full size it has no connection from side to side.

    Args:
        planes: channels of all frames together, each of which gets its own offsets and masks.
        levels: times that it halves the size, which must be a multiple of 2^levels.
    """

    def __init__(self, planes: int, features: int, levels: int) -> None:
        super().__init__()
        self.offsets = 2 * TAPS * planes
        """Channels of the result that are offsets; the rest is masks."""
        self.head = nn.Sequential(conv(planes, features, 3), nn.ReLU(inplace=True))
        self.downs = nn.ModuleList(nn.Sequential(*_down(features)) for _ in range(levels - 1))
        self.bottom = nn.Sequential(*_down(features), *_up(features))
        self.ups = nn.ModuleList(
            nn.Sequential(conv(2 * features, features, 3), nn.ReLU(inplace=True), *_up(features))
            for _ in range(levels - 1)
        )
        """The coarsest last, as in `downs`."""
        self.tail = nn.Sequential(conv(features, features, 3), nn.ReLU(inplace=True))
        self.predict = conv(features, 3 * TAPS * planes, 3)

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """(N, P, H, W) -> offsets (N, 18 P, H, W), in pixels, and masks (N, 9 P, H, W) in [0, 1]."""
        f, skips = self.head(planes), []
        for down in self.downs:
            f = down(f)
            skips.append(f)
        f = self.bottom(f)
        for up, skip in zip(reversed(self.ups), reversed(skips), strict=True):
            f = up(torch.cat((f, skip), 1))
        predicted = planar(self.predict(self.tail(f)))
        return predicted[:, : self.offsets], predicted[:, self.offsets :].sigmoid()


def _initialize(network: STDF) -> None:
    """Keep the size of signals from layer to layer, and start from sampling each frame where it is."""
    last = network.enhance[-1]
    assert isinstance(last, nn.Conv2d)
    init_residual(network, last)
    with torch.no_grad():
        network.offsets.predict.weight.mul_(0.01)
        for module in network.modules():
            if isinstance(module, nn.ConvTranspose2d):  # a pixel of its result has a quarter of the taps
                taps = module.in_channels * module.kernel_size[0] * module.kernel_size[1] / 4
                module.weight.normal_(std=(2 / taps) ** 0.5)
                module.get_parameter("bias").zero_()
        taps = network.fuse.in_channels * TAPS
        network.fuse.weight.normal_(std=(2 / taps) ** 0.5 / 0.5)  # masks start at a half


def _down(features: int) -> list[nn.Module]:
    """Half the size."""
    halve = nn.Conv2d(features, features, 3, stride=2, padding=1)
    return [halve, nn.ReLU(inplace=True), conv(features, features, 3), nn.ReLU(inplace=True)]


def _up(features: int) -> list[nn.Module]:
    """Twice the size."""
    return [nn.ConvTranspose2d(features, features, 4, stride=2, padding=1), nn.ReLU(inplace=True)]


_UPSTREAM_NAMES = (
    (r"^ffnet\.in_conv\.", "offsets.head."),
    (r"^ffnet\.tr_conv\.", "offsets.bottom."),
    (r"^ffnet\.out_conv\.", "offsets.tail."),
    (r"^ffnet\.offset_mask\.", "offsets.predict."),
    (r"^ffnet\.deform_conv\.", "fuse."),
    (r"^qenet\.in_conv\.", "enhance."),
)
_OTHER_NETWORKS = r"(generator\.)?(stdf|qe_net|fusion|qe)\."
