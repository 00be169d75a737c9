"""Building blocks that two or more networks share."""

import math
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from powerqe.net.autocast import exactly, is_autocast
from powerqe.utils.errors import UserError

_DIV2K_MEAN = (0.4488, 0.4371, 0.4040)  # of the training images, RGB in [0, 1]


def conv(in_channels: int, out_channels: int, kernel_size: int, *, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps height and width: stride 1, zero padding, odd kernel size."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)


def init_residual(network: nn.Module, last: nn.Conv2d) -> None:
    """Initialize a ReLU stack that predicts a residual so that deep ones learn from the first step.

    He et al., "Delving Deep into Rectifiers", ICCV 2015, eq. 10, zero biases; the last layer a
    hundredth of that, so that the network starts as the identity (a larger first error is soonest made
    small by switching all ReLUs off for ever). PyTorch's own default lets the signal shrink by a factor of
    2.4 in every layer.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    with torch.no_grad():
        last.weight.mul_(0.01)


class Repeated(nn.ModuleList):
    """`times` equal layers in a row or, with shared weights, one layer applied `times` times.

    A shared layer is held, saved and counted once.

    Args:
        times: number of applications, at least 1.
        make: makes one layer, whose output can be its input again.
        share_weights: one layer for all positions.
    """

    def __init__(self, times: int, make: Callable[[], nn.Module], *, share_weights: bool) -> None:
        super().__init__(make() for _ in range(1 if share_weights else times))
        self.order = [0] * times if share_weights else list(range(times))
        """Which layer stands at each position."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.order:
            x = self[layer](x)
        return x


class ResidualBlock(nn.Module):
    """x + scale x conv(ReLU(conv(x))), both convolutions 3x3 (Lim et al., EDSR, CVPR workshops 2017, fig. 2c)."""

    def __init__(self, features: int, *, kernel_size: int = 3, bias: bool = True, scale: float = 1.0) -> None:
        super().__init__()
        self.conv1 = conv(features, features, kernel_size, bias=bias)
        self.conv2 = conv(features, features, kernel_size, bias=bias)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.conv2(F.relu(self.conv1(x)))


class PixelShuffleUp(nn.Sequential):
    """(N, features, H, W) -> (N, features, scale H, scale W) by 3x3 convolutions and sub-pixel rearrangement.

    Shi et al., "Real-Time Single Image and Video Super-Resolution", CVPR 2016. A factor 4 is two factors of 2.

    Args:
        scale: 2, 3, 4, 8 ... (a power of two, or 3).

    Raises:
        UserError: another scale.
    """

    def __init__(self, features: int, scale: int) -> None:
        steps = [3] if scale == 3 else [2] * (scale.bit_length() - 1)
        if scale < 2 or math.prod(steps) != scale:
            raise UserError(f"scale: found {scale}, expected 2, 3, 4 or another power of two")
        pairs = [(conv(features, step**2 * features, 3), nn.PixelShuffle(step)) for step in steps]
        super().__init__(*(layer for pair in pairs for layer in pair))


class MeanShift(nn.Module):
    """Subtract (sign -1) or add (sign 1) the mean color of DIV2K; images in [0, 255] (EDSR, CVPR workshops 2017).

    The authors' code holds it as a frozen 1x1 convolution, whose tensors their checkpoints contain; its matrix is
    diagonal. Here it is an element-wise product and sum, which autocast leaves in float32: in bfloat16 a value
    above 128 would be rounded to whole gray levels.

    Args:
        channels: 3 for RGB; any other number is shifted by the mean of the three.
    """

    def __init__(self, channels: int, sign: int) -> None:
        super().__init__()
        mean = torch.tensor(_DIV2K_MEAN if channels == 3 else [sum(_DIV2K_MEAN) / 3] * channels)
        self.weight = nn.Parameter(torch.eye(channels)[:, :, None, None], requires_grad=False)
        self.bias = nn.Parameter(sign * 255 * mean, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        factors = self.weight[:, :, 0, 0].diagonal()[:, None, None]
        return x * factors + self.bias[:, None, None]


class GlobalMean(nn.Module):
    """The mean of each channel over the image, (N, C, H, W) -> (N, C, 1, 1).

    Networks take the mean through this module so that one who applies them to an image in tiles can
    find it and put the mean of the whole image there (inference/tiled.py). Under autocast it is float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True, dtype=self.dtype(x))

    @staticmethod
    def dtype(x: Tensor) -> torch.dtype:
        """The type of the mean of x."""
        return torch.promote_types(x.dtype, torch.float32) if is_autocast(x.device.type) else x.dtype


class ChannelAttention(nn.Module):
    """Weigh each channel by what two 1x1 convolutions make of all channels' means.

    Zhang et al., "Image Super-Resolution Using Very Deep Residual Channel Attention Networks" (RCAN), ECCV
    2018, eq. 8: x * sigmoid(W_U ReLU(W_D mean(x))).

    Args:
        reduction: the first of the convolutions has features / reduction outputs.

    Raises:
        UserError: that leaves no channel.
    """

    def __init__(self, features: int, reduction: int) -> None:
        super().__init__()
        if features < reduction:
            raise UserError(f"reduction: found {reduction}, expected at most the number of features, {features}")
        self.mean = GlobalMean()
        self.reduce = conv(features, features // reduction, 1)
        self.expand = conv(features // reduction, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = exactly(self.expand, F.relu(exactly(self.reduce, self.mean(x)))).sigmoid()
        return x * weights.to(x.dtype)


class ChannelAttentionBlock(nn.Module):
    """Two 3x3 convolutions with a ReLU between them and channel attention after them, and the identity (RCAB)."""

    def __init__(self, features: int, reduction: int) -> None:
        super().__init__()
        self.conv1 = conv(features, features, 3)
        self.conv2 = conv(features, features, 3)
        self.attention = ChannelAttention(features, reduction)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attention(self.conv2(F.relu(self.conv1(x))))


class ResidualGroup(nn.Module):
    """Channel attention blocks and a 3x3 convolution, and the identity (RCAN, fig. 2)."""

    def __init__(self, features: int, num_blocks: int, reduction: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ChannelAttentionBlock(features, reduction) for _ in range(num_blocks)))
        self.conv = conv(features, features, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(self.blocks(x))


def check_skip(network: str, in_channels: int, out_channels: int) -> None:
    """Raise `UserError` for channel counts with which the input cannot be added to the output (it would broadcast)."""
    if in_channels != out_channels:
        raise UserError(
            f"{network} adds its input to its output: found in_channels {in_channels} and out_channels "
            f"{out_channels}, give them the same number"
        )


def check_clip(network: nn.Module, clip: Tensor, frames: int, channels: int) -> None:
    """Raise `UserError` for a shape other than (N, frames, channels, H, W)."""
    if clip.ndim != 5 or clip.shape[1:3] != (frames, channels):
        raise UserError(
            f"{type(network).__name__}: found an input of shape {tuple(clip.shape)}, expected clips "
            f"(N, {frames}, {channels}, H, W): {frames} frames, channels: {channels}"
        )


def at_least(x: Tensor, size: int) -> Tensor:
    """Repeat the last row and column until height and width are `size`."""
    rows, columns = (_positive(size - length) for length in x.shape[-2:])
    return _continued(x, rows, columns)


def to_multiple(x: Tensor, unit: int) -> Tensor:
    """Repeat the last row and column until height and width are multiples of `unit`."""
    rows, columns = (-length % unit for length in x.shape[-2:])
    return _continued(x, rows, columns)


def _continued(x: Tensor, rows: int, columns: int) -> Tensor:
    return F.pad(x, (0, columns, 0, rows), mode="replicate") if _matters(rows, columns) else x


def _positive(number: int) -> int:
    """Or 0. Python's max() would ask for the value, which is not known while a network is exported for all sizes."""
    return cast(int, torch.sym_max(0, number))


def _matters(rows: int, columns: int) -> bool:
    """Whether there is something to pad; always where the network is exported, for the file is for all sizes."""
    return torch.compiler.is_exporting() or bool(rows or columns)


def fit(x: Tensor, reference: Tensor) -> Tensor:
    """Give x (N, C, H, W) the height and width of `reference`: crop at the bottom and at the right, or add
    zeros on both sides, the odd one at the bottom and at the right."""
    rows, columns = (wanted - found for wanted, found in zip(reference.shape[-2:], x.shape[-2:], strict=True))
    if not _matters(rows, columns):
        return x
    top, left = (_positive(missing) // 2 for missing in (rows, columns))
    return F.pad(x, (left, columns - left, top, rows - top))  # a negative number crops


def planar(x: Tensor) -> Tensor:
    """x (N, C, H, W), one channel after the other in memory. PyTorch transposes matrices faster than maps."""
    if torch.compiler.is_compiling() or x.is_contiguous():
        return x
    return torch.stack([image.flatten(1).contiguous() for image in x]).view(x.shape)
