"""Building blocks that two or more networks share."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.errors import UserError


def conv(in_channels: int, out_channels: int, kernel_size: int, *, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps height and width: stride 1, zero padding, odd kernel size."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)


def init_residual(network: nn.Module, last: nn.Conv2d) -> None:
    """Initialise a ReLU stack that predicts a residual so that deep ones learn from the first step.

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


def check_skip(network: str, in_channels: int, out_channels: int) -> None:
    """Refuse channel counts with which the input cannot be added to the output (it would broadcast)."""
    if in_channels != out_channels:
        raise UserError(
            f"{network} adds its input to its output: found in_channels {in_channels} and out_channels "
            f"{out_channels}, give them the same number"
        )


def at_least(x: Tensor, size: int) -> Tensor:
    """Repeat the last row and column until height and width are `size`."""
    rows, columns = (max(0, size - length) for length in x.shape[-2:])
    return F.pad(x, (0, columns, 0, rows), mode="replicate") if rows or columns else x


def fit(x: Tensor, reference: Tensor) -> Tensor:
    """Give x (N, C, H, W) the height and width of `reference`: crop at the bottom and at the right, or add
    zeros on both sides, the odd one at the bottom and at the right."""
    height, width = reference.shape[-2:]
    x = x[..., :height, :width]
    rows, columns = height - x.shape[-2], width - x.shape[-1]
    if not (rows or columns):
        return x
    return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
