"""ESRGAN for enhancement at the same size: the generator, and the discriminator that judges its images.

Wang, Yu, Wu, Gu, Liu, Dong, Qiao, Loy, "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
ECCV Workshops 2018.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from powerqe.net.blocks import conv
from powerqe.net.networks import NETWORKS
from powerqe.net.weights import State, count, renamed
from powerqe.utils.errors import UserError

_OTHER_NAMES = (
    # PowerQE v1
    (r"^conv_in\.", "conv_first."),
    (r"^rrdb_lst\.", "body."),
    (r"^conv_mid\.", "conv_body."),
    (r"^conv_out\.", "conv_last."),
    # the authors and KAIR
    (r"^RRDB_trunk\.", "body."),
    (r"^trunk_conv\.", "conv_body."),
    (r"^upconv(\d)\.", r"conv_up\1."),
    (r"^HRconv\.", "conv_hr."),
    # the authors' first program, of four times the size
    (r"^model\.0\.", "conv_first."),
    (r"^model\.1\.sub\.\d+\.(weight|bias)$", r"conv_body.\1"),
    (r"^model\.1\.sub\.(\d+\..*\.conv\d)\.0\.", r"body.\1."),
    (r"^model\.3\.", "conv_up1."),
    (r"^model\.6\.", "conv_up2."),
    (r"^model\.8\.", "conv_hr."),
    (r"^model\.10\.", "conv_last."),
    (r"\.RDB(\d)\.", r".rdb\1."),
)
_UPSAMPLING = ("conv_up1", "conv_up2", "conv_hr")  # of the paper's network, which enlarges four times
_NUM_STAGES = 5


@NETWORKS.register()
class ESRGAN(nn.Module):
    """Residual-in-residual dense blocks (RRDB) between convolutions; no image-level skip.

    The defaults are PowerQE's; the paper has scale 4, 64 features, 23 blocks and 32 growth channels. The tensors have
    the names of BasicSR's RRDBNet.

    Args:
        scale: 1, or 4: twice enlarged (nearest neighbor) before the last convolutions.
        num_features: channels between the blocks.
        num_blocks: residual-in-residual blocks, three dense blocks each.
        growth_channels: channels that each convolution of a dense block adds.
    """

    def __init__(
        self,
        *,
        scale: Literal[1, 4] = 1,
        in_channels: PositiveInt = 3,
        out_channels: PositiveInt = 3,
        num_features: PositiveInt = 32,
        num_blocks: PositiveInt = 8,
        growth_channels: PositiveInt = 16,
    ) -> None:
        super().__init__()
        self.in_channels, self.scale = in_channels, scale
        self.conv_first = conv(in_channels, num_features, 3)
        self.body = nn.Sequential(*(_RRDB(num_features, growth_channels) for _ in range(num_blocks)))
        self.conv_body = conv(num_features, num_features, 3)
        for name in _UPSAMPLING if scale == 4 else ():
            self.add_module(name, conv(num_features, num_features, 3))
        self.conv_last = conv(num_features, out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) in [0, 1] -> (N, out_channels, scale H, scale W), not clamped."""
        features = self.conv_first(x)
        features = features + self.conv_body(self.body(features))
        if self.scale == 1:
            return self.conv_last(F.leaky_relu(features, 0.1))
        *ups, last = (self.get_submodule(name) for name in _UPSAMPLING)
        for up in ups:
            features = F.leaky_relu(up(F.interpolate(features, scale_factor=2.0)), 0.2)
        return self.conv_last(F.leaky_relu(last(features), 0.2))

    def upstream_name(self, name: str) -> str | None:
        """The names of PowerQE v1 and of both programs of the authors; who does not enlarge leaves those layers."""
        name = renamed(name, _OTHER_NAMES)
        return None if self.scale == 1 and name.startswith(_UPSAMPLING) else name

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of PowerQE v1, the authors, KAIR and BasicSR, at the same or four times the size."""
        ours = {renamed(name, _OTHER_NAMES): tensor for name, tensor in state.items()}
        num_features, in_channels = ours["conv_first.weight"].shape[:2]
        found = {
            "scale": 4 if "conv_up2.weight" in ours else 1,
            "in_channels": in_channels,
            "out_channels": ours["conv_last.weight"].shape[0],
            "num_features": num_features,
            "num_blocks": count(ours, r"body\.\d+\."),
            "growth_channels": ours["body.0.rdb1.conv1.weight"].shape[0],
        }
        # BasicSR's of twice and of the same size see blocks of the image as channels.
        return [found] if found["in_channels"] == found["out_channels"] else []


class _DenseBlock(nn.Module):
    """Five convolutions, each of which sees the input and all outputs before its own; 0.2 of the last is added."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.conv1 = conv(features, growth, 3)
        self.conv2 = conv(features + growth, growth, 3)
        self.conv3 = conv(features + 2 * growth, growth, 3)
        self.conv4 = conv(features + 3 * growth, growth, 3)
        self.conv5 = conv(features + 4 * growth, features, 3)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            _init_small(layer)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen.append(F.leaky_relu(layer(torch.cat(seen, dim=1)), 0.2))
        return x + 0.2 * self.conv5(torch.cat(seen, dim=1))


class _RRDB(nn.Module):
    """Three dense blocks; 0.2 of what they make is added to their input."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = _DenseBlock(features, growth)
        self.rdb2 = _DenseBlock(features, growth)
        self.rdb3 = _DenseBlock(features, growth)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))


def _init_small(layer: nn.Conv2d) -> None:
    """A tenth of He's initialization, so that deep trunks learn (paper, section 3.1; BasicSR does the same)."""
    nn.init.kaiming_normal_(layer.weight)
    with torch.no_grad():
        layer.weight.mul_(0.1)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


@NETWORKS.register()
class VGGDiscriminator(nn.Module):
    """Five stages of a 3x3 convolution and a 4x4 one that halves the image, then two linear layers.

    The discriminator of Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative
    Adversarial Network", CVPR 2017, figure 4, as ESRGAN's authors have it. Features double up to 8 times
    the first; batch norm follows each convolution but the first.

    Args:
        num_features: channels of the first stage.
        hidden_features: between the two linear layers.
        patch_size: height and width of the images it judges, multiples of 32: the linear layers fit one size.

    Raises:
        UserError: a patch size that five halvings do not divide.
    """

    def __init__(
        self,
        *,
        in_channels: PositiveInt = 3,
        num_features: PositiveInt = 32,
        hidden_features: PositiveInt = 128,
        patch_size: tuple[PositiveInt, PositiveInt] = (128, 128),
    ) -> None:
        super().__init__()
        self.in_channels, self.patch_size = in_channels, tuple(patch_size)
        height, width = _last_size(patch_size)
        widths = [min(2**stage, 8) * num_features for stage in range(_NUM_STAGES)]
        layers: dict[str, nn.Module] = {}
        for stage, (before, after) in enumerate(zip([in_channels, *widths], widths, strict=False)):
            layers[f"conv{stage}_0"] = conv(before, after, 3, bias=stage == 0)
            if stage > 0:
                layers[f"bn{stage}_0"] = nn.BatchNorm2d(after)
            layers[f"act{stage}_0"] = nn.LeakyReLU(0.2, inplace=True)
            layers[f"conv{stage}_1"] = nn.Conv2d(after, after, 4, stride=2, padding=1, bias=False)
            layers[f"bn{stage}_1"] = nn.BatchNorm2d(after)
            layers[f"act{stage}_1"] = nn.LeakyReLU(0.2, inplace=True)
        self.features = nn.Sequential(OrderedDict(layers))
        self.linear1 = nn.Linear(widths[-1] * height * width, hidden_features)
        self.linear2 = nn.Linear(hidden_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, *patch_size) in [0, 1] -> logits (N, 1): the larger, the more real.

        Raises:
            UserError: images of another size.
        """
        if x.shape[-2:] != self.patch_size:
            raise UserError(
                f"VGGDiscriminator: found images of {_shown(x.shape[-2:])}, built for {_shown(self.patch_size)}; "
                "give it the patch size of the training data as patch_size"
            )
        return self.linear2(F.leaky_relu(self.linear1(self.features(x).flatten(1)), 0.2))

    def upstream_name(self, name: str) -> str:
        """PowerQE v1 and BasicSR (VGGStyleDiscriminator) have the same names, all on one level."""
        return f"features.{name}" if name.startswith(("conv", "bn")) else name


def _last_size(patch_size: tuple[int, int]) -> tuple[int, int]:
    """Height and width after all stages."""
    unit = 2**_NUM_STAGES
    if any(length % unit for length in patch_size):
        nearest = tuple(max(unit, round(length / unit) * unit) for length in patch_size)
        raise UserError(
            f"VGGDiscriminator: found patch_size {_shown(patch_size)}, which {_NUM_STAGES} halvings do not divide; "
            f"multiples of {unit} work, the nearest is {_shown(nearest)}"
        )
    return patch_size[0] // unit, patch_size[1] // unit


def _shown(size: Sequence[int]) -> str:
    return f"{size[0]}x{size[1]}"
