"""net/ops/dcn: every back-end gives what is recorded, and what the definition says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from powerqe.net.ops.dcn import deform_conv2d, force_backend, reference
from powerqe.net.ops.dcn.deform_inputs import check_arguments

RECORDED = np.load(Path(__file__).parents[2] / "data/dcnv2.npz")
CASES = {case["name"]: case for case in json.loads(str(RECORDED["__config__"]))["cases"]}
NAMES = {
    "input": "gx",
    "offset": "goffset_zero_at_border",
    "mask": "gmask",
    "weight": "gw",
    "bias": "gb",
    "output": "y",
}
Make = Callable[..., dict[str, Any]]
Differentiate = Callable[..., dict[str, Tensor]]
Close = Callable[..., None]


def oracle(**arguments: Any) -> Tensor:
    """The reference, whatever back-end is chosen."""
    names = ("input", "offset", "weight", "bias", "stride", "padding", "dilation", "mask")
    defaults = {"bias": None, "stride": 1, "padding": 0, "dilation": 1, "mask": None}
    return reference.run(check_arguments(*({**defaults, **arguments}[name] for name in names)))


# --------------------------------------------------------------------------- recorded results


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gives_the_recorded_results(
    name: str, dtype: torch.dtype, backend: str, device: str, differentiate: Differentiate, close: Close
) -> None:
    case, prefix = CASES[name], CASES[name]["id"]

    def recorded(key: str) -> Tensor | None:
        key = f"{prefix}/{key}"
        return torch.from_numpy(RECORDED[key]) if key in RECORDED else None

    given = {"input": "x", "offset": "offset", "mask": "mask", "weight": "weight", "bias": "bias"}
    tensors = {ours: recorded(theirs) for ours, theirs in given.items()}
    arguments = {k: v.to(device, dtype) for k, v in tensors.items() if v is not None}
    steps = {step: case[step] for step in ("stride", "padding", "dilation")}
    expected = {ours: recorded(theirs) for ours, theirs in NAMES.items() if ours in (*arguments, "output")}
    grad = recorded("grad_out")
    assert grad is not None
    found = differentiate(deform_conv2d, arguments | steps, grad.to(device, dtype))
    # float32 rounds the offsets of the recorded case, and so the place: a few times the rounding of the result.
    close(found, expected, 1e-12 if dtype == torch.float64 else 3e-6)


def test_the_authors_simple_check(backend: str, device: str) -> None:
    """Offsets that lead every tap to the center."""
    offset = torch.tensor([[dy, dx] for dy in (1, 0, -1) for dx in (1, 0, -1)]).double().reshape(1, 18, 1, 1)
    image = torch.arange(18.0, dtype=torch.float64).reshape(1, 2, 3, 3)
    weight = torch.ones(1, 2, 3, 3, dtype=torch.float64)
    output = deform_conv2d(image.to(device), offset.repeat(1, 2, 3, 3).to(device), weight.to(device), padding=1)
    assert output.flatten().tolist() == [81, 99, 117, 135, 153, 171, 189, 207, 225]


# --------------------------------------------------------------------------- the definition

VARIANTS: dict[str, dict[str, Any]] = {
    "groups straddle": {"shape": (1, 12, 5, 6), "filters": 6, "groups": 3, "offset_groups": 2},
    "one channel each": {"shape": (2, 5, 4, 9), "offset_groups": 5, "filters": 3},
    "depth-wise": {"shape": (1, 6, 7, 5), "filters": 12, "groups": 6, "offset_groups": 3},
    "one pixel": {"shape": (3, 2, 1, 1), "spread": 0.4},
    "one row": {"shape": (1, 2, 1, 9), "kernel": (1, 3), "padding": (0, 1)},
    "one column": {"shape": (1, 2, 9, 1), "kernel": (3, 1), "padding": (1, 0)},
    "steps": {"shape": (1, 4, 11, 13), "stride": (3, 2), "padding": (0, 4), "dilation": (2, 3), "kernel": (2, 4)},
    "far away": {"spread": 30.0},
    "many filters": {"shape": (1, 3, 5, 5), "offset_groups": 1, "filters": 67},
    "several blocks": {"shape": (1, 2, 33, 41), "offset_groups": 1, "filters": 2},
    "no mask, no bias": {"mask": False, "bias": False},
    "no mask": {"mask": False},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_agrees_with_the_reference(
    variant: str, backend: str, make: Make, differentiate: Differentiate, close: Close
) -> None:
    arguments = make(**VARIANTS[variant])
    close(differentiate(deform_conv2d, arguments), differentiate(oracle, arguments), 1e-12)


def test_the_reference_has_the_gradients_of_its_output(make: Make) -> None:
    force_backend("reference")
    tensors = {k: v for k, v in make(shape=(1, 2, 3, 4), filters=2).items() if isinstance(v, Tensor)}
    leaves = [tensor.requires_grad_() for tensor in tensors.values()]
    assert torch.autograd.gradcheck(
        lambda *values: deform_conv2d(**dict(zip(tensors, values, strict=True)), padding=1), leaves, fast_mode=True
    )


def test_zero_offsets_make_an_ordinary_convolution(backend: str, make: Make) -> None:
    arguments = make(groups=2, stride=(2, 1), dilation=(1, 2), padding=(1, 2), mask=False, spread=0.0)
    ordinary = {name: value for name, value in arguments.items() if name != "offset"}
    torch.testing.assert_close(deform_conv2d(**arguments), F.conv2d(groups=2, **ordinary))


def test_whole_offsets_shift_the_image(backend: str, make: Make) -> None:
    arguments = make(shape=(1, 2, 8, 9), spread=0.0, mask=False, offset_groups=1)
    shifted = {**arguments, "input": F.pad(arguments["input"], (0, 2, 3, 0))[:, :, :-3, 2:]}
    arguments["offset"] = arguments["offset"] + torch.tensor([-3.0, 2.0]).repeat(9)[:, None, None].to(
        arguments["offset"]
    )
    # The last row and the first column look at pixels that the shift has moved out of the frame.
    torch.testing.assert_close(deform_conv2d(**arguments)[..., :-1, 1:], deform_conv2d(**shifted)[..., :-1, 1:])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e30, -1e30])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_impossible_offsets_sample_zero(
    bad: float, dtype: torch.dtype, backend: str, make: Make, differentiate: Differentiate
) -> None:
    arguments = make(bias=False, dtype=dtype)
    arguments["offset"][:, 1::4] = bad  # dx of every other tap, so dy of none: one bad coordinate is enough
    taps = torch.zeros(arguments["offset"].shape[1] // 2, dtype=torch.bool)
    taps[0::2] = True
    found = differentiate(deform_conv2d, arguments)
    assert all(tensor.isfinite().all() for tensor in found.values())
    assert not found["offset"].unflatten(1, (-1, 2))[:, taps].any()
    assert not found["mask"][:, taps].any()
    alone = make(bias=False, dtype=dtype, shape=(1, 2, 4, 4))
    alone["offset"].fill_(bad)
    assert not deform_conv2d(**alone).any()


def test_an_outside_sample_is_zero_whatever_the_image_holds(backend: str, make: Make) -> None:
    arguments = make(shape=(1, 1, 4, 4), offset_groups=1, bias=False)
    arguments["offset"].fill_(50)
    arguments["input"].fill_(float("nan"))
    assert not deform_conv2d(**arguments).any()


def test_at_the_border_the_offset_has_no_gradient(backend: str, make: Make, differentiate: Differentiate) -> None:
    """Exactly at -1, H or W; a little inside it has one."""
    arguments = make(shape=(1, 1, 3, 3), filters=1, kernel=(1, 1), padding=(0, 0), offset_groups=1)
    weight, border = arguments["weight"].fill_(1), arguments["weight"].new_tensor([-1.0, 0.0, 1.0])
    assert weight.numel() == 1
    arguments["offset"] = torch.stack([border[:, None].expand(3, 3), border.expand(3, 3)])[None].contiguous()
    at = differentiate(deform_conv2d, arguments)["offset"][0]
    assert not at[:, [0, -1]].any()
    assert not at[:, :, [0, -1]].any()
    assert at[:, 1, 1].all()
    arguments["offset"] = arguments["offset"] * (1 - 1e-9)
    within = differentiate(deform_conv2d, arguments)["offset"][0]
    assert within[0, [0, -1], 1].all()
    assert within[1, 1, [0, -1]].all()


# --------------------------------------------------------------------------- memory layouts, empty batches


def test_an_empty_batch_is_no_error(backend: str, make: Make, differentiate: Differentiate) -> None:
    found = differentiate(deform_conv2d, make(shape=(0, 4, 6, 7)))
    assert found["output"].shape == (0, 4, 6, 7)
    assert not found["weight"].any()


def test_layouts_do_not_matter(backend: str, make: Make, differentiate: Differentiate, close: Close) -> None:
    arguments = make()
    expected = differentiate(deform_conv2d, arguments)

    def other(tensor: Tensor) -> Tensor:
        if tensor.dim() == 4:
            return tensor.contiguous(memory_format=torch.channels_last)
        return torch.stack([tensor, tensor], 1)[:, 0]

    strange = {name: other(v) if isinstance(v, Tensor) else v for name, v in arguments.items()}
    leaves = {name: v.requires_grad_() for name, v in strange.items() if isinstance(v, Tensor)}
    output = deform_conv2d(**strange)
    grad = torch.randn(output.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(output)
    output.backward(grad.transpose(2, 3).contiguous().transpose(2, 3))
    close({"output": output, **{k: v.grad for k, v in leaves.items()}}, expected, 1e-12)


def test_expanded_tensors(backend: str, make: Make, differentiate: Differentiate, close: Close) -> None:
    """Inputs and gradients with stride 0."""
    arguments = make()
    for name in ("input", "offset", "mask"):
        arguments[name] = arguments[name][:1].expand_as(arguments[name])
    dense = {name: v.contiguous() if isinstance(v, Tensor) else v for name, v in arguments.items()}
    torch.testing.assert_close(deform_conv2d(**arguments), deform_conv2d(**dense))
    summed = {k: v.detach().requires_grad_() for k, v in dense.items() if isinstance(v, Tensor)}
    deform_conv2d(**{**dense, **summed}).sum().backward()
    ones = arguments["input"].new_ones(()).expand(2, 4, 6, 7)
    expected = differentiate(oracle, dense, ones)
    close({k: v.grad for k, v in summed.items()}, {k: v for k, v in expected.items() if k != "output"}, 1e-12)


# --------------------------------------------------------------------------- half types


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 3e-3), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("wide", [True, False])
def test_half_types(
    dtype: torch.dtype,
    tolerance: float,
    wide: bool,
    backend: str,
    make: Make,
    differentiate: Differentiate,
    close: Close,
) -> None:
    """Only the storage is rounded: positions and sums are of float32, with offsets of either type."""
    arguments = make(shape=(2, 16, 9, 40), dtype=dtype)
    if wide:
        arguments |= {name: arguments[name].float() + 1e-3 for name in ("offset", "mask")}
    found = differentiate(deform_conv2d, arguments)
    assert {name: tensor.dtype for name, tensor in found.items() if name != "output"} == {
        name: v.dtype for name, v in arguments.items() if isinstance(v, Tensor)
    }
    double = {name: v.double() if isinstance(v, Tensor) else v for name, v in arguments.items()}
    grad = torch.randn(found["output"].shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    grad = grad.to(found["output"])
    close(found, differentiate(oracle, double, grad.double()), tolerance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_sample_at_exact_positions(dtype: torch.dtype, backend: str, device: str) -> None:
    """Position 2048.25 is none of either type; its fraction is."""
    image = torch.zeros(1, 1, 1, 2050, dtype=dtype)
    image[..., 2048] = 1
    offset = torch.zeros(1, 2, 1, 2050)
    offset[:, 1] = 0.25
    weight = torch.ones(1, 1, 1, 1, dtype=dtype, device=device)
    output = deform_conv2d(image.to(device), offset.to(device), weight)
    assert output[0, 0, 0, 2046:].tolist() == [0, 0.25, 0.75, 0]


def test_autocast_keeps_the_positions(backend: str, device: str, make: Make) -> None:
    arguments = make(dtype=torch.float32)
    leaves = {k: v.requires_grad_() for k, v in arguments.items() if isinstance(v, Tensor)}
    with torch.autocast(device, dtype=torch.bfloat16):
        found = deform_conv2d(**arguments)
    assert found.dtype == torch.bfloat16
    half = {
        k: v if k in ("offset", "mask") or not isinstance(v, Tensor) else v.bfloat16() for k, v in arguments.items()
    }
    torch.testing.assert_close(found, deform_conv2d(**half))
    found.float().square().sum().backward()
    assert all(leaf.grad is not None and leaf.grad.dtype == torch.float32 for leaf in leaves.values())
    with torch.autocast(device, dtype=torch.bfloat16):
        low = {k: v.bfloat16() if k == "mask" else v for k, v in arguments.items()}
        torch.testing.assert_close(deform_conv2d(**low), found, rtol=2e-2, atol=2e-2)
        assert deform_conv2d(**make()).dtype == torch.float64
