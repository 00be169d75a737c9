"""torchvision's operator with our conventions.

What it does otherwise, and what is done about it:

- At a sample exactly on the border (-1) it gives the offset a gradient, and it returns NaN for an offset that is NaN.
  Samples outside are therefore sent to a place far outside, where their offsets have no gradient; without gradients
  only NaN and infinity are.
- It computes positions in the type of the input and knows no bfloat16 on the CPU. Half types are computed in float32
  and rounded afterwards.
- It has one type for all arguments: offset and mask are converted.
- It needs memory for all columns of up to 32 images at once, may round otherwise when the number of threads changes,
  and on the GPU it has no deterministic backward (with `torch.use_deterministic_algorithms` it raises).
"""

import torch
from torch import Tensor

from powerqe.net.ops.dcn.deform_inputs import DeformInputs
from powerqe.net.ops.dcn.positions import is_inside, positions

_OUTSIDE = -1e9  # an offset that leads outside of any image


def missing(device: str) -> str | None:
    """Why torchvision's operator cannot be used on a type of device; None: it can."""
    try:
        import torchvision  # imported here: with a PyTorch that it does not match it cannot be
    except (ImportError, OSError, RuntimeError) as error:
        return f"cannot be imported ({str(error).splitlines()[0]})"
    if device == "meta":
        return None
    try:
        known = torch._C._dispatch_has_kernel_for_dispatch_key("torchvision::deform_conv2d", device.upper())
    except RuntimeError:
        known = False
    return None if known else f"{torchvision.__version__} has no kernels for {device}"


def run(a: DeformInputs) -> Tensor:
    """(N, O, H', W') in the type of the input."""
    dtype = a.accumulator
    weight = a.weight.to(dtype)
    # What is not given has to be there all the same.
    bias = weight.new_zeros(weight.shape[0]) if a.bias is None else a.bias.to(dtype)
    mask = weight.new_zeros(a.input.shape[0], 1) if a.mask is None else a.mask.to(dtype)
    tensors = (a.input.to(dtype), weight, _tame(a, dtype), mask, bias)
    groups = (a.groups, a.offset_groups, a.mask is not None)
    output = torch.ops.torchvision.deform_conv2d(*tensors, *a.stride, *a.padding, *a.dilation, *groups)
    return output.to(a.input.dtype)


def _tame(a: DeformInputs, dtype: torch.dtype) -> Tensor:
    offset = a.offset.to(dtype)
    if not (torch.is_grad_enabled() and offset.requires_grad):
        return offset.nan_to_num(_OUTSIDE, _OUTSIDE, _OUTSIDE)
    with torch.no_grad():
        inside = is_inside(a, *positions(a, dtype))
    pairs = offset.view(*inside.shape[:3], 2, *inside.shape[3:])
    return torch.where(inside[:, :, :, None], pairs, _OUTSIDE).reshape(offset.shape)
