"""Images as Python programs have them: NumPy arrays, Pillow's images, tensors. What comes in comes out."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from powerqe.utils.errors import UserError
from powerqe.utils.image.decode import converted, separated
from powerqe.utils.image.photo import Photo, read_photo
from powerqe.utils.image.tensors import to_image
from powerqe.utils.image.write import joined

_TOLERANCE = 1e-3
"""By which floats may be beyond [0, 1]."""


def apply_to(image: Any, to_photo: Callable[[Photo], Photo], to_tensor: Callable[[Tensor], Tensor]) -> Any:
    """Change an image, whatever its kind; the result is of the same kind.

    Args:
        image: an array (H, W) or (H, W, C), gray or RGB with or without alpha, of uint8, uint16, or floats in [0, 1]
            (these without alpha); one of Pillow's images; or a tensor (N, C, H, W) or (C, H, W) of floats in [0, 1].
        to_photo: is given images of integers.
        to_tensor: is given images of floats, one after another, as (1, 1 or 3, H, W) float32 on the CPU.

    Raises:
        UserError: it is no such image.
    """
    if isinstance(image, Tensor):
        return _tensor(image, to_tensor)
    if isinstance(image, Image.Image):
        return _to_pillow(to_photo(photo_of(image)), image)
    if isinstance(image, np.ndarray) and image.dtype.kind == "f":
        result = _tensor(_planes(image), to_tensor).movedim(0, -1).contiguous().numpy()
        return result[..., 0] if image.ndim == 2 else result
    result = joined(to_photo(photo_of(image)))
    return result[..., 0] if image.ndim == 2 else result


def photo_of(image: Any) -> Photo:
    """An image as one that could stand in a file; of floats, rounded to 8 bits.

    Args:
        image: see `apply_to`; a tensor has one image only. Or the path of a file.

    Raises:
        UserError: it is no such image, or a file that cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        return read_photo(image)
    if isinstance(image, Image.Image):
        found = converted(image)
        return Photo(found.colors, found.alpha, format=image.format or "", tables=_tables(image))
    if isinstance(image, Tensor):
        batch = _batch(image)
        if len(batch) != 1:
            raise UserError(f"found {len(batch)} images, a file holds one")
        return Photo(to_image(batch[0].float()), format="")
    _check_array(image)
    if image.dtype.kind == "f":
        return photo_of(_planes(image))
    pixels, alpha = separated(_owned(image))
    return Photo(pixels, alpha, format="")


def first_of(image: Any) -> Any:
    """Of a batch the first image, for which weights are chosen; any other image is itself. Raises as `photo_of`."""
    return _batch(image)[:1] if isinstance(image, Tensor) else image


def array_of(photo: Photo) -> np.ndarray:
    """(H, W) of a gray image, else (H, W, 2 to 4), alpha last; upright."""
    pixels = joined(photo.upright())
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _check_array(image: Any) -> None:
    if not isinstance(image, np.ndarray):
        raise UserError(f"found {type(image).__name__}, expected a NumPy array, a Pillow image, a tensor or a path")
    if image.ndim not in (2, 3) or not image.size or (image.ndim == 3 and image.shape[2] > 4):
        raise UserError(f"found an array of shape {image.shape}, expected (H, W) or (H, W, C) with C from 1 to 4")
    if image.dtype not in (np.uint8, np.uint16) and image.dtype.kind != "f":
        raise UserError(f"found an array of {image.dtype}, expected uint8, uint16 or floats in [0, 1]")


def _owned(image: np.ndarray) -> np.ndarray:
    """(H, W, C), as PyTorch takes it: contiguous, and to be written to."""
    return np.require(image if image.ndim == 3 else image[..., None], requirements=["C", "W"])


def _planes(image: np.ndarray) -> Tensor:
    """An array of floats, channels first."""
    _check_array(image)
    return torch.from_numpy(_owned(image)).movedim(-1, 0)


def _tensor(image: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    batch = _batch(image)
    changed = torch.cat([change(each[None]) for each in batch.to("cpu", torch.float32)])
    return changed.to(image.device, image.dtype).reshape(*image.shape[:-3], *changed.shape[1:])


def _batch(image: Tensor) -> Tensor:
    """(N, C, H, W), checked."""
    if image.ndim not in (3, 4) or image.shape[-3] not in (1, 3) or not image.numel():
        raise UserError(
            f"found floats of shape (channels first) {tuple(image.shape)}, expected (N, C, H, W) or (C, H, W) with "
            "1 or 3 channels"
        )
    if not image.is_floating_point():
        raise UserError(f"found a tensor of {image.dtype}, expected floats in [0, 1]; divide 8-bit values by 255")
    low, high = (float(value) for value in image.detach().aminmax())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        raise UserError(f"found floats from {low:.4g} to {high:.4g}, expected [0, 1]")
    return image.detach()[(None,) * (4 - image.ndim)]


def _to_pillow(photo: Photo, like: Image.Image) -> Image.Image:
    pixels = joined(photo)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.info = {name: value for name, value in like.info.items() if name != "transparency"}
    return image


def _tables(image: Image.Image) -> np.ndarray | None:
    """The quantization tables of an image that was opened from a JPEG file and not changed since, see `read_tables`."""
    if image.format != "JPEG":
        return None
    layers, found = getattr(image, "layer", []), getattr(image, "quantization", {})
    steps = [found[number] for _, _, _, number in layers[:2] if number in found]  # of luma and chroma
    return np.array(steps, np.float32).reshape(-1, 8, 8) if steps else None
