"""What a program computes on, in words."""

import platform
from pathlib import Path

import torch


def processor() -> str:
    """The name of the CPU, from Linux or else from Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def device_name(device: torch.device) -> str:
    """The name of a GPU, or of the CPU."""
    named = getattr(torch.get_device_module(device), "get_device_name", None)  # not of the CPU, nor of mps
    return named(device) if named else processor()
