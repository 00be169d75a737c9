"""What a deformable convolution is given: checked, completed, and brought to the types of automatic mixed precision."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from powerqe.net.autocast import is_autocast
from powerqe.utils.errors import UserError

Pair = tuple[int, int]
"""Height and width."""

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


class DeformInputs(NamedTuple):
    """The arguments of a call, which fit together.

    H', W' are the height and width of the output, K = kh kw the taps of the kernel.
    """

    input: Tensor
    """(N, C, H, W)"""
    offset: Tensor
    """(N, 2 offset_groups K, H', W'): for each offset group and tap, row by row, dy and dx in pixels."""
    mask: Tensor | None
    """(N, offset_groups K, H', W'): factors of the samples; None: 1."""
    weight: Tensor
    """(O, C / groups, kh, kw)"""
    bias: Tensor | None
    """(O,)"""
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    offset_groups: int

    @property
    def accumulator(self) -> torch.dtype:
        """The type of positions and sums: float64 for float64, otherwise float32."""
        return torch.float64 if self.input.dtype == torch.float64 else torch.float32

    @property
    def kernel_size(self) -> Pair:
        return self.weight.shape[2], self.weight.shape[3]

    @property
    def output_size(self) -> Pair:
        """H' and W'."""
        return output_size(self.input, self.weight, self.stride, self.padding, self.dilation)


def output_size(
    input: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> Pair:
    """Height and width of the output, as for an ordinary convolution. Works with symbolic sizes, too."""
    height, width = (
        (input.shape[2 + i] + 2 * padding[i] - dilation[i] * (weight.shape[2 + i] - 1) - 1) // stride[i] + 1
        for i in (0, 1)
    )
    return height, width


def check_arguments(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int | Sequence[int],
    padding: int | Sequence[int],
    dilation: int | Sequence[int],
    mask: Tensor | None,
) -> DeformInputs:
    """Check that the arguments of `deform_conv2d` fit together, and find the numbers of groups.

    Where automatic mixed precision is on, the tensors are brought to its types.

    Raises:
        UserError: one does not; the message names it.
    """
    _check_tensors(input, offset, weight, bias, mask)
    if is_autocast(device := input.device.type):
        input, offset, mask, weight, bias = cast_for_autocast(device, input, offset, mask, weight, bias)
    _check_dtypes(input, offset, weight, bias, mask)
    steps = _pair("stride", stride, 1), _pair("padding", padding, 0), _pair("dilation", dilation, 1)
    if input.shape[1] % weight.shape[1]:
        expected = f"expected a number that divides the {input.shape[1]} channels of input"
        raise _wrong("weight", f"{weight.shape[1]} input channels in {_shape(weight)}", expected)
    groups = input.shape[1] // weight.shape[1]
    if weight.shape[0] % groups:
        raise _wrong("weight", f"{weight.shape[0]} output channels", f"expected a multiple of its {groups} groups")
    taps = weight.shape[2] * weight.shape[3]
    if not offset.shape[1] or offset.shape[1] % (2 * taps):
        expected = f"expected a multiple of {2 * taps} (dy and dx for {weight.shape[2]}x{weight.shape[3]} taps)"
        raise _wrong("offset", f"{offset.shape[1]} channels", expected)
    offset_groups = offset.shape[1] // (2 * taps)
    if input.shape[1] % offset_groups:
        expected = f"expected a number that divides the {input.shape[1]} channels of input"
        raise _wrong("offset", f"{offset.shape[1]} channels, {offset_groups} offset groups", expected)
    _check_sizes(input, offset, weight, mask, steps, offset_groups)
    return DeformInputs(input, offset, mask, weight, bias, *steps, groups, offset_groups)


def cast_for_autocast(
    device: str, input: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor | None]:
    """The tensors as automatic mixed precision wants them: values in its type, positions in float32.

    A position in float16 or bfloat16 has no fractions beyond column 1024 or 128. float64 stays as it is.
    """
    dtype = torch.get_autocast_dtype(device)
    if input.dtype == torch.float64:
        return input, offset, mask, weight, bias
    bias = None if bias is None else bias.to(dtype)
    mask = mask if mask is None or mask.dtype == dtype else mask.float()
    return input.to(dtype), offset.float(), mask, weight.to(dtype), bias


def _check_tensors(input: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor | None) -> None:
    for name, tensor in _by_name(input, offset, weight, bias, mask).items():
        if not isinstance(tensor, Tensor):
            raise _wrong(name, type(tensor).__name__, "expected a tensor")
        dimensions = 1 if name == "bias" else 4
        if tensor.dim() != dimensions:
            raise _wrong(name, f"the shape {_shape(tensor)}", f"expected {dimensions} dimension{'s'[: dimensions > 1]}")
        if tensor.device != input.device:
            raise _wrong(name, f"the device {tensor.device}", f"expected that of input, {input.device}")
    if 0 in input.shape[1:]:
        raise _wrong("input", f"the shape {_shape(input)}", "expected sizes of at least 1 (but for the batch)")
    if 0 in weight.shape:
        raise _wrong("weight", f"the shape {_shape(weight)}", "expected sizes of at least 1")
    if bias is not None and bias.shape[0] != weight.shape[0]:
        expected = f"expected one for each of the {weight.shape[0]} output channels of weight"
        raise _wrong("bias", f"{bias.shape[0]} values", expected)


def _check_dtypes(input: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor | None) -> None:
    if input.dtype not in DTYPES:
        raise _wrong("input", str(input.dtype), "expected float32, float64, float16 or bfloat16")
    for name, tensor in _by_name(input, offset, weight, bias, mask).items():
        may_be_float32 = name in ("offset", "mask") and input.dtype in (torch.float16, torch.bfloat16)
        if tensor.dtype != input.dtype and not (may_be_float32 and tensor.dtype == torch.float32):
            other = " or torch.float32" * may_be_float32
            raise _wrong(name, str(tensor.dtype), f"expected that of input, {input.dtype}{other}")


def _by_name(
    input: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor | None
) -> dict[str, Tensor]:
    tensors = {"input": input, "offset": offset, "weight": weight}
    given = {"bias": bias, "mask": mask}
    return tensors | {name: tensor for name, tensor in given.items() if tensor is not None}


def _check_sizes(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    mask: Tensor | None,
    steps: tuple[Pair, Pair, Pair],
    offset_groups: int,
) -> None:
    height, width = output_size(input, weight, *steps)
    if height < 1 or width < 1:
        found = f"the size {weight.shape[2]}x{weight.shape[3]}, with dilation {steps[2]}"
        raise _wrong("weight", found, f"which is larger than input {_shape(input)} with padding {steps[1]}")
    taps = weight.shape[2] * weight.shape[3]
    shapes = {"offset": (offset, 2 * offset_groups * taps), "mask": (mask, offset_groups * taps)}
    for name, (tensor, channels) in shapes.items():
        if tensor is not None and tensor.shape != (input.shape[0], channels, height, width):
            expected = f"expected ({input.shape[0]}, {channels}, {height}, {width})"
            raise _wrong(name, f"the shape {_shape(tensor)}", expected)


def _pair(name: str, value: int | Sequence[int], least: int) -> Pair:
    pair = (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, Sequence) else ()
    if len(pair) != 2 or any(isinstance(v, bool) or not isinstance(v, int) or v < least for v in pair):
        raise _wrong(name, repr(value), f"expected one or two integers of at least {least}")
    return pair


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(str(size) for size in tensor.shape)})"


def _wrong(name: str, found: str, expected: str) -> UserError:
    return UserError(f"deform_conv2d: {name}: found {found}, {expected}")
