"""How a network computes: its data type and its memory format.

In bf16 and fp16, convolutions and products of matrices take and give bfloat16 or float16 (autocast). What the last
bits matter to stays float32, see `powerqe.net.autocast`: estimates, means over the image, sums with it.
"""

import os
from functools import cache
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import nn

from powerqe.inference.packed_layers import pack_layers
from powerqe.net.weights.entry import Entry
from powerqe.utils.errors import UserError
from powerqe.utils.log import logger

DataType = Literal["fp32", "bf16", "fp16"]
Precision = Literal["auto", DataType]
NEAR = 65.0
"""PSNR in dB to the results in float32 from which `auto` takes a type; rounding to 8 bits alone has 58.9."""
_LOW: dict[DataType, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}
_LIMITS = ("BF16", "FP16", "AMX", "AVX10", "ALL", "DEFAULT")
"""Parts of the instruction sets with bf16 to which oneDNN may be limited (ONEDNN_MAX_CPU_ISA)."""


def check_precision(precision: Precision, device: torch.device) -> None:
    """Raise `UserError` for a precision that there is not, or that the device does not have.

    bf16 is computed on every CPU; where that is emulated, a line says so.
    """
    if precision not in (known := get_args(Precision)):
        raise UserError(f"precision: found {precision!r}, expected {', '.join(known)}")
    if precision in ("auto", "fp32") or computes_in(precision, device):
        return
    if (device.type, precision) != ("cpu", "bf16"):
        raise UserError(f"precision: this device ({device}) does not compute in {precision}; take auto or fp32")
    tell_emulation(precision)


def choose_precision(precision: Precision, device: torch.device, card: Entry | None) -> DataType:
    """What a precision means: "auto" is a type in which the device computes, and in which the results of these weights
    are `NEAR` those in float32, as their card says; else "fp32", also of weights without such a record.

    Raises:
        UserError: see `check_precision`.
    """
    check_precision(precision, device)
    if precision != "auto":
        return precision
    measured = card.precision if card else {}
    near: list[DataType] = [
        name for name, decibels in measured.items() if decibels >= NEAR and computes_in(name, device)
    ]
    return near[0] if near else "fp32"


def note_on(asked: Precision, chosen: DataType, device: torch.device) -> str:
    """A remark where "auto" stays with float32 though the device computes in less."""
    is_slow = asked == "auto" and chosen == "fp32" and any(computes_in(name, device) for name in _LOW)
    return "in fp32" if is_slow else ""


def prepared(network: nn.Module, precision: DataType) -> nn.Module:
    """The network, changed in place so that a call computes in this precision, in the fastest memory format.

    Args:
        network: in evaluation mode, on its device. Its images stay float32 and NCHW; the type of its results may be
            that of the precision.
    """
    pack_layers(network)
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - known to PyTorch, not to its stubs
    if precision != "fp32":
        device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
        network.forward = torch.autocast(device.type, _LOW[precision])(network.forward)
    return network


def engine(device: torch.device) -> str:
    """What computes, for records of results."""
    return f"PyTorch {torch.__version__}, {device.type}"


def computes_in(precision: DataType, device: torch.device) -> bool:
    """Whether a device computes in a type itself, without emulation."""
    if precision == "fp32":
        return True
    if device.type == "cpu":
        return _cpu_computes_in(precision)
    if device.type == "cuda":
        return precision == "fp16" or torch.cuda.is_bf16_supported(including_emulation=False)
    return _has_type(_LOW[precision], device)


def _cpu_computes_in(precision: DataType) -> bool:
    """By what oneDNN says, which computes; of bf16 it says so of every AVX-512, and then emulates it if need be."""
    try:
        if precision == "fp16":
            return torch.ops.mkldnn._is_mkldnn_fp16_supported()
        if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
    except (AttributeError, RuntimeError):  # PyTorch without oneDNN
        return False
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "DEFAULT"
    has_units = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return not torch.cpu._is_avx512_supported() or (has_units and any(word in limit.upper() for word in _LIMITS))


@cache
def _has_type(dtype: torch.dtype, device: torch.device) -> bool:
    try:
        F.conv2d(torch.ones(1, 1, 4, 4, device=device, dtype=dtype), torch.ones(1, 1, 3, 3, device=device, dtype=dtype))
    except (RuntimeError, TypeError):
        return False
    return True


@cache
def tell_emulation(precision: str) -> None:
    """Say, once, that the processor does not compute in a type itself."""
    logger.info(f"this processor emulates {precision}, which takes more time than fp32")
