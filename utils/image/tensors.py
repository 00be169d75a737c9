"""Between image arrays and tensors."""

import numpy as np
import torch
from torch import Tensor


def to_image(tensor: Tensor) -> np.ndarray:
    """(C, H, W) float in nominal [0, 1] -> uint8 (H, W, C): clamped, rounded half to even, as a saved file is."""
    return tensor.detach().clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def turned(image: Tensor, symmetry: int) -> Tensor:
    """`powerqe.utils.image.io.oriented` for tensors (N, C, H, W)."""
    axes = [axis for axis, bit in ((3, 1), (2, 2)) if symmetry & bit]
    image = image.flip(axes) if axes else image
    return image.transpose(2, 3) if symmetry & 4 else image


def turned_back(image: Tensor, symmetry: int) -> Tensor:
    """The inverse of `turned`."""
    axes = [axis for axis, bit in ((3, 1), (2, 2)) if symmetry & bit]
    image = image.transpose(2, 3) if symmetry & 4 else image
    return image.flip(axes) if axes else image


def to_tensor(image: np.ndarray) -> Tensor:
    """uint8 (H, W, C) -> float32 (C, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float().div_(255)
