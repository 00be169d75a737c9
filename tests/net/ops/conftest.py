"""What the tests of deformable convolution share: the back-ends, and arguments that fit together."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from powerqe.net.ops.dcn import backends, compiled, force_backend
from powerqe.utils.errors import UserError

Make = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _fresh_choice(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test starts without a choice of the environment and leaves none behind."""
    monkeypatch.delenv(backends.VARIABLE, raising=False)
    monkeypatch.delenv(compiled.CPU_VARIABLE, raising=False)
    force_backend(None)
    yield
    force_backend(None)


def use(name: str, device: str = "cpu") -> None:
    """Force a back-end, or skip the test with the reason why there is none."""
    why_not = backends.BACKENDS[name].missing(device)
    if why_not:
        pytest.skip(f"{name} {why_not}")
    force_backend(name)


CPU_KERNELS = ("avx512", "avx2", "baseline")


def use_cpu_kernels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Force the compiled operator with kernels for some instructions, or skip the test where there are none."""
    use("compiled")
    monkeypatch.setenv(compiled.CPU_VARIABLE, name)
    try:
        assert compiled.cpu_kernels() == name
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(params=CPU_KERNELS)
def cpu_kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The compiled operator with the kernels for each set of instructions in turn."""
    use_cpu_kernels(request.param, monkeypatch)
    return request.param


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> str:
    """Where `make` puts its tensors."""
    return request.param


@pytest.fixture(params=[*(f"compiled {name}" for name in CPU_KERNELS), "torchvision", "reference"])
def backend(request: pytest.FixtureRequest, device: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each back-end on each type of device in turn, forced; on the CPU with each set of instructions."""
    name, _, instructions = request.param.partition(" ")
    if instructions and device == "cpu":
        use_cpu_kernels(instructions, monkeypatch)
    elif instructions in ("", CPU_KERNELS[0]):
        use(name, device)
    else:
        pytest.skip("the instructions of the CPU do not matter on another device")
    return name


@pytest.fixture
def our_operator() -> None:
    """The compiled operator, forced."""
    use("compiled")


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets PyTorch's number of threads until the end of the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Make:
    """Makes the arguments of a call at random, on the `device` of the test if it has one.

    make(shape, filters, kernel, groups, offset_groups, spread, dtype, mask, bias, stride, padding, dilation, seed):
    standard normal tensors, offsets times `spread`, the mask in [0, 1].
    """
    device = request.getfixturevalue("device") if "device" in request.fixturenames else "cpu"

    def make(
        shape: tuple[int, int, int, int] = (2, 4, 6, 7),
        filters: int = 4,
        kernel: tuple[int, int] = (3, 3),
        groups: int = 1,
        offset_groups: int = 2,
        spread: float = 1.0,
        dtype: torch.dtype = torch.float64,
        mask: bool = True,
        bias: bool = True,
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        seed: int = 0,
    ) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(seed)

        def normal(*sizes: int) -> Tensor:
            return torch.randn(sizes, generator=generator, dtype=torch.float64).to(device, dtype)

        steps = {"stride": stride, "padding": padding, "dilation": dilation}
        out = [(shape[2 + i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)]
        taps = offset_groups * kernel[0] * kernel[1]
        tensors = {
            "input": normal(*shape),
            "offset": normal(shape[0], 2 * taps, *out) * spread,
            "weight": normal(filters, shape[1] // groups, *kernel),
        }
        if mask:
            tensors["mask"] = normal(shape[0], taps, *out).sigmoid()
        if bias:
            tensors["bias"] = normal(filters)
        return tensors | steps

    return make


@pytest.fixture
def differentiate() -> Callable[..., dict[str, Tensor]]:
    """The output and all gradients of a call by name: differentiate(function, arguments, the output's gradient)."""

    def differentiate(
        function: Callable[..., Tensor], arguments: dict[str, Any], grad: Tensor | None = None
    ) -> dict[str, Tensor]:
        leaves = {k: v.detach().clone().requires_grad_() for k, v in arguments.items() if isinstance(v, Tensor)}
        output = function(**{**arguments, **leaves})
        if grad is None:
            generator = torch.Generator().manual_seed(1)
            grad = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output)
        output.backward(grad)
        found = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
        assert found.keys() == leaves.keys()
        return {"output": output.detach(), **found}

    return differentiate


@pytest.fixture
def close() -> Callable[..., None]:
    """close(found, expected, tolerance): the largest difference is small beside the largest value."""

    def close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            assert found[name].shape == tensor.shape, name
            scale = tensor.double().abs().max().item() or 1.0
            error = (found[name].double().cpu() - tensor.double().cpu()).abs().max().item() / scale
            assert error <= tolerance, f"{name}: {error:.2e}"

    return close
