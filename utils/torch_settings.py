"""Switches of PyTorch that hold for the whole process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def be_deterministic(wanted: bool) -> None:
    """Take deterministic algorithms only, or any. To be called before CUDA starts, for cuBLAS reads its setting then.

    Source: NVIDIA, cuBLAS Library, section "Results reproducibility".
    """
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted)


@contextmanager
def cudnn_search(wanted: bool) -> Iterator[None]:
    """Inside, cuDNN tries its algorithms on each new size and takes the fastest, which pays if sizes repeat."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = wanted
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
