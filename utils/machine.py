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
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
