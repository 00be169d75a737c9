"""One picture through one model: which pixels it gets, and what becomes of all the others.

A picture of 8 bits that suits the model goes through it exactly as `powerqe test` takes it: the pixels are the same.
"""

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from powerqe.inference.model import Model
from powerqe.net.severity import UNKNOWN
from powerqe.utils.codecs.jpeg_estimate import estimate_quality
from powerqe.utils.codecs.jpeg_tables import nearest_quality, quant_tables
from powerqe.utils.errors import UserError
from powerqe.utils.image.color import luma, luma_uint8
from powerqe.utils.image.photo import Photo
from powerqe.utils.image.tensors import to_image

_STUDIO = 255 / 219
"""By which a step of luma changes R, G and B, if the chroma stays (ITU-R BT.601-7, 2.5)."""
_STRIP = 128
_ESTIMATED = "no JPEG file: its pixels tell quality {}"


@dataclass(frozen=True)
class Enhanced:
    """A picture after its enhancement.

    Attributes:
        photo: as it was, with other pixels.
        before: the pixels that it had, turned as these are.
        estimates: what the network says of the picture, such as its quality factor.
        notes: what the user should know.
    """

    photo: Photo
    before: Photo
    estimates: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def enhance_photo(photo: Photo, model: Model, name: str) -> Enhanced:
    """Enhance a picture of any kind.

    Colors through a model of luma: the luma is enhanced and the chroma stays. Gray through a model of colors: as
    three equal channels, and the mean of what comes out. Alpha stays; it is enlarged with the picture, if the model
    does that. 16 bits are computed with as they are.

    Args:
        name: of the file, in messages.

    Raises:
        UserError: the model is for videos, or needs the tables of a JPEG file and the picture shows no trace of one.
    """
    if model.takes_clips:
        raise UserError(f"{name}: {model.method} ({model.name}) is for videos; choose weights for images")
    notes = list(photo.notes)
    tables, quality = _tables(photo, model, name, notes), _quality(photo, model, notes)
    if photo.format in ("JPEG", "MPO") and tables is None:
        photo = photo.upright()  # as `powerqe test` reads it; tables are of the blocks as they lie in the file
    seen = _seen(photo, model.channels)
    known = {"tables": tables, "quality": quality}
    result, estimates = model({"lq": seen} | {key: value for key, value in known.items() if value is not None})
    pixels = _pixels(photo, result, seen, notes)
    alpha = photo.alpha if photo.alpha is None else _enlarged(photo.alpha, pixels)
    return Enhanced(replace(photo, pixels=pixels, alpha=alpha), photo, estimates, tuple(notes))


def _seen(photo: Photo, channels: int) -> Tensor:
    """What the network sees, (1, channels, H, W) float32 in [0, 1]."""
    pixels = photo.pixels
    if channels == 1 and not photo.is_gray:
        if pixels.dtype != np.uint8:
            return luma(_to_batch(pixels))
        pixels = luma_uint8(pixels)
    return _to_batch(pixels).expand(-1, channels, -1, -1).contiguous()


def _to_batch(pixels: np.ndarray) -> Tensor:
    """(H, W, C) uint8 or uint16 -> (1, C, H, W) float32 in [0, 1]."""
    peak = np.iinfo(pixels.dtype).max
    tensor = torch.from_numpy(pixels.astype(np.float32) if peak > 255 else pixels).movedim(-1, 0)[None]
    return tensor.to(torch.float32, memory_format=torch.contiguous_format).div_(peak)


def _pixels(photo: Photo, result: Tensor, seen: Tensor, notes: list[str]) -> np.ndarray:
    """The picture's new pixels, of its own kind, out of what the network made of those that it saw.

    In strips: at once it would take twice the memory of everything else.
    """
    if photo.is_gray and result.shape[1] == 3:
        notes.append("gray, through weights for color")
    elif not photo.is_gray and result.shape[1] == 1:
        if result.shape != seen.shape:
            raise UserError("weights that enlarge luma cannot take a picture with colors; choose weights for RGB")
        notes.append("weights for luma: the chroma stays as it was")
    height, width = result.shape[-2:]
    pixels = np.empty((height, width, photo.pixels.shape[2]), photo.pixels.dtype)
    for top in range(0, height, _STRIP):
        rows = slice(top, top + _STRIP)
        pixels[rows] = _strip(photo, result[:, :, rows].clamp(0, 1), seen[:, :, rows], rows)
    return pixels


def _strip(photo: Photo, result: Tensor, seen: Tensor, rows: slice) -> np.ndarray:
    if photo.is_gray and result.shape[1] == 3:
        result = result.mean(dim=1, keepdim=True)
    elif not photo.is_gray and result.shape[1] == 1:
        result = _to_batch(photo.pixels[rows]) + (result - seen) * _STUDIO
    if photo.pixels.dtype == np.uint8:
        return to_image(result[0])
    return (result[0].clamp(0, 1).double() * photo.peak).round().permute(1, 2, 0).numpy().astype(np.uint16)


def _enlarged(alpha: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    if alpha.shape[:2] == (height, width):
        return alpha
    return cv2.resize(alpha, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, 1)


def _tables(photo: Photo, model: Model, name: str, notes: list[str]) -> Tensor | None:
    """What a network of tables needs, (1, 2 or 1, 8, 8): those of the file, else those that its pixels tell."""
    if not model.needs_tables:
        return None
    tables = photo.tables
    if tables is None:
        quality = _estimated(photo)
        if quality is None:
            raise UserError(
                f"{name}: {model.name} needs the tables of a JPEG file, and this is none and shows no trace of one; "
                "leave --weights out, or take those of another network"
            )
        tables = quant_tables(quality, 3)
        notes.append(_ESTIMATED.format(quality))
    wanted = 1 if model.channels == 1 else 2
    return torch.from_numpy(np.resize(tables, (wanted, 8, 8)))[None]  # gray through a model of colors: one table twice


def _quality(photo: Photo, model: Model, notes: list[str]) -> Tensor | None:
    """What a network of the quality factor is told, (1,): that of the file, else what its pixels tell, else -1."""
    if not model.needs_quality:
        return None
    if photo.tables is not None:
        quality = nearest_quality(photo.tables)[0]
    elif (quality := _estimated(photo)) is not None:
        notes.append(_ESTIMATED.format(quality))
    else:
        quality = UNKNOWN
        notes.append("its quality factor is not known; --qf tells one")
    return torch.tensor([quality])


def _estimated(photo: Photo) -> int | None:
    """The quality factor that the pixels tell, of 8 bits only."""
    return estimate_quality(photo.pixels) if photo.pixels.dtype == np.uint8 else None
