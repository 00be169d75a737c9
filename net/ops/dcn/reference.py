"""Deformable convolution in plain PyTorch: the definition, which the other back-ends are tested against.

It runs everywhere, its gradients are PyTorch's own, and it is slow and needs memory for all samples at once.
"""

import torch
from torch import Tensor

from powerqe.net.ops.dcn.deform_inputs import DeformInputs
from powerqe.net.ops.dcn.positions import is_inside, positions


def run(a: DeformInputs) -> Tensor:
    """(N, O, H', W') in the type of the input; computed in float64 for float64, otherwise in float32."""
    dtype = a.accumulator
    samples = _sample(a, dtype)  # (N, offset groups, channels of each, K, H' W')
    if a.mask is not None:
        samples = samples * a.mask.to(dtype).reshape(samples.shape[0], a.offset_groups, 1, *samples.shape[3:])
    depth = a.weight.shape[1:].numel()
    columns = samples.reshape(samples.shape[0], a.groups, depth, samples.shape[-1])
    weight = a.weight.to(dtype).reshape(a.groups, a.weight.shape[0] // a.groups, depth)
    output = torch.einsum("gok,ngkp->ngop", weight, columns)
    output = output.reshape(a.input.shape[0], a.weight.shape[0], *a.output_size)
    if a.bias is not None:
        output = output + a.bias.to(dtype)[:, None, None]
    return output.to(a.input.dtype)


def _sample(a: DeformInputs, dtype: torch.dtype) -> Tensor:
    """Bilinear samples; what lies outside the frame is zero."""
    batch, channels, height, width = a.input.shape
    rows, columns = positions(a, dtype)
    inside = is_inside(a, rows, columns)
    rows, columns = (torch.where(inside, position, 0) for position in (rows, columns))
    top, left = rows.detach().floor(), columns.detach().floor()
    down, right = rows - top, columns - left  # fractions; their gradients are those of the offsets
    pixels = a.input.to(dtype).reshape(batch, a.offset_groups, channels // a.offset_groups, height * width)
    shape = (batch, a.offset_groups, 1, inside.shape[2:].numel())
    total = pixels.new_zeros(())
    for row, vertical in ((top, 1 - down), (top + 1, down)):
        for column, horizontal in ((left, 1 - right), (left + 1, right)):
            valid = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            index = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
            values = pixels.gather(3, index.reshape(shape).expand(-1, -1, pixels.shape[2], -1))
            values = torch.where(valid.reshape(shape), values, 0)
            total = total + values * (vertical * horizontal).reshape(shape)
    return total.unflatten(3, (rows.shape[2], -1))
