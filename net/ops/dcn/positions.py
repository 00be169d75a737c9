"""Where a deformable convolution samples."""

import torch
from torch import Tensor

from powerqe.net.ops.dcn.deform_inputs import DeformInputs


def positions(a: DeformInputs, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Rows and columns in the input, not rounded, maybe outside of it: (N, offset_groups, K, H', W') each."""
    (height, width), (kh, kw) = a.output_size, a.kernel_size
    offset = a.offset.to(dtype).view(a.offset.shape[0], a.offset_groups, kh * kw, 2, height, width)

    def grid(axis: int, outputs: int, taps: int) -> tuple[Tensor, Tensor]:
        start = torch.arange(outputs, dtype=dtype, device=offset.device) * a.stride[axis] - a.padding[axis]
        return start, torch.arange(taps, dtype=dtype, device=offset.device) * a.dilation[axis]

    (row, tap_row), (column, tap_column) = grid(0, height, kh), grid(1, width, kw)
    rows = tap_row.repeat_interleave(kw)[:, None, None] + row[:, None]
    columns = tap_column.repeat(kh)[:, None, None] + column
    return rows + offset[:, :, :, 0], columns + offset[:, :, :, 1]


def is_inside(a: DeformInputs, rows: Tensor, columns: Tensor) -> Tensor:
    """Which samples count: those less than one pixel outside the frame. Those at exactly -1, H or W do not,
    which makes the gradient of their offsets zero; nor do NaN and infinity."""
    height, width = a.input.shape[2:]
    return (rows > -1) & (rows < height) & (columns > -1) & (columns < width)
