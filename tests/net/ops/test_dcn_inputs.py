"""net/ops/dcn/deform_inputs.py: every mistake is one line that names the argument."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from powerqe.net.ops.dcn import deform_conv2d
from powerqe.net.ops.dcn.deform_inputs import check_arguments
from powerqe.utils.errors import UserError

Make = Callable[..., dict[str, Any]]


def zeros(*shape: int, dtype: torch.dtype = torch.float64, device: str = "cpu") -> torch.Tensor:
    return torch.zeros(shape, dtype=dtype, device=device)


# What is changed in the call of `make`: input (2, 4, 6, 7), 4 filters of 3x3, 2 offset groups, padding 1.
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no tensor": ({"weight": [1.0]}, "weight: found list, expected a tensor"),
    "nothing": ({"offset": None}, "offset: found NoneType, expected a tensor"),
    "dimensions": ({"input": zeros(4, 6, 7)}, "input: found the shape (4, 6, 7), expected 4 dimensions"),
    "bias of 4": ({"bias": zeros(4, 1, 1, 1)}, "bias: found the shape (4, 1, 1, 1), expected 1 dimension"),
    "device": (
        {"offset": zeros(2, 36, 6, 7, device="meta")},
        "offset: found the device meta, expected that of input, cpu",
    ),
    "dtype of input": ({"input": zeros(2, 4, 6, 7, dtype=torch.int64)}, "input: found torch.int64, expected float32"),
    "dtype of weight": (
        {"weight": zeros(4, 4, 3, 3, dtype=torch.float32)},
        "weight: found torch.float32, expected that of input, torch.float64",
    ),
    "coarse offset": (
        {"offset": zeros(2, 36, 6, 7, dtype=torch.float32)},
        "offset: found torch.float32, expected that of input, torch.float64",
    ),
    "no channels": ({"input": zeros(2, 0, 6, 7)}, "input: found the shape (2, 0, 6, 7), expected sizes of at least 1"),
    "no filters": ({"weight": zeros(0, 4, 3, 3)}, "weight: found the shape (0, 4, 3, 3), expected sizes of at least 1"),
    "weight": (
        {"weight": zeros(4, 3, 3, 3)},
        "weight: found 3 input channels in (4, 3, 3, 3), expected a number that divides the 4 channels of input",
    ),
    "filters": (
        {"weight": zeros(3, 2, 3, 3), "bias": zeros(3)},
        "weight: found 3 output channels, expected a multiple of its 2 groups",
    ),
    "bias": ({"bias": zeros(3)}, "bias: found 3 values, expected one for each of the 4 output channels of weight"),
    "pairs": (
        {"offset": zeros(2, 27, 6, 7)},
        "offset: found 27 channels, expected a multiple of 18 (dy and dx for 3x3 taps)",
    ),
    "no pairs": ({"offset": zeros(2, 0, 6, 7)}, "offset: found 0 channels, expected a multiple of 18"),
    "offset groups": (
        {"offset": zeros(2, 54, 6, 7)},
        "offset: found 54 channels, 3 offset groups, expected a number that divides the 4 channels of input",
    ),
    "offset": ({"offset": zeros(2, 36, 6, 6)}, "offset: found the shape (2, 36, 6, 6), expected (2, 36, 6, 7)"),
    "batch": ({"offset": zeros(1, 36, 6, 7)}, "offset: found the shape (1, 36, 6, 7), expected (2, 36, 6, 7)"),
    "mask": ({"mask": zeros(2, 9, 6, 7)}, "mask: found the shape (2, 9, 6, 7), expected (2, 18, 6, 7)"),
    "kernel": (
        {"dilation": 5},
        "weight: found the size 3x3, with dilation (5, 5), which is larger than input (2, 4, 6, 7) with padding (1, 1)",
    ),
    "stride": ({"stride": 0}, "stride: found 0, expected one or two integers of at least 1"),
    "padding": ({"padding": (1, -1)}, "padding: found (1, -1), expected one or two integers of at least 0"),
    "three": ({"dilation": (1, 1, 1)}, "dilation: found (1, 1, 1), expected one or two integers of at least 1"),
    "half a step": ({"stride": 1.5}, "stride: found 1.5, expected one or two integers of at least 1"),
    "truth": ({"stride": (True, 1)}, "stride: found (True, 1), expected one or two integers of at least 1"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_says_what_is_wrong(name: str, make: Make) -> None:
    changes, message = MISTAKES[name]
    with pytest.raises(UserError) as caught:
        deform_conv2d(**make() | changes)
    assert str(caught.value).startswith(f"deform_conv2d: {message}")
    assert "\n" not in str(caught.value)


def test_half_types_may_have_finer_positions(make: Make) -> None:
    arguments = make(dtype=torch.bfloat16)
    deform_conv2d(**arguments | {"offset": arguments["offset"].float()})
    expected = r"offset: found torch.float16, expected that of input, torch.bfloat16 or torch.float32"
    with pytest.raises(UserError, match=expected):
        deform_conv2d(**arguments | {"offset": arguments["offset"].half()})


def test_finds_the_groups_and_completes_pairs(make: Make) -> None:
    given = make(shape=(1, 12, 5, 6), filters=6, groups=3, offset_groups=4, mask=False, bias=False)
    a = check_arguments(given["input"], given["offset"], given["weight"], None, 1, [1, 1], (1, 1), None)
    assert (a.groups, a.offset_groups) == (3, 4)
    assert (a.stride, a.padding, a.dilation) == ((1, 1), (1, 1), (1, 1))
    assert a.output_size == (5, 6)
