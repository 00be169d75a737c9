"""The C library's memory allocator."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


def keep_freed_memory() -> bool:
    """Let the process keep memory that it frees instead of handing it back to the kernel.

    A training step on the CPU frees and asks for the same large tensors again and again; mapping their
    pages anew took a quarter of the step (AR-CNN, 16 patches of 48 x 48). Returns whether the C library
    could be told so: glibc can, others are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, 1 << 30) and mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1))
