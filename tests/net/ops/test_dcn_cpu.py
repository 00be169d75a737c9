"""net/ops/dcn: the CPU kernels for every set of instructions that this processor can run, and their fast ways."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from powerqe.benchmarks.common import extra_memory
from powerqe.net.ops.dcn import compiled, deform_conv2d, force_backend, status
from powerqe.net.ops.dcn.deform_inputs import check_arguments
from powerqe.utils.errors import UserError

pytestmark = pytest.mark.usefixtures("cpu_kernels")
Make = Callable[..., dict[str, Any]]
Differentiate = Callable[..., dict[str, Tensor]]
Close = Callable[..., None]
Threads = Callable[[int], None]

WINDOWS: dict[str, dict[str, Any]] = {
    "eight channels each": {"shape": (2, 16, 19, 37), "filters": 5},
    "two chunks each, two groups": {"shape": (1, 32, 9, 40), "filters": 34, "groups": 2},
    "groups within an offset group": {"shape": (1, 32, 6, 7), "filters": 8, "groups": 4, "offset_groups": 1},
    "steps": {"shape": (1, 8, 23, 31), "offset_groups": 1, "stride": (2, 1), "padding": (0, 3), "dilation": (3, 2)},
    "one pixel": {"shape": (3, 8, 1, 1), "offset_groups": 1, "spread": 0.4},
    "far away": {"shape": (1, 8, 20, 33), "offset_groups": 1, "spread": 1e4},
    "no mask": {"shape": (1, 16, 8, 9), "mask": False, "bias": False},
    "large kernel": {"shape": (1, 8, 12, 11), "kernel": (7, 6), "padding": (3, 3), "offset_groups": 1},
    # The samples see more than a window may hold.
    "large offsets": {"shape": (1, 8, 120, 130), "offset_groups": 1, "spread": 60.0},
    # They are cut into more units than one, for each gradient in another way.
    "one image, one group": {"shape": (1, 24, 33, 70), "offset_groups": 1},
    "one image, one group, few channels": {"shape": (1, 6, 33, 70), "offset_groups": 1},
}


@pytest.mark.parametrize("variant", WINDOWS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 4e-6), (torch.float16, 3e-3), (torch.bfloat16, 2e-2)])
def test_agrees_with_the_reference(
    variant: str, dtype: torch.dtype, tolerance: float, make: Make, differentiate: Differentiate, close: Close
) -> None:
    arguments = make(**WINDOWS[variant], dtype=dtype)
    for name in ("offset", "mask"):
        if name in arguments:
            arguments[name] = arguments[name].float()
    found = differentiate(deform_conv2d, arguments)
    force_backend("reference")
    exact = {name: v.double() if isinstance(v, Tensor) else v for name, v in arguments.items()}
    # A sum of 10,000 rounds more than one of 100: the position itself is rounded, too, where offsets are large.
    more = 100 if arguments["offset"].abs().max() > 100 else 1
    close(found, differentiate(deform_conv2d, exact, rounded_gradient(found["output"])), more * tolerance)


def rounded_gradient(output: Tensor) -> Tensor:
    """What `differentiate` has taken as the gradient of an output of this type, in float64."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output.dtype).double()


@pytest.mark.parametrize("channels", [8, 2])
@pytest.mark.parametrize("spread", [1.0, 40.0])
def test_infinite_pixels_stay_in_their_receptive_field(channels: int, spread: float, make: Make) -> None:
    """Zeros stand for what is outside, also where a pixel beside it is infinite."""
    arguments = make(shape=(1, channels, 140, 120), offset_groups=1, dtype=torch.float32, spread=spread, filters=1)
    arguments["input"][:, :, [0, -1]] = float("inf")
    found = deform_conv2d(**arguments)
    force_backend("reference")
    expected = deform_conv2d(**arguments)
    assert expected.isfinite().any()
    assert not expected.isfinite().all()
    torch.testing.assert_close(found.isfinite(), expected.isfinite(), rtol=0, atol=0)


@pytest.mark.parametrize("variant", ["one image, one group", "one image, one group, few channels", "large offsets"])
def test_results_do_not_depend_on_the_number_of_threads(
    variant: str, make: Make, differentiate: Differentiate, threads: Threads, close: Close
) -> None:
    arguments = make(**WINDOWS[variant], dtype=torch.float32)
    threads(1)
    expected = differentiate(deform_conv2d, arguments)
    for count in (2, 3):
        threads(count)
        close(differentiate(deform_conv2d, arguments), expected, 0)


@pytest.mark.parametrize("wanted", [[True] + [False] * 4, [False, True, True, True, True], [False] * 3 + [True, False]])
@pytest.mark.parametrize("channels", [24, 6])
def test_single_gradients_are_those_of_all(wanted: list[bool], channels: int, make: Make) -> None:
    arguments = make(shape=(1, channels, 33, 70), offset_groups=1, dtype=torch.float32, filters=4)
    given = (*(arguments[k] for k in ("input", "offset", "mask", "weight")), [1, 1], [1, 1], [1, 1], 1, 1)
    grad = torch.randn(1, 4, 33, 70, generator=torch.Generator().manual_seed(1))
    operator = torch.ops.powerqe.deform_conv2d_backward
    everything = operator(grad, *given, [True] * 5, False, False)
    for found, expected, is_wanted in zip(
        operator(grad, *given, wanted, False, False), everything, wanted, strict=True
    ):
        torch.testing.assert_close(found, expected if is_wanted else expected.new_empty(0), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "shape",
    [(2, 16, 150, 160), (1, 16, 4, 4000), (1, 16, 4000, 4), (6, 4, 128, 128), (1, 1536, 16, 16), (64, 512, 3, 3)],
)
def test_scratch_memory_is_small_whatever_the_size(
    shape: tuple[int, int, int, int], make: Make, threads: Threads
) -> None:
    """Columns of the whole would be 14 to 57 MB, and gradients of the last's weights for each image 9 MB."""
    threads(1)
    arguments = make(shape=shape, filters=8, dtype=torch.float32)
    input, offset, mask, weight, _, *steps = check_arguments(
        *(arguments[k] for k in ("input", "offset", "weight", "bias", "stride", "padding", "dilation", "mask"))
    )
    output = deform_conv2d(**arguments)
    backward = (output, input, offset, mask, weight, *steps, [True] * 5, False, False)
    operator = torch.ops.powerqe.deform_conv2d_backward
    for work in (lambda: [deform_conv2d(**arguments)], lambda: operator(*backward)):
        made = sum(result.numel() * 4 for result in work())
        assert not extra_memory(work) - made >= 4e6  # NaN where the system does not tell


def test_status_lists_the_kernels(cpu_kernels: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"({cpu_kernels} kernels)" in status()
    monkeypatch.setenv(compiled.CPU_VARIABLE, "abacus")
    with pytest.raises(UserError, match=r"POWERQE_DCN_CPU.*'abacus'"):
        status()
