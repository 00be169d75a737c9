"""Our own operator: the compiled libraries, and what PyTorch has to know of it besides its kernels.

The C++ and CUDA sources are in src/, build.py compiles them. The libraries register `powerqe::deform_conv2d` and
`powerqe::deform_conv2d_backward`; shapes without data (torch.compile, torch.export), gradients and automatic
mixed precision are added here.
"""

import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from powerqe.net.ops.dcn import build
from powerqe.net.ops.dcn.deform_inputs import DeformInputs, cast_for_autocast, output_size
from powerqe.utils.errors import UserError

FORWARD, BACKWARD = "powerqe::deform_conv2d", "powerqe::deform_conv2d_backward"
CPU_VARIABLE = "POWERQE_DCN_CPU"
"""Takes the choice of the CPU kernels away from the program, for tests."""
_HINT = f"build it with: sh {Path(__file__).with_name('build.sh')}"


def missing(device: str) -> str | None:
    """Why the operator cannot be used on a type of device; None: it can. Loads the libraries at first."""
    if device in ("cpu", "meta"):
        return _load_cpu()
    if device == "cuda":
        return _load_cpu() or _load(build.CUDA)
    return f"has no kernels for {device}"


def cpu_kernels() -> str:
    """Instruction set of the CPU kernels in use: baseline, avx2 or avx512.

    Raises:
        UserError: the environment variable POWERQE_DCN_CPU names kernels that this processor cannot run.
    """
    try:
        return torch.ops.powerqe.deform_conv2d_cpu_kernels()
    except RuntimeError as error:
        raise UserError(str(error).splitlines()[0].removeprefix("deform_conv2d: ")) from None


def run(a: DeformInputs) -> Tensor:
    """(N, O, H', W') in the type of the input."""
    return torch.ops.powerqe.deform_conv2d(
        a.input, a.offset, a.mask, a.weight, a.bias, a.stride, a.padding, a.dilation, a.groups, a.offset_groups,
        _allow_tf32(a.input),
    )  # fmt: skip


def _allow_tf32(input: Tensor) -> bool:
    """Whether products of float32 may be computed in TF32, as PyTorch's own may on this device."""
    return input.is_cuda and torch.backends.cuda.matmul.fp32_precision == "tf32"


# --------------------------------------------------------------------------- loading


@functools.cache
def _load_cpu() -> str | None:
    reason = _load(build.CPU)
    if reason is None:
        _register()
    return reason


@functools.cache
def _load(library: build.KernelLibrary) -> str | None:
    if not library.path.exists():
        return f"is not built for {library.device}; {_HINT}"
    if not library.is_current():
        return f"was built from other sources; {_HINT}"
    try:
        torch.ops.load_library(str(library.path))
    except OSError as error:
        return f"cannot be loaded ({str(error).splitlines()[0]}); {_HINT}"
    return None


# --------------------------------------------------------------------------- what PyTorch has to know


def _register() -> None:
    torch.library.register_fake(FORWARD, _fake_forward)
    torch.library.register_fake(BACKWARD, _fake_backward)
    torch.library.register_autograd(FORWARD, _gradients, setup_context=_remember)
    torch.library.register_autograd(BACKWARD, _no_second_derivative)
    for device, key in (("cpu", "AutocastCPU"), ("cuda", "AutocastCUDA")):
        _REGISTRATIONS.impl("deform_conv2d", functools.partial(_autocast_forward, device, key), key)
        _REGISTRATIONS.impl("deform_conv2d_backward", functools.partial(_autocast_backward, key), key)


_REGISTRATIONS = torch.library.Library("powerqe", "FRAGMENT")  # lives as long as the program


def _fake_forward(
    input: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, bias: Tensor | None,
    stride: Any, padding: Any, dilation: Any, groups: int, offset_groups: int, allow_tf32: bool,
) -> Tensor:  # fmt: skip
    for name, tensor in (("offset", offset), ("mask", mask), ("weight", weight), ("bias", bias)):
        if tensor is not None:
            torch._check(
                tensor.device == input.device, lambda name=name: f"deform_conv2d: {name}: not on the input's device"
            )
    height, width = output_size(input, weight, stride, padding, dilation)
    return input.new_empty(input.shape[0], weight.shape[0], height, width)


def _fake_backward(
    grad: Tensor, input: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor,
    stride: Any, padding: Any, dilation: Any, groups: int, offset_groups: int,
    output_mask: list[bool], deterministic: bool, allow_tf32: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    like = (input, offset, offset if mask is None else mask, weight)
    gradients = [
        tensor.new_empty(tensor.shape if wanted else 0) for tensor, wanted in zip(like, output_mask, strict=False)
    ]
    return *gradients, weight.new_empty(weight.shape[0] if output_mask[4] else 0)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, offset, mask, weight, _, *ctx.settings, ctx.allow_tf32 = inputs
    ctx.save_for_backward(input, offset, mask, weight)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    input, offset, mask, weight = ctx.saved_tensors
    wanted = list(ctx.needs_input_grad[:5])
    deterministic = torch.are_deterministic_algorithms_enabled()
    gradients = torch.ops.powerqe.deform_conv2d_backward(
        grad, input, offset, mask, weight, *ctx.settings, wanted, deterministic, ctx.allow_tf32
    )
    found = (gradient if is_wanted else None for gradient, is_wanted in zip(gradients, wanted, strict=True))
    return *found, *[None] * (len(ctx.settings) + 1)


def _no_second_derivative(ctx: Any, *grads: Tensor) -> None:
    raise UserError(
        "deform_conv2d: found a second derivative, which the compiled operator does not have: "
        "compute it with the back-end reference (POWERQE_DCN=reference)"
    )


def _autocast_forward(
    device: str, key: str, input: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, bias: Tensor | None,
    *settings: Any,
) -> Tensor:  # fmt: skip
    with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, key))):
        cast = cast_for_autocast(device, input, offset, mask, weight, bias)
        return torch.ops.powerqe.deform_conv2d(*cast, *settings)


def _autocast_backward(key: str, *arguments: Any) -> tuple[Tensor, ...]:
    """Nothing is cast, not even within: the types are those of the forward pass."""
    with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, key))):
        return torch.ops.powerqe.deform_conv2d_backward(*arguments)
