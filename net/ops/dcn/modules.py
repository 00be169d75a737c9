"""The function and the layers."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from powerqe.net.ops.dcn import backends
from powerqe.net.ops.dcn.deform_inputs import check_arguments
from powerqe.utils.errors import UserError

Size = int | tuple[int, int]
"""Height and width; one number for both."""


def deform_conv2d(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    mask: Tensor | None = None,
) -> Tensor:
    """A convolution each of whose samples is taken at its own place, and may be weighted (`mask`).

    Signature and layouts are those of `torchvision.ops.deform_conv2d`. Samples are bilinear; outside the frame there
    are zeros. The gradient of an offset is zero where the sample lies one pixel or more outside the frame (exactly
    one pixel included, as in the authors' operator and unlike in torchvision's).

    Args:
        input: (N, C, H, W), float32, float64, float16 or bfloat16.
        offset: (N, 2 D kh kw, H', W'), D >= 1 groups of channels that share offsets: for each group and tap of the
            kernel, row by row, dy and dx in pixels. Of the input's type, or float32 with half types (which then
            keeps the positions exact).
        weight: (O, C / groups, kh, kw), of the input's type.
        bias: (O,), of the input's type.
        stride: of the kernel, one number or (height, width).
        padding: zeros around the input.
        dilation: distance of the taps.
        mask: (N, D kh kw, H', W'), type as for the offset; None: all ones (version 1).

    Returns:
        (N, O, H', W'), H' and W' as for an ordinary convolution, of the input's type.

    Raises:
        UserError: the arguments do not fit together.
    """
    return backends.run(check_arguments(input, offset, weight, bias, stride, padding, dilation, mask))


class _Layer(nn.Module):
    """The weights of a deformable convolution."""

    follows_motion: ClassVar[bool] = True
    """Offsets have no bound, so an image in tiles is not that of the whole (inference/tiled.py)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise UserError(
                f"{type(self).__name__}: groups: found {groups}, expected a number that divides "
                f"in_channels {in_channels} and out_channels {out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = _pair(kernel_size), _pair(stride)
        self.padding, self.dilation = _pair(padding), _pair(dilation)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *self.kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As the authors' layers start: uniform weights within 1 / sqrt(in_channels kh kw), zero biases."""
        bound = 1 / math.sqrt(self.in_channels * math.prod(self.kernel_size))
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def convolve(self, input: Tensor, offset: Tensor, mask: Tensor | None) -> Tensor:
        return deform_conv2d(input, offset, self.weight, self.bias, self.stride, self.padding, self.dilation, mask)

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}"
        )


class DeformConv2d(_Layer):
    """A deformable convolution whose offsets come from elsewhere, with or without a mask; as torchvision's.

    The groups of channels that share offsets follow from the offsets.

    Args:
        stride: of the kernel.
        padding: zeros around the input.
        dilation: distance of the taps.
        groups: of channels in the weights.

    Raises:
        UserError: the groups do not divide the channels.
    """

    def forward(self, input: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
        """See `deform_conv2d`."""
        return self.convolve(input, offset, mask)


class _Modulated(_Layer):
    """Version 2: with a mask, and a number of groups that the offsets have to have."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        deformable_groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        if deformable_groups < 1 or in_channels % deformable_groups:
            raise UserError(
                f"{type(self).__name__}: deformable_groups: found {deformable_groups}, expected a number that "
                f"divides in_channels {in_channels}"
            )
        self.deformable_groups = deformable_groups
        self.samples = deformable_groups * math.prod(self.kernel_size)
        """Samples of an output pixel."""

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, deformable_groups={self.deformable_groups}"


class ModulatedDeformConv2d(_Modulated):
    """Version 2: offsets and mask come from elsewhere.

    Args:
        stride: of the kernel.
        padding: zeros around the input.
        dilation: distance of the taps.
        groups: of channels in the weights.
        deformable_groups: groups of channels that share offsets and mask.

    Raises:
        UserError: the groups do not divide the channels.
    """

    def forward(self, input: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """See `deform_conv2d`.

        Raises:
            UserError: the arguments do not fit together, or not to the layer.
        """
        if offset.dim() == 4 and offset.shape[1] != 2 * self.samples:
            raise UserError(
                f"ModulatedDeformConv2d: offset: found {offset.shape[1]} channels, expected {2 * self.samples} with "
                f"deformable_groups {self.deformable_groups} and kernel_size {self.kernel_size}"
            )
        return self.convolve(input, offset, mask)


class ModulatedDeformConv2dPack(_Modulated):
    """Version 2 with offsets and mask from a convolution of the input, which starts at zero: no offsets, mask 1/2.

    Loads the state dicts of the original (`conv_offset_mask.*`) and of BasicSR and mmcv (`conv_offset.*`). Arguments
    and errors are those of `ModulatedDeformConv2d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        deformable_groups: int = 1,
        bias: bool = True,
    ) -> None:
        sizes = (in_channels, out_channels, kernel_size, stride, padding, dilation)
        super().__init__(*sizes, groups, deformable_groups, bias)
        self.conv_offset_mask = nn.Conv2d(
            in_channels, 3 * self.samples, self.kernel_size, self.stride, self.padding, self.dilation
        )
        for parameter in self.conv_offset_mask.parameters():
            nn.init.zeros_(parameter)
        self.register_load_state_dict_pre_hook(_rename_conv_offset)

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H', W')."""
        return self.convolve(input, *self.offset_and_mask(input))

    def offset_and_mask(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What `deform_conv2d` takes: the first two thirds of the channels, and the rest squeezed into [0, 1]."""
        predicted = self.conv_offset_mask(features)
        return predicted[:, : 2 * self.samples], predicted[:, 2 * self.samples :].sigmoid()


def _rename_conv_offset(module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
    for name in ("weight", "bias"):
        if f"{prefix}conv_offset.{name}" in state_dict:
            state_dict[f"{prefix}conv_offset_mask.{name}"] = state_dict.pop(f"{prefix}conv_offset.{name}")


def _pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
