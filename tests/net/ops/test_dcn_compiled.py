"""net/ops/dcn: what the compiled operator promises besides right numbers."""

import gc
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from powerqe.net.ops.dcn import DeformConv2d, build, compiled, deform_conv2d, force_backend
from powerqe.net.ops.dcn.deform_inputs import check_arguments
from powerqe.utils.errors import UserError

pytestmark = pytest.mark.usefixtures("our_operator")
Make = Callable[..., dict[str, Any]]
Differentiate = Callable[..., dict[str, Tensor]]
Close = Callable[..., None]
Threads = Callable[[int], None]


def of_operator(arguments: dict[str, Any]) -> tuple[Any, ...]:
    """Arguments as `torch.ops.powerqe.deform_conv2d` takes them."""
    names = ("input", "offset", "weight", "bias", "stride", "padding", "dilation", "mask")
    return *check_arguments(*(arguments.get(name) for name in names)), False


# --------------------------------------------------------------------------- as PyTorch wants an operator


@pytest.mark.parametrize(
    "variant",
    [{}, {"mask": False, "bias": False}, {"shape": (0, 4, 6, 7)}, {"dtype": torch.float32}, {"dtype": torch.bfloat16}],
    ids=["plain", "no mask, no bias", "empty", "float32", "bfloat16"],
)
@pytest.mark.parametrize("needs_gradients", [True, False])
def test_pytorch_finds_the_operator_well_made(variant: dict[str, Any], needs_gradients: bool, make: Make) -> None:
    arguments = [
        v.requires_grad_(needs_gradients) if isinstance(v, Tensor) else v for v in of_operator(make(**variant))
    ]
    torch.library.opcheck(torch.ops.powerqe.deform_conv2d.default, tuple(arguments))


@pytest.mark.parametrize("wanted", [[True] * 5, [False, True, False, True, False], [False] * 5])
def test_pytorch_finds_the_backward_operator_well_made(wanted: list[bool], make: Make) -> None:
    input, offset, mask, weight, _, *rest = of_operator(make())
    arguments = (torch.randn(2, 4, 6, 7).double(), input, offset, mask, weight, *rest[:-1], wanted, True, False)
    torch.library.opcheck(torch.ops.powerqe.deform_conv2d_backward.default, arguments)


def test_gradients_are_those_of_the_output(make: Make) -> None:
    arguments = make(shape=(2, 4, 3, 4), filters=2, groups=2)
    tensors = {k: v.requires_grad_() for k, v in arguments.items() if isinstance(v, Tensor)}
    assert torch.autograd.gradcheck(
        lambda *values: deform_conv2d(**{**arguments, **dict(zip(tensors, values, strict=True))}),
        list(tensors.values()),
        fast_mode=True,
    )


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_without_a_break(dynamic: bool, make: Make, differentiate: Differentiate, close: Close) -> None:
    layer = DeformConv2d(4, 4, 3, padding=1, groups=2).double()
    compiled_layer = torch.compile(layer, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for shape in ((2, 4, 6, 7), (3, 4, 5, 8)):
        given = {k: v for k, v in make(shape=shape).items() if k in ("input", "offset", "mask")}
        close(differentiate(compiled_layer, given), differentiate(layer, given), 0)


def test_compiles_although_no_back_end_was_chosen_before(make: Make) -> None:
    force_backend(None)
    arguments = make()
    expected = torch.ops.powerqe.deform_conv2d(*of_operator(arguments))
    torch._dynamo.reset()
    found = torch.compile(deform_conv2d, fullgraph=True, backend="eager")(**arguments)
    torch.testing.assert_close(found, expected)


def test_compiles_under_autocast(make: Make) -> None:
    arguments = make(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = torch.compile(deform_conv2d, fullgraph=True, backend="aot_eager")(**arguments)
        torch.testing.assert_close(found, deform_conv2d(**arguments))


def test_the_operator_itself_supports_autocast(make: Make) -> None:
    arguments = make(dtype=torch.float32)
    raw = of_operator(arguments)
    weight = raw[3].requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = torch.ops.powerqe.deform_conv2d(*raw)
        torch.testing.assert_close(found, deform_conv2d(**arguments))
        found.sum().backward()
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32


def test_exports(make: Make) -> None:
    class Network(nn.Module):
        def forward(self, arguments: dict[str, Tensor]) -> Tensor:
            return deform_conv2d(**arguments, padding=1)

    tensors = {k: v for k, v in make().items() if isinstance(v, Tensor)}
    program = torch.export.export(Network(), (tensors,))
    assert "powerqe.deform_conv2d" in str(program.graph)
    torch.testing.assert_close(program.module()(tensors), Network()(tensors))


def test_a_second_derivative_is_one_clear_error(make: Make) -> None:
    arguments = make()
    arguments["input"].requires_grad_()
    (gradient,) = torch.autograd.grad(deform_conv2d(**arguments).square().sum(), arguments["input"], create_graph=True)
    with pytest.raises(UserError, match="second derivative"):
        gradient.sum().backward()


def test_only_wanted_gradients_are_computed(make: Make) -> None:
    """All combinations; what is not wanted comes back empty."""
    input, offset, mask, weight, _, *rest = of_operator(make())
    arguments = (torch.ones(2, 4, 6, 7).double(), input, offset, mask, weight, *rest[:-1])
    operator = torch.ops.powerqe.deform_conv2d_backward
    everything = operator(*arguments, [True] * 5, False, False)
    for bits in range(32):
        wanted = [bool(bits >> i & 1) for i in range(5)]
        for found, expected, is_wanted in zip(
            operator(*arguments, wanted, False, False), everything, wanted, strict=True
        ):
            torch.testing.assert_close(found, expected if is_wanted else expected.new_empty(0), rtol=0, atol=0)


BAD_CALLS: dict[str, dict[int, Any]] = {
    "offset": {1: torch.zeros(2, 36, 6, 6).double()},
    "offset groups": {9: 4},
    "mask": {2: torch.zeros(2, 9, 6, 7).double()},
    "weight": {3: torch.zeros(4, 3, 3, 3).double()},
    "bias": {4: torch.zeros(3).double()},
    "dtype of bias": {4: torch.zeros(4)},
    "dtype of offset": {1: torch.zeros(2, 36, 6, 7)},
    "integers": {0: torch.zeros(2, 4, 6, 7).long()},
    "groups": {8: 3},
    "no stride": {5: [0, 1]},
    "negative padding": {6: [-1, 1]},
    "large kernel": {7: [9, 9]},
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_the_operator_itself_refuses_what_it_could_not_read(name: str, make: Make) -> None:
    """Nobody checks what comes through torch.ops."""
    arguments = list(of_operator(make()))
    for place, value in BAD_CALLS[name].items():
        arguments[place] = value
    with pytest.raises(RuntimeError):
        torch.ops.powerqe.deform_conv2d(*arguments)
    input, offset, mask, weight, bias, *rest = arguments
    if bias is None or "bias" not in name:
        with pytest.raises(RuntimeError):
            torch.ops.powerqe.deform_conv2d_backward(
                torch.zeros(2, 4, 6, 7).double(), input, offset, mask, weight, *rest[:-1], [True] * 5, False, False
            )


def test_the_backward_operator_checks_the_gradient(make: Make) -> None:
    input, offset, mask, weight, _, *rest = of_operator(make())
    operator = torch.ops.powerqe.deform_conv2d_backward
    for grad in (torch.zeros(2, 4, 6, 6).double(), torch.zeros(2, 4, 6, 7)):
        with pytest.raises(RuntimeError):
            operator(grad, input, offset, mask, weight, *rest[:-1], [True] * 5, False, False)
    with pytest.raises(RuntimeError):  # there is no mask to have a gradient
        operator(torch.zeros(2, 4, 6, 7).double(), input, offset, None, weight, *rest[:-1], [True] * 5, False, False)


# --------------------------------------------------------------------------- threads, memory, size


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_results_do_not_depend_on_the_number_of_threads(
    dtype: torch.dtype, make: Make, differentiate: Differentiate, threads: Threads, close: Close
) -> None:
    arguments = make(shape=(3, 6, 40, 41), filters=9, groups=3, dtype=dtype)
    threads(1)
    expected = differentiate(deform_conv2d, arguments)
    for count in (2, 3, 5):
        threads(count)
        close(differentiate(deform_conv2d, arguments), expected, 0)


def test_many_images_share_few_buffers(make: Make, differentiate: Differentiate, close: Close) -> None:
    """More images than there are buffers for weight gradients."""
    arguments = make(shape=(150, 2, 2, 3), filters=2, offset_groups=1)
    found = differentiate(deform_conv2d, arguments)
    force_backend("reference")
    close(found, differentiate(deform_conv2d, arguments), 1e-12)


@pytest.mark.parametrize("shape", [(1, 2048, 3, 3), (1, 1, 4, 90)])
@pytest.mark.parametrize("filters", [1, 700])
def test_many_channels_go_in_several_slabs(
    shape: tuple[int, int, int, int], filters: int, make: Make, differentiate: Differentiate, close: Close
) -> None:
    kernel = (3, 3) if shape[1] == 1 else (1, 1)
    arguments = make(shape=shape, filters=filters, kernel=kernel, padding=(0, 0), offset_groups=1)
    found = differentiate(deform_conv2d, arguments)
    force_backend("reference")
    close(found, differentiate(deform_conv2d, arguments), 1e-11)


def test_more_than_2_to_the_31_elements() -> None:
    """Indices of 64 bit: within a plane, and from plane to plane. Only the touched pages of the images exist."""
    try:
        large = np.zeros((1, 1, 65600, 32800), np.float16)
        many = np.zeros((2, 3, 30000, 20000), np.float16)
    except MemoryError:
        pytest.skip("this system promises no memory that is not there")
    for array in (large, many):
        assert array.size > 2**31
        image = torch.from_numpy(array)
        height, width = array.shape[2:]
        array[-1, -1, -1, -1], array[-1, -1, -1, 0] = 3, 5
        # Four samples: the corners of the image.
        weight = torch.ones(1, array.shape[1], 1, 1, dtype=torch.float16, requires_grad=True)
        offset = torch.zeros(len(array), 2, 2, 2, requires_grad=True)
        output = deform_conv2d(image, offset, weight, stride=(height - 1, width - 1))
        assert output[-1, 0].tolist() == [[0, 0], [5, 3]]
        output.sum().backward()
        assert weight.grad is not None
        assert weight.grad.flatten().tolist() == [0] * (array.shape[1] - 1) + [8]
        assert offset.grad is not None
        assert offset.grad[-1, :, 1].tolist() == [
            [-5, -3],
            [-5, -3],
        ]  # right-hand derivatives: beyond the last pixel are zeros
        del image, output
        gc.collect()


# --------------------------------------------------------------------------- half types


def every_value(dtype: torch.dtype) -> Tensor:
    """All 65536 bit patterns, each an image of its own."""
    return torch.arange(65536).to(torch.uint16).view(dtype).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_half_value_survives(dtype: torch.dtype) -> None:
    image = every_value(dtype)
    found = deform_conv2d(image, torch.zeros(65536, 2, 1, 1), torch.ones(1, 1, 1, 1, dtype=dtype))
    torch.testing.assert_close(found, image, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("flush", [False, True])
@pytest.mark.parametrize("factor", [1 / 3, 1.5])
def test_results_are_rounded_to_the_nearest_even(dtype: torch.dtype, flush: bool, factor: float) -> None:
    """A third of a value is between two, 1.5 times a value often in the middle; subnormal float16 are no subnormal
    float32."""
    image = every_value(dtype)
    image = image[image.isnan().logical_not().flatten()]
    weight = torch.full((1, 1, 1, 1), factor, dtype=dtype)
    expected = (image.float() * weight.float()).to(dtype)
    torch.set_flush_denormal(flush)
    try:
        found = deform_conv2d(image, torch.zeros(len(image), 2, 1, 1), weight)
    finally:
        torch.set_flush_denormal(False)
    normal = torch.minimum(image.float().abs(), expected.float().abs()) > 1.2e-38
    torch.testing.assert_close(found[normal], expected[normal], rtol=0, atol=0)


def test_values_too_large_for_float16_become_infinite() -> None:
    image = torch.tensor([65504.0, -65504.0, 32752.0, 32736.0]).half().reshape(4, 1, 1, 1)
    weight = torch.full((1, 1, 1, 1), 2.0).half()
    found = deform_conv2d(image, torch.zeros(4, 2, 1, 1), weight, bias=torch.tensor([14.0]).half())
    # 65504 + 14 is still nearer to 65504 than to the next value that there would be, 65536.
    assert found.flatten().tolist() == [float("inf"), -float("inf"), 65504, 65472]


# --------------------------------------------------------------------------- the library


def test_a_library_of_other_sources_is_not_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = build.KernelLibrary("cpu", (build.Unit("operators.cpp", ("-DOTHER",)),))
    why_not = compiled._load.__wrapped__(old)
    assert why_not is not None
    assert "other sources" in why_not
    assert "build.sh" in why_not


def test_the_library_needs_no_more_than_the_stable_interface() -> None:
    """Of PyTorch only C functions that stay; so the library works with later versions, too."""
    done = subprocess.run(["nm", "-D", "--undefined-only", build.CPU.path], capture_output=True, text=True, timeout=60)
    if done.returncode:
        pytest.skip("there is no nm")
    names = [line.split()[-1] for line in done.stdout.splitlines()]
    assert any(name.startswith("aoti_torch_") for name in names)
    assert not [name for name in names if name.startswith(("_ZN2at", "_ZN3c10", "_ZN5torch", "_ZNK2at", "_ZNK3c10"))]
