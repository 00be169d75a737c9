"""net/ops/dcn on a GPU: what the compiled operator promises there besides right numbers (those are in test_dcn.py).

python -m pytest tests -m cuda
"""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from powerqe.net.ops.dcn import DeformConv2d, backends, deform_conv2d, force_backend
from powerqe.net.ops.dcn.deform_inputs import check_arguments

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("our_operator")]
Make = Callable[..., dict[str, Any]]
Differentiate = Callable[..., dict[str, Tensor]]
Close = Callable[..., None]
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@pytest.fixture
def device() -> str:
    """All tensors of these tests are on the GPU."""
    return "cuda"


@pytest.fixture
def our_operator(device: str) -> None:
    """The compiled operator, forced."""
    why_not = backends.BACKENDS["compiled"].missing(device)
    if why_not:
        pytest.skip(f"compiled {why_not}")
    force_backend("compiled")


@pytest.fixture
def deterministic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PyTorch is asked for repeatable results."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what it demands for products of matrices
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def of_operator(arguments: dict[str, Any]) -> tuple[Any, ...]:
    """Arguments as `torch.ops.powerqe.deform_conv2d` takes them."""
    missing: dict[str, Any] = {"bias": None, "mask": None}
    return *check_arguments(**{**missing, **arguments}), False


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.usefixtures("deterministic")
def test_deterministic_results_are_the_same_every_time(
    dtype: torch.dtype, make: Make, differentiate: Differentiate, close: Close
) -> None:
    """Half of the samples meet at the same few pixels."""
    arguments = make(shape=(3, 16, 60, 70), filters=8, dtype=dtype)
    arguments["offset"][:, ::4] -= 60
    first = differentiate(deform_conv2d, arguments)
    for _ in range(5):
        close(differentiate(deform_conv2d, arguments), first, 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_both_ways_of_summing_agree(dtype: torch.dtype, make: Make, close: Close) -> None:
    arguments = make(shape=(2, 16, 60, 70), filters=8, dtype=dtype)
    input, offset, mask, weight, _, *rest = of_operator(arguments)
    grad = torch.randn(2, 8, 60, 70, device="cuda").to(dtype)
    operator = torch.ops.powerqe.deform_conv2d_backward
    atomic, integer = (
        operator(grad, input, offset, mask, weight, *rest[:-1], [True] * 5, d, False) for d in (False, True)
    )
    tolerance = {torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1e-2}[dtype]
    names = ("input", "offset", "mask", "weight", "bias")
    close(dict(zip(names, integer, strict=True)), dict(zip(names, atomic, strict=True)), tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("channels", "offset_groups"), [(64, 8), (7, 7), (24, 2), (3, 1)])
def test_large_images_agree_with_the_cpu(
    dtype: torch.dtype, channels: int, offset_groups: int, make: Make, differentiate: Differentiate, close: Close
) -> None:
    """Several blocks everywhere, with the limits that really hold."""
    arguments = make(shape=(2, channels, 150, 170), filters=64, offset_groups=offset_groups, dtype=dtype)
    double = {k: v.cpu().double() if isinstance(v, Tensor) else v for k, v in arguments.items()}
    tolerance = {torch.float64: 1e-11, torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 3e-2}[dtype]
    grad = torch.randn(2, 64, 150, 170, generator=torch.Generator().manual_seed(2)).to(dtype)
    expected = differentiate(deform_conv2d, double, grad.double())
    close(differentiate(deform_conv2d, arguments, grad.cuda()), expected, tolerance)


def test_works_on_the_current_stream(make: Make) -> None:
    """On another stream than the default one, the operator waits for what is before it there."""
    arguments = make(shape=(4, 16, 128, 128), dtype=torch.float32)
    expected = deform_conv2d(**arguments)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        late = torch.zeros_like(arguments["input"])
        torch.cuda._sleep(200_000_000)
        late.copy_(arguments["input"])
        found = deform_conv2d(**{**arguments, "input": late})
    stream.synchronize()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_works_on_the_device_of_the_tensors(make: Make, differentiate: Differentiate, close: Close) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU only")
    arguments = make(shape=(2, 16, 20, 30), dtype=torch.float32)
    other = {k: v.to("cuda:1") if isinstance(v, Tensor) else v for k, v in arguments.items()}
    found = differentiate(deform_conv2d, other)
    assert torch.cuda.current_device() == 0
    close(found, differentiate(deform_conv2d, arguments), 1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_pytorch_finds_the_operator_well_made(dtype: torch.dtype, make: Make) -> None:
    arguments = [v.requires_grad_() if isinstance(v, Tensor) else v for v in of_operator(make(dtype=dtype))]
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.powerqe.deform_conv2d.default, tuple(arguments), test_utils=tests)


@pytest.mark.usefixtures("deterministic")
def test_gradients_are_those_of_the_output(make: Make) -> None:
    arguments = make(shape=(2, 4, 3, 4), filters=2, groups=2)
    tensors = {k: v.requires_grad_() for k, v in arguments.items() if isinstance(v, Tensor)}
    assert torch.autograd.gradcheck(
        lambda *values: deform_conv2d(**{**arguments, **dict(zip(tensors, values, strict=True))}),
        list(tensors.values()),
        fast_mode=True,
    )


@pytest.mark.usefixtures("deterministic")
def test_compiles_without_a_break(make: Make, differentiate: Differentiate, close: Close) -> None:
    layer = DeformConv2d(4, 4, 3, padding=1).double().cuda()
    compiled_layer = torch.compile(layer, fullgraph=True, backend="aot_eager")
    given = {k: v for k, v in make().items() if k in ("input", "offset", "mask")}
    close(differentiate(compiled_layer, given), differentiate(layer, given), 1e-14)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast(dtype: torch.dtype, make: Make) -> None:
    arguments = make(dtype=torch.float32)
    weight = arguments["weight"].requires_grad_()
    with torch.autocast("cuda", dtype=dtype):
        found = deform_conv2d(**arguments)
    assert found.dtype == dtype
    found.float().sum().backward()
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32


def test_workspace_is_small_whatever_the_size(make: Make) -> None:
    """Columns of the whole would be 472 MB."""
    arguments = make(shape=(8, 50, 128, 128), filters=8, dtype=torch.float64, offset_groups=1)
    input, offset, mask, weight, _, *rest = of_operator(arguments)
    deform_conv2d(**arguments)  # cuBLAS takes its own workspace once
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    output = deform_conv2d(**arguments)
    assert torch.cuda.max_memory_allocated() - before - output.numel() * 8 < 100e6
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    wanted = [True] * 5
    made = torch.ops.powerqe.deform_conv2d_backward(
        output, input, offset, mask, weight, *rest[:-1], wanted, False, False
    )
    gradients = sum(gradient.numel() * 8 for gradient in made)
    assert torch.cuda.max_memory_allocated() - before - gradients < 100e6


def test_more_than_2_to_the_31_elements() -> None:
    """Indices of 64 bit: within a plane, and from plane to plane."""
    if torch.cuda.mem_get_info()[0] < 20 << 30:
        pytest.skip("needs 20 GB of GPU memory")
    for shape in ((1, 1, 65600, 32800), (2, 3, 30000, 20000)):
        image = torch.zeros(shape, dtype=torch.float16, device="cuda")
        assert image.numel() > 2**31
        height, width = shape[2:]
        image[-1, -1, -1, -1], image[-1, -1, -1, 0] = 3, 5
        # Four samples: the corners of the image.
        weight = torch.ones(1, shape[1], 1, 1, dtype=torch.float16, device="cuda", requires_grad=True)
        offset = torch.zeros(shape[0], 2, 2, 2, device="cuda", requires_grad=True)
        output = deform_conv2d(image, offset, weight, stride=(height - 1, width - 1))
        assert output[-1, 0].tolist() == [[0, 0], [5, 3]]
        output.sum().backward()
        assert weight.grad is not None
        assert weight.grad.flatten().tolist() == [0] * (shape[1] - 1) + [8]
        assert offset.grad is not None
        assert offset.grad[-1, :, 1].tolist() == [[-5, -3], [-5, -3]]
        del image, output
        gc.collect()
