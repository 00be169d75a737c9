"""Do the back-ends agree with the reference? Forward and gradients, on the CPU and, if there is one, on the GPU.

    python simple_check.py

The table shows the largest difference to the reference in float64, relative to the largest value. Status 1 if one
is too large. Back-ends that are not there are named with the reason.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

if __package__ in (None, ""):  # run as a script: Python looks for modules next to it only
    sys.path[0] = str(Path(__file__).resolve().parents[3])

import torch
from torch import Tensor

from powerqe.net.ops.dcn import backends, reference
from powerqe.net.ops.dcn.deform_inputs import check_arguments

TOLERANCES = {torch.float64: 1e-12, torch.float32: 5e-6, torch.float16: 3e-3, torch.bfloat16: 2e-2}
GRADIENTS = ("input", "offset", "mask", "weight", "bias")


class CheckCase(NamedTuple):
    """Arguments of `deform_conv2d` in float64."""

    name: str
    tensors: dict[str, Tensor]
    padding: int = 1


def authors_case() -> CheckCase:
    """The check of the authors' operator: offsets that lead all taps of a 3x3 kernel to its center."""
    image = torch.arange(18.0).reshape(1, 2, 3, 3)
    offset = torch.tensor([[y, x] for y in (1.0, 0.0, -1.0) for x in (1.0, 0.0, -1.0)]).reshape(1, 18, 1, 1)
    tensors = {"input": image, "offset": offset.repeat(1, 2, 3, 3), "weight": torch.ones(1, 2, 3, 3)}
    return CheckCase("authors' check", {name: tensor.double() for name, tensor in tensors.items()})


def random_case(
    name: str, channels: int, filters: int, offset_groups: int, *, groups: int = 1, size: int = 12
) -> CheckCase:
    """Version 2 with standard normal tensors."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    tensors = {
        "input": normal(2, channels, size, size + 3),
        "offset": normal(2, 18 * offset_groups, size, size + 3),
        "mask": normal(2, 9 * offset_groups, size, size + 3).sigmoid(),
        "weight": normal(filters, channels // groups, 3, 3),
        "bias": normal(filters),
    }
    return CheckCase(name, tensors)


def check(run: Callable[[Any], Tensor], case: CheckCase, dtype: torch.dtype, device: str) -> dict[str, float]:
    """Relative errors of the output and of all gradients."""
    # Both get the rounded values, so that only the computation differs.
    rounded = {name: tensor.to(dtype) for name, tensor in case.tensors.items()}
    found = _results(run, {name: tensor.to(device) for name, tensor in rounded.items()}, case.padding)
    expected = _results(reference.run, {name: tensor.double() for name, tensor in rounded.items()}, case.padding)
    return {name: _error(found[name], expected[name]) for name in expected}


def _results(run: Callable[[Any], Tensor], tensors: dict[str, Tensor], padding: int) -> dict[str, Tensor]:
    leaves = {name: tensor.detach().clone().requires_grad_() for name, tensor in tensors.items()}
    optional = {name: leaves.get(name) for name in ("bias", "mask")}
    arguments = check_arguments(
        leaves["input"], leaves["offset"], leaves["weight"], optional["bias"], 1, padding, 1, optional["mask"]
    )
    output = run(arguments)
    output.backward(torch.linspace(-1, 1, output.numel()).reshape(output.shape).to(output))
    return {"output": output} | {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}


def _error(found: Tensor, expected: Tensor) -> float:
    scale = expected.abs().max().item() or 1.0
    error = (found.detach().cpu().double() - expected).abs().max().item() / scale
    return error if error == error else float("inf")  # NaN must not pass


def main() -> int:
    """Print the table. 0 if all agree, 1 if not."""
    cases = [
        authors_case(),
        random_case("one offset group per channel", 7, 16, 7),
        random_case("8 channels per offset group", 32, 16, 4),
        random_case("groups", 12, 6, 2, groups=3),
    ]
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    print(backends.status())
    if "cuda" not in devices:
        print("no GPU: the CUDA kernels are not checked")
    print(f"\n{'back-end':12}{'device':8}{'type':10}{'output':>10}" + "".join(f"{name:>10}" for name in GRADIENTS))
    agree = True
    for name in backends.BACKENDS:
        for device in devices:
            agree &= _print_rows(name, device, cases)
    print("\nall agree with the reference" if agree else "\nsome DISAGREE with the reference")
    return 0 if agree else 1


def _print_rows(name: str, device: str, cases: list[CheckCase]) -> bool:
    backend = backends.BACKENDS[name]
    why_not = backend.missing(device)
    if why_not:
        print(f"{name:12}{device:8}{why_not}")
        return True
    agree = True
    for dtype, tolerance in TOLERANCES.items():
        worst: dict[str, float] = {}
        for case in cases:
            for what, error in check(backend.run, case, dtype, device).items():
                worst[what] = max(worst.get(what, 0.0), error)
        right = all(error <= tolerance for error in worst.values())
        errors = "".join(f"{worst[what]:>10.1e}" for what in ("output", *GRADIENTS))
        verdict = "" if right else f"  more than {tolerance:.0e}: DISAGREES"
        print(f"{name:12}{device:8}{str(dtype).removeprefix('torch.'):10}{errors}{verdict}")
        agree &= right
    return agree


if __name__ == "__main__":
    sys.exit(main())
