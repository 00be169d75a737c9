"""RBQE: one network with several exits of increasing cost, which selects the exit of each image itself.

Xing, Xu, Li, Guan, "Early Exit or Not: Resource-Efficient Blind Quality Enhancement for Compressed Images",
ECCV 2020, in the form that PowerQE gave it: a nested U-Net (Zhou et al., "UNet++", 2018) whose features are
kept un-activated, with channel attention (Wang et al., "ECA-Net", CVPR 2020).
"""

import re
from itertools import islice, product
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, cast

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from powerqe.net.autocast import exactly
from powerqe.net.blocks import GlobalMean, at_least, check_skip, fit
from powerqe.net.networks import NETWORKS
from powerqe.net.tchebichef import Codec, Rule, TchebichefQuality
from powerqe.net.weights import State, count
from powerqe.utils.errors import UserError

Rows = list[list[Tensor]]
"""Features by depth: rows[d] has those at 1 / 2^d of the image's size, the oldest first."""


@NETWORKS.register()
class RBQE(nn.Module):
    """Level l = 0, 1, ... goes one step deeper than the level before it, comes back to full size and has an exit.

    On its way back it takes in all features that the levels before have made at that depth. An image needs
    the levels up to its exit only.

    Args:
        num_levels: exits.
        down: 3x3 convolution of stride 2 with ReLU, or 2x2 mean.
        up: 3x3 transposed convolution of stride 2, or nearest neighbor.
        separable: 3x3 convolutions of stride 1 as a depth-wise and a 1x1 convolution.
        channel_attention: weigh the channels wherever features are read.
        residual: add the input to the output of every exit.
        codec: what has compressed the images; only used by the quality module.
        threshold: quality in [0, 1] from which an image may leave. None: that of the codec and the rule, 0.855
            (jpeg) and 0.9 (hevc) for rule "python", 0.79 and 0.89 for rule "matlab".
        quality_rule: "python" judges as PowerQE v1 does, "matlab" as the authors of the paper (see
            net/tchebichef.py).
    """

    applied: ClassVar[dict[str, Any]] = {"exit": "auto"}
    """Arguments of the forward for inference."""
    free_options = ("codec", "threshold", "quality_rule")

    def __init__(
        self,
        *,
        in_channels: PositiveInt = 3,
        out_channels: PositiveInt = 3,
        num_features: PositiveInt = 64,
        num_levels: Annotated[int, Field(ge=1, le=10)] = 5,
        down: Literal["strideconv", "avgpool"] = "strideconv",
        up: Literal["transpose", "nearest"] = "transpose",
        separable: bool = False,
        channel_attention: bool = True,
        residual: bool = True,
        codec: Codec = "jpeg",
        threshold: Annotated[float, Field(ge=0, le=1)] | None = None,
        quality_rule: Rule = "python",
    ) -> None:
        super().__init__()
        if residual:
            check_skip("RBQE with residual: true", in_channels, out_channels)
        style = _Style(down, up, separable, channel_attention)
        self.head = nn.Sequential(
            _conv(in_channels, num_features, separable),
            nn.ReLU(inplace=True),
            _conv(num_features, num_features, separable),
        )
        self.levels = nn.ModuleList(_Level(n, num_features, out_channels, style) for n in range(num_levels))
        self.quality = TchebichefQuality(codec=codec, rule=quality_rule, threshold=threshold)
        self.in_channels, self.residual = in_channels, residual
        self.smallest = 2**num_levels if down == "avgpool" else 1
        """Height and width that leave one pixel to the greatest depth."""
        self.multiple = 2**num_levels
        """Tiles of an image start at multiples of this (inference/tiled.py)."""

    def forward(self, x: Tensor, exit: int | Literal["all", "auto"] = "all") -> Tensor:
        """Enhance images.

        Args:
            x: (N, in_channels, H, W) in [0, 1].
            exit: "all", the number of one exit (0 is the first), or "auto": each image leaves at the first
                exit at which the quality module finds it good enough.

        Returns:
            (num_levels, N, out_channels, H, W) for "all", otherwise (N, out_channels, H, W), not clamped.

        Raises:
            UserError: there is no such exit.
        """
        if exit == "auto":
            return self.enhance(x)[0]
        last = self._last_level(exit)
        rows, outputs = self._start(x), []
        for number, level in enumerate(islice(self.levels, last + 1)):
            rows = level(rows)
            if exit == "all" or number == last:
                outputs.append(self._leave(level, rows, x))
        return torch.stack(outputs) if exit == "all" else outputs[0]

    def enhance(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Let each image leave where it is good enough; what has left is not computed further.

        The last exit takes whatever comes and judges nothing.

        Returns:
            The images (N, out_channels, H, W), not clamped, and the exit of each, (N,) int64.
        """
        inside = torch.arange(len(x), device=x.device)  # the images that are still in the network
        exits = torch.zeros_like(inside)
        rows, order, outputs = self._start(x), [], []
        for number, level in enumerate(self.levels):
            rows = level(rows)
            y = self._leave(level, rows, x[inside])
            is_last = number == len(self.levels) - 1
            leaves = torch.ones_like(inside, dtype=torch.bool) if is_last else self.quality.good_enough(y)
            exits[inside[leaves]] = number
            order.append(inside[leaves])
            outputs.append(y[leaves])
            if leaves.all():
                break
            if leaves.any():
                inside = inside[~leaves]
                rows = [[features[~leaves] for features in row] for row in rows]
        return torch.cat(outputs)[torch.cat(order).argsort()], exits

    def macs_per_pixel(self, *, judged: bool = False) -> list[float]:
        """Multiply-adds of the convolutions per pixel of a large image, for each exit.

        Args:
            judged: count all that `exit="auto"` spends: the exits before, too, and the quality module.
        """
        spent, costs = _macs(self.head), []
        levels = cast(list[_Level], list(self.levels))
        for level in levels:
            spent += level.macs_per_pixel()
            leaving = _macs(level.exit)
            if judged and level is not levels[-1]:
                leaving += self.quality.macs_per_pixel
            costs.append(spent + leaving)
            spent += leaving if judged else 0
        return costs

    def upstream_name(self, name: str) -> str:
        """PowerQE v1 numbers the layers of a part, ReLUs too, as we do, but calls the parts otherwise."""
        for pattern, ours in _V1_NAMES:
            name = re.sub(pattern, ours, name)
        return name.replace(".separable_conv.", ".")

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of PowerQE v1; the codec is unknown."""
        separable = "inconv_lst.0.weight" not in state
        first = state["inconv_lst.2.separable_conv.1.weight" if separable else "inconv_lst.2.weight"]
        outputs = [tensor for name, tensor in state.items() if re.match(r"outconv_lst\.0\..*\.weight", name)]
        found = {
            "in_channels": state[f"inconv_lst.0.{'separable_conv.0.' if separable else ''}weight"].shape[not separable],
            "out_channels": outputs[-1].shape[0],
            "num_features": first.shape[0],
            "num_levels": count(state, r"outconv_lst\.\d+\."),
            "separable": separable,
            "channel_attention": any(tensor.ndim == 3 for tensor in state.values()),
        }
        styles = product(("strideconv", "avgpool"), ("transpose", "nearest"))
        return [{**found, "down": down, "up": up} for down, up in styles]

    def _start(self, x: Tensor) -> Rows:
        return [[self.head(at_least(x, self.smallest))]]

    def _leave(self, level: nn.Module, rows: Rows, x: Tensor) -> Tensor:
        y = cast(_Level, level).exit(rows[0][-1])[..., : x.shape[-2], : x.shape[-1]]
        return x + y if self.residual else y

    def _last_level(self, exit: int | str) -> int:
        last = len(self.levels) - 1
        if exit == "all":
            return last
        if isinstance(exit, bool) or not isinstance(exit, int) or not 0 <= exit <= last:
            raise UserError(f'RBQE: found exit {exit!r}, expected "all", "auto" or a number of 0 to {last}')
        return exit


class _Style(NamedTuple):
    """What all levels of a network have in common."""

    down: str
    up: str
    separable: bool
    channel_attention: bool


class _Level(nn.Module):
    """One step deeper, back to full size, and out."""

    def __init__(self, number: int, features: int, out_channels: int, style: _Style) -> None:
        super().__init__()
        self.down = nn.Sequential(*_down(features, style))
        self.ups = nn.ModuleList(_Up(features, skips, style) for skips in range(1, number + 2))
        self.exit = nn.Sequential(*_read(features, out_channels, style, gain=0.01))

    def forward(self, rows: Rows) -> Rows:
        """All rows with one more feature each, and one more row."""
        feature = self.down(rows[-1][-1])
        column = [feature]
        for up, skips in zip(self.ups, reversed(rows), strict=True):
            feature = up(feature, skips)
            column.insert(0, feature)
        return [[*row, feature] for row, feature in zip([*rows, []], column, strict=True)]

    def macs_per_pixel(self) -> float:
        """Multiply-adds per pixel of the image, without the exit."""
        depth = len(self.ups)
        macs = _macs(self.down, depth - 1)
        for up in cast(list[_Up], list(self.ups)):
            macs += _macs(up.up, depth) + _macs(up.merge, depth - 1)
            depth -= 1
        return macs


class _Up(nn.Module):
    """Twice the size, joined with the features that are there already."""

    def __init__(self, features: int, skips: int, style: _Style) -> None:
        super().__init__()
        enlarge = _transposed(features) if style.up == "transpose" else nn.Upsample(scale_factor=2)
        self.up = nn.Sequential(nn.ReLU(), enlarge)
        self.merge = nn.Sequential(
            *_read((1 + skips) * features, features, style, inplace=True),
            *_read(features, features, style, inplace=True),
        )

    def forward(self, deeper: Tensor, skips: list[Tensor]) -> Tensor:
        return self.merge(torch.cat([fit(self.up(deeper), skips[0]), *skips], dim=1))


class ECA(nn.Module):
    """Efficient channel attention: a convolution over the channels' means weighs each channel in (0, 1)."""

    def __init__(self, kernel_size: int = 3) -> None:
        super().__init__()
        self.mean = GlobalMean()
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)
        nn.init.zeros_(self.conv.weight)  # all channels start at one half

    def forward(self, x: Tensor) -> Tensor:
        means = self.mean(x)[:, :, 0, 0]
        return x * exactly(self.conv, means[:, None]).sigmoid()[:, 0, :, None, None].to(x.dtype)


def _read(before: int, after: int, style: _Style, *, gain: float = 1.0, inplace: bool = False) -> list[nn.Module]:
    """How every feature is read: ReLU, channel attention, 3x3 convolution.

    Args:
        inplace: overwrite the features, which must not be used elsewhere.
    """
    if not style.channel_attention:
        return [nn.ReLU(inplace), _conv(before, after, style.separable, gain)]
    # The attention halves everything at first. Without the 2 nothing would arrive from the deepest level.
    return [nn.ReLU(inplace), ECA(), _conv(before, after, style.separable, 2 * gain)]


def _down(features: int, style: _Style) -> list[nn.Module]:
    """Half the size, between two convolutions."""
    first, second = _read(features, features, style), _read(features, features, style, inplace=True)
    if style.down == "avgpool":
        return [*first, nn.ReLU(inplace=True), nn.AvgPool2d(2), *second[1:]]  # means of ReLUs need no ReLU
    strided = nn.Conv2d(features, features, 3, stride=2, padding=1)
    return [*first, nn.ReLU(inplace=True), _initialize(strided, features * 9), *second]


def _transposed(features: int) -> nn.Module:
    # Of the 9 weights of a channel, a pixel of the result meets 9 / 4 in the mean.
    return _initialize(nn.ConvTranspose2d(features, features, 3, stride=2, padding=1), features * 9 / 4)


def _conv(before: int, after: int, separable: bool, gain: float = 1.0) -> nn.Module:
    if not separable:
        return _initialize(nn.Conv2d(before, after, 3, padding=1), before * 9, gain)
    return nn.Sequential(
        _initialize(nn.Conv2d(before, before, 3, padding=1, groups=before), 9, gain),
        _initialize(nn.Conv2d(before, after, 1), before, 0.5**0.5),  # no ReLU between the two
    )


def _initialize(layer: nn.Conv2d | nn.ConvTranspose2d, inputs: float, gain: float = 1.0) -> nn.Module:
    """He et al., "Delving Deep into Rectifiers", ICCV 2015, eq. 10, times a gain; zero biases.

    So the signal is as strong at the greatest depth as in the image; with PyTorch's own default it is lost.

    Args:
        inputs: values that make one value of the result.
    """
    nn.init.normal_(layer.weight, std=gain * (2 / inputs) ** 0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _macs(layers: nn.Module, depth: int = 0) -> float:
    """Multiply-adds per pixel of the image of layers in a row, of which the first reads features at `depth`."""
    macs, pixels = 0.0, 4.0**-depth
    for layer in layers.modules():
        if isinstance(layer, nn.AvgPool2d):
            pixels /= 4
        elif isinstance(layer, nn.Conv2d):
            pixels /= layer.stride[0] ** 2
            macs += pixels * layer.weight.numel()
        elif isinstance(layer, nn.ConvTranspose2d):
            macs += pixels * layer.weight.numel()
    return macs


_V1_NAMES = (
    (r"^inconv_lst\.", "head."),
    (r"^down_(\d+)\.down_lst\.", r"levels.\1.down."),
    (r"^up_(\d+)_(\d+)\.up\.", r"levels.\1.ups.\2.up."),
    (r"^up_(\d+)_(\d+)\.conv_lst\.", r"levels.\1.ups.\2.merge."),
    (r"^outconv_lst\.(\d+)\.", r"levels.\1.exit."),
)
