"""DRUNet, a U-Net of plain residual blocks conditioned on the strength of the damage by one more channel.

Zhang, Li, Zuo, Zhang, Van Gool, Timofte, "Plug-and-Play Image Restoration with Deep Denoiser Prior", IEEE Transactions
on Pattern Analysis and Machine Intelligence 44(10), 2022.
"""

from itertools import pairwise
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from powerqe.net.autocast import ImageConv
from powerqe.net.blocks import conv, to_multiple
from powerqe.net.networks import NETWORKS
from powerqe.net.severity import severities
from powerqe.net.weights import State, count
from powerqe.utils.errors import UserError

_UNKNOWN = 0.5


@NETWORKS.register()
class DRUNet(nn.Module):
    """Encoder and decoder of residual blocks, 2x2 convolutions of stride 2 between the scales, skips that are added.

    The defaults are the authors' network (fig. 2). Its modules have the names of their code, so that files of weights
    fit both ways.

    Args:
        in_channels: of the image, and of the output; the map of the quality is not counted.
        widths: channels of the scales, the finest first; each scale has half the height and width of the one before.
        num_blocks: residual blocks of each scale on the way down, and again on the way up.
        bias: convolutions have biases.
        residual: add the input to the output and start as the identity, which learns much sooner.
        half_size: work on 2x2 blocks as channels, at half the height and width: a quarter of the operations.
        quality_map: one more channel holds (100 - QF) / 100 everywhere; false: the network is blind.
    """

    def __init__(
        self,
        *,
        in_channels: PositiveInt = 3,
        widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (64, 128, 256, 512),
        num_blocks: PositiveInt = 4,
        bias: bool = False,
        residual: bool = False,
        half_size: bool = False,
        quality_map: bool = True,
    ) -> None:
        super().__init__()
        self.in_channels, self.residual, self.quality_map = in_channels, residual, quality_map
        self.step = 2 if half_size else 1
        """Pixels of the image, across, of which the finest scale makes one."""
        self.multiple = self.step * 2 ** (len(widths) - 1)
        """Tiles of an image must start at multiples of it: the network scales down by that in its own grid."""
        self.conditioning = {"qf": "quality"} if quality_map else {}
        """What `forward` is conditioned on besides the image: argument -> name in the sample."""
        seen = in_channels * self.step**2

        def blocks(features: int) -> list[nn.Module]:
            return [Block(features, bias) for _ in range(num_blocks)]

        self.m_head = ImageConv(seen + quality_map, widths[0], 3, padding=1, bias=bias)
        levels = list(enumerate(pairwise(widths), start=1))  # number, (fine, coarse)
        for level, (fine, coarse) in levels:
            down = nn.Conv2d(fine, coarse, 2, stride=2, bias=bias)
            self.add_module(f"m_down{level}", nn.Sequential(*blocks(fine), down))
        self.m_body = nn.Sequential(*blocks(widths[-1]))
        for level, (fine, coarse) in reversed(levels):
            up = nn.ConvTranspose2d(coarse, fine, 2, stride=2, bias=bias)
            self.add_module(f"m_up{level}", nn.Sequential(up, *blocks(fine)))
        self.m_tail = conv(widths[0], seen, 3, bias=bias)
        self._downs = [f"m_down{level}" for level, _ in levels]
        self._ups = [f"m_up{level}" for level, _ in reversed(levels)]
        if residual:
            _scale(self.m_tail, 0.01)

    def forward(self, x: Tensor, qf: Tensor | float | None = None) -> Tensor:
        """Restore images.

        Args:
            x: (N, in_channels, H, W) in [0, 1].
            qf: the quality factor, 0 ... 100, to restore for: one for each image, (N,) or (N, 1), or one for all. A
                lower one removes more. None, or -1 or NaN for one of the images: it is unknown, and the map is 0.5,
                as for 50.

        Returns:
            The images, in the same shape, not clamped.

        Raises:
            UserError: qf is not between 0 and 100, there are not as many as images, or the network is blind.
        """
        height, width = x.shape[-2:]
        seen = to_multiple(x, self.multiple)
        f = self.m_head(self._with_map(F.pixel_unshuffle(seen, self.step) if self.step > 1 else seen, qf))
        skips = [f]
        for name in self._downs:
            skips.append(f := self.get_submodule(name)(f))
        f = self.m_body(f)
        for name in self._ups:
            f = self.get_submodule(name)(f + skips.pop())
        restored = self.m_tail(f + skips.pop())
        restored = F.pixel_shuffle(restored, self.step) if self.step > 1 else restored
        restored = restored[..., :height, :width]
        return x + restored if self.residual else restored

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of the authors (KAIR); with biases or at half the size it is ours, which may add the input."""
        head, seen = state["m_head.weight"], state["m_tail.weight"].shape[0]
        levels, bias = count(state, r"m_down\d+\."), "m_head.bias" in state
        found = {
            "in_channels": seen if seen in (1, 3) else seen // 4,
            "widths": [head.shape[0], *(state[f"m_up{n + 1}.0.weight"].shape[0] for n in range(levels))],
            "num_blocks": count(state, r"m_body\.\d+\."),
            "bias": bias,
            "half_size": seen not in (1, 3),
            "quality_map": head.shape[1] > seen,
        }
        forms = (False, True) if bias or found["half_size"] else (False,)
        return [{**found, "residual": residual} for residual in forms]

    def _with_map(self, f: Tensor, qf: Tensor | float | None) -> Tensor:
        """One more channel, the map of the quality, if the network is not blind."""
        if not self.quality_map:
            if qf is not None:
                raise UserError("DRUNet: found qf, but with quality_map: false the network is not conditioned on it")
            return f
        return torch.cat((f, severities("DRUNet", qf, torch.full_like(f[:, :1], _UNKNOWN))), dim=1)


class Block(nn.Module):
    """x + conv(ReLU(conv(x))), both 3x3; nearly x at the start."""

    def __init__(self, features: int, bias: bool) -> None:
        super().__init__()
        first, second = (conv(features, features, 3, bias=bias) for _ in range(2))
        _scale(second, 0.2)
        self.res = nn.Sequential(first, nn.ReLU(inplace=True), second)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.res(x)


@torch.no_grad()
def _scale(layer: nn.Module, factor: float) -> None:
    for parameter in layer.parameters():
        parameter.mul_(factor)
