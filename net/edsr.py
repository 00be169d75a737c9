"""EDSR and MDSR, residual networks without batch norm that enlarge an image, by one factor or by several.

Lim, Son, Kim, Nah, Lee, "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPR Workshops 2017.
Inside, images are in [0, 255], which the authors' weights expect.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from powerqe.net.autocast import ExactConv, ImageConv
from powerqe.net.blocks import MeanShift, PixelShuffleUp, ResidualBlock, conv
from powerqe.net.networks import NETWORKS
from powerqe.net.weights import State, count, enlargement, renamed
from powerqe.utils.errors import UserError

Scale = Literal[2, 3, 4]

_WIDE = 256
"""Features of the authors' full network, which adds a tenth of what a block gives."""
_AUTHORS, _BASICSR = ("head.0", "tail.0", "tail.1", "body"), ("conv_first", "upsample", "conv_last", "conv1")
"""Names of the first convolution, the enlargement, the last convolution, and in a block."""
_AUTHORS_NAMES = ((r"^head\.0\.", "head."), (r"\.body\.0\.", ".conv1."), (r"\.body\.2\.", ".conv2."))


@NETWORKS.register()
class EDSR(nn.Module):
    """Head convolution, residual blocks with a long skip over them, sub-pixel enlargement (fig. 3).

    The defaults are the authors' baseline; their full network has 256 features, 32 blocks and res_scale 0.1.

    Args:
        scale: height and width of the output in those of the input.
        num_blocks: residual blocks, two convolutions each.
        res_scale: factor of what a block adds to its input.
    """

    optional_weights = ("sub_mean", "add_mean")

    def __init__(
        self,
        *,
        scale: Scale = 2,
        in_channels: PositiveInt = 3,
        out_channels: PositiveInt = 3,
        num_features: PositiveInt = 64,
        num_blocks: PositiveInt = 16,
        res_scale: PositiveFloat = 1.0,
    ) -> None:
        super().__init__()
        self.in_channels, self.scale = in_channels, scale
        self.sub_mean = MeanShift(in_channels, -1)
        self.head = ImageConv(in_channels, num_features, 3, padding=1)
        self.body = _body(num_features, num_blocks, res_scale)
        last = ExactConv(num_features, out_channels, 3, padding=1)
        self.tail = nn.Sequential(PixelShuffleUp(num_features, scale), last)
        self.add_mean = MeanShift(out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) in [0, 1] -> (N, out_channels, scale H, scale W), not clamped."""
        features = self.head(self.sub_mean(255 * x))
        features = features + self.body(features)
        return self.add_mean(self.tail(features)) / 255

    def upstream_name(self, name: str) -> str:
        """The names of the authors' code, and of BasicSR, among whose tensors there is no mean."""
        basicsr = (
            (r"^conv_first\.", "head."),
            (r"^conv_after_body\.", f"body.{len(self.body) - 1}."),
            (r"^upsample\.", "tail.0."),
            (r"^conv_last\.", "tail.1."),
        )
        return renamed(name, (*_AUTHORS_NAMES, *basicsr))

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of the authors and of BasicSR; the factor of the blocks is that of their networks of the same width."""
        head, up, last, block = _BASICSR if "conv_first.weight" in state else _AUTHORS
        num_features, in_channels = state[f"{head}.weight"].shape[:2]
        found = {
            "scale": enlargement(state, up),
            "in_channels": in_channels,
            "out_channels": state[f"{last}.weight"].shape[0],
            "num_features": num_features,
            "num_blocks": count(state, rf"body\.\d+\.{block}\."),
            "res_scale": 0.1 if num_features == _WIDE else 1.0,
        }
        return [found]


@NETWORKS.register()
class MDSR(nn.Module):
    """One body for several factors; each has two residual blocks of 5x5 before it and an enlargement after it (fig. 5).

    The authors' full network has 80 blocks.

    Args:
        scales: the factors, each once.
        num_blocks: residual blocks that all factors share.
    """

    optional_weights = ("sub_mean", "add_mean")

    uses_part = True
    """A call reaches the weights of its own factor and the shared ones only."""

    def __init__(
        self,
        *,
        scales: Annotated[tuple[Scale, ...], Field(min_length=1)] = (2, 3, 4),
        in_channels: PositiveInt = 3,
        out_channels: PositiveInt = 3,
        num_features: PositiveInt = 64,
        num_blocks: PositiveInt = 16,
    ) -> None:
        super().__init__()
        if len(set(scales)) < len(scales):
            raise UserError(f"MDSR: found scales {list(scales)}, expected each once")
        self.in_channels, self.scales = in_channels, tuple(scales)
        self.sub_mean = MeanShift(in_channels, -1)
        self.head = ImageConv(in_channels, num_features, 3, padding=1)
        self.pre_process = nn.ModuleDict({f"x{scale}": _pre_process(num_features) for scale in scales})
        self.body = _body(num_features, num_blocks, 1.0)
        self.upsample = nn.ModuleDict({f"x{scale}": PixelShuffleUp(num_features, scale) for scale in scales})
        self.tail = ExactConv(num_features, out_channels, 3, padding=1)
        self.add_mean = MeanShift(out_channels, 1)

    def forward(self, x: Tensor, scale: int) -> Tensor:
        """Enlarge images.

        Args:
            x: (N, in_channels, H, W) in [0, 1].
            scale: one of `scales`.

        Returns:
            (N, out_channels, scale H, scale W), not clamped.

        Raises:
            UserError: it was not built for this scale.
        """
        if scale not in self.scales:
            raise UserError(f"MDSR: found scale {scale}, this one has {', '.join(map(str, self.scales))}")
        features = self.pre_process[f"x{scale}"](self.head(self.sub_mean(255 * x)))
        features = features + self.body(features)
        return self.add_mean(self.tail(self.upsample[f"x{scale}"](features))) / 255

    def upstream_name(self, name: str) -> str:
        """The authors' code numbers the factors."""
        name = renamed(name, (*_AUTHORS_NAMES, (r"^tail\.0\.", "tail.")))
        part = re.fullmatch(r"(pre_process|upsample)\.(\d+)\.(.+)", name)
        if part is None or int(part[2]) >= len(self.scales):
            return name
        return f"{part[1]}.x{self.scales[int(part[2])]}.{part[3]}"

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of the authors."""
        num_features, in_channels = state["head.0.weight"].shape[:2]
        found = {
            "scales": [enlargement(state, f"upsample.{index}") for index in range(count(state, r"upsample\.\d+\."))],
            "in_channels": in_channels,
            "out_channels": state["tail.0.weight"].shape[0],
            "num_features": num_features,
            "num_blocks": count(state, r"body\.\d+\.body\."),
        }
        return [found]


def _body(features: int, num_blocks: int, res_scale: float) -> nn.Sequential:
    blocks = (ResidualBlock(features, scale=res_scale) for _ in range(num_blocks))
    return nn.Sequential(*blocks, conv(features, features, 3))


def _pre_process(features: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(features, kernel_size=5) for _ in range(2)))
