"""How much memory there is, when it did not suffice, and the C library's allocator of it."""

import ctypes
import gc
import sys
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc


def keep_freed_memory() -> bool:
    """Let the process keep memory that it frees instead of handing it back to the kernel.

    A training step on the CPU frees and allocates the same large tensors repeatedly; mapping their
    pages again took a quarter of the step (AR-CNN, 16 patches of 48 x 48). Call it before threads start: all of them
    then have one arena, for others hold no large tensors. Returns whether the C library supports it: glibc does.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    settings = {_M_MMAP_THRESHOLD: 1 << 30, _M_TRIM_THRESHOLD: (1 << 31) - 1, _M_ARENA_MAX: 1}
    return all(mallopt(*setting) for setting in settings.items())


def give_back_memory() -> None:
    """Collect garbage, and hand freed memory back to the kernel."""
    gc.collect()
    trim_memory()


def trim_memory() -> None:
    """Hand freed memory back to the kernel, even after `keep_freed_memory`, if the C library can: glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def available_memory() -> int:
    """Free memory in bytes, by Linux and the limit of the container; 4 GiB on other systems."""
    found = [bound for bound in (_of_machine(Path("/proc/meminfo")), _of_container(Path("/sys/fs/cgroup"))) if bound]
    return min(found, default=4 << 30)


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device's memory, or the computer's, did not suffice: by NumPy and Pillow, CUDA, PyTorch, OpenCV."""
    messages = ("out of memory", "DefaultCPUAllocator", "Insufficient memory")
    names = {kind.__name__ for kind in type(error).__mro__}  # PyTorch's, which is not imported here
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or any(message in str(error) for message in messages)


def check_memory(needed: int) -> None:
    """Raise `MemoryError` if so many bytes are not free, where that is known (Linux): there, the kernel would kill."""
    if sys.platform == "linux" and needed > available_memory():
        raise MemoryError(f"{needed} bytes are needed")


def _of_machine(file: Path) -> int:
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), 0)


def _of_container(folder: Path) -> int:
    """Of the second kind of control groups, which a container sees as its own; 0 if it has no bound."""
    files = [folder / name for name in ("memory.max", "memory.current")]
    texts = [file.read_text(encoding="utf-8").strip() if file.is_file() else "max" for file in files]
    if not all(text.isdecimal() for text in texts):
        return 0
    return max(int(texts[0]) - int(texts[1]), 64 << 20)
