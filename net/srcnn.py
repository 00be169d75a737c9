"""The SRCNN study: small networks that enlarge an image, from three convolutions on to residual blocks.

Dong, Loy, He, Tang, "Learning a Deep Convolutional Network for Image Super-Resolution", ECCV 2014, is where it
starts (convolutions on the bicubically enlarged image); the study, on the code of EDSR, changes one thing at a
time: a global skip, more layers, enlargement at the end, batch norm, residual blocks, other activations, width.
Inside, images are in [0, 255], and no mean is taken off.
"""

from functools import partial
from typing import Annotated, Any, Literal, get_args

import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from powerqe.net.blocks import PixelShuffleUp, conv
from powerqe.net.networks import NETWORKS
from powerqe.net.weights import State, count, enlargement, renamed
from powerqe.utils.errors import UserError

Activation = Literal["relu", "leaky_relu", "prelu"]


@NETWORKS.register()
class SRCNN(nn.Module):
    """3x3 convolutions on the bicubically enlarged image, or on the small one and an enlargement after them; RGB.

    Args:
        scale: height and width of the output in those of the input.
        upsampling: "bicubic": num_layers convolutions without bias follow it; "tail": num_blocks blocks between
            a first convolution and the enlargement, with a long skip over them.
        num_layers: convolutions of the form "bicubic".
        num_blocks: blocks of the form "tail".
        global_residual: add the bicubically enlarged image to the output.
        block: of the form "tail": "plain", a convolution without bias and an activation, or "residual", two
            convolutions with an activation between them, and the identity.
        batch_norm: normalize after each convolution of the body.
        activation: "leaky_relu" has the slope 0.01, "prelu" one learnt slope per channel, 0.25 at first.
    """

    def __init__(
        self,
        *,
        scale: Literal[2, 3, 4] = 2,
        upsampling: Literal["bicubic", "tail"] = "bicubic",
        num_features: PositiveInt = 64,
        num_layers: Annotated[int, Field(ge=2)] = 3,
        num_blocks: PositiveInt = 6,
        global_residual: bool = False,
        block: Literal["plain", "residual"] = "plain",
        batch_norm: bool = False,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        if upsampling == "bicubic" and block == "residual":
            raise UserError('SRCNN: block "residual" needs upsampling "tail"; with "bicubic" all layers are plain')
        self.scale, self.global_residual = scale, global_residual
        self.is_tailed = upsampling == "tail"
        style = (batch_norm, activation)
        if self.is_tailed:
            self.head = conv(3, num_features, 3)
            make = _Residual if block == "residual" else partial(_plain, num_features)
            self.body = nn.Sequential(*(make(num_features, *style) for _ in range(num_blocks)))
            self.tail = nn.Sequential(PixelShuffleUp(num_features, scale), conv(num_features, 3, 3))
        else:
            middle = (_plain(num_features, num_features, *style) for _ in range(num_layers - 2))
            last = nn.Sequential(conv(num_features, 3, 3, bias=False))
            self.body = nn.Sequential(_plain(3, num_features, *style), *middle, last)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, 3, scale H, scale W), not clamped."""
        x = 255 * x
        if self.global_residual or not self.is_tailed:
            enlarged = F.interpolate(x, scale_factor=self.scale, mode="bicubic", align_corners=False)
        else:
            enlarged = x
        if self.is_tailed:
            features = self.head(x)
            y = self.tail(features + self.body(features))
        else:
            y = self.body(enlarged)
        return (y + enlarged if self.global_residual else y) / 255

    def upstream_name(self, name: str) -> str:
        """The study's code has the first convolution in a sequence of one."""
        return renamed(name, [(r"^head\.0\.", "head.")])

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of the study's form "tail"; ReLU and leaky ReLU have no tensors. The other hides even its scale."""
        found = {
            "scale": enlargement(state, "tail.0"),
            "upsampling": "tail",
            "num_features": state["head.0.weight"].shape[0],
            "num_blocks": count(state, r"body\.\d+\."),
            "block": "residual" if "body.0.body.0.weight" in state else "plain",
            "batch_norm": any(name.endswith(".running_mean") for name in state),
        }
        return [{**found, "activation": activation} for activation in get_args(Activation)]


class _Residual(nn.Module):
    """Two convolutions with bias and an activation between them, and the identity."""

    def __init__(self, features: int, batch_norm: bool, activation: Activation) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(features, features, 3),
            *_norm(features, batch_norm),
            _activation(activation, features),
            conv(features, features, 3),
            *_norm(features, batch_norm),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _plain(before: int, after: int, batch_norm: bool, activation: Activation) -> nn.Sequential:
    """A convolution without bias and an activation."""
    return nn.Sequential(conv(before, after, 3, bias=False), *_norm(after, batch_norm), _activation(activation, after))


def _norm(features: int, batch_norm: bool) -> list[nn.Module]:
    return [nn.BatchNorm2d(features)] if batch_norm else []


def _activation(name: Activation, features: int) -> nn.Module:
    if name == "prelu":
        return nn.PReLU(features)
    return nn.LeakyReLU(0.01, inplace=True) if name == "leaky_relu" else nn.ReLU(inplace=True)
