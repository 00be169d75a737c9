"""One image through one model: which channels the network sees, and what becomes of the others.

An image of 8 bits that suits the model goes through it exactly as `powerqe test` takes it: the pixels are the same, if
both hold the result against the JPEG file or neither does.
"""

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from powerqe.inference.channels import check_same_size, in_channels_of
from powerqe.inference.consistency import JPEGFile, consistent
from powerqe.inference.enhance_bands import BandWork, rounded
from powerqe.inference.lazy_image import LazyImage, to_batch
from powerqe.inference.model import Model
from powerqe.net.severity import UNKNOWN
from powerqe.utils.codecs.jpeg_estimate import estimate_quality
from powerqe.utils.codecs.jpeg_tables import nearest_quality, quant_tables
from powerqe.utils.errors import UserError
from powerqe.utils.image.color import luma
from powerqe.utils.image.photo import Photo
from powerqe.utils.image.tensors import to_image, turned, turned_back
from powerqe.utils.memory import check_memory

_STRIP = 128
_BYTES_PER_SAMPLE = 10
"""Memory that the enhancement of an image as a whole takes besides its pixels and the maps of the network."""


@dataclass(frozen=True)
class Enhanced:
    """An image after its enhancement.

    Attributes:
        photo: as it was, with other pixels.
        before: the pixels that it had, turned as these are.
        estimates: the network's estimates, such as the quality factor.
        notes: what the user should know.
    """

    photo: Photo
    before: Photo
    estimates: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def enhance_photo(
    photo: Photo, model: Model, name: str, title: str | None = None, *, in_place: bool = False
) -> Enhanced:
    """Enhance an image of any kind.

    Colors through a model of luma: the luma is enhanced and the chroma stays. Gray through a model of colors: as
    three equal channels, and the mean of what comes out. RGB without any color (R = G = B): as gray, and so it stays.
    Alpha stays; it is enlarged with the image, if the model does that. Colors below an alpha of 0 have no influence on
    others, and stay where the image is not enlarged. 16 bits are computed with as they are.
    What comes from a JPEG file agrees with it, see `consistent`.

    Args:
        name: of the file, in messages.
        title: of a progress bar while it is enhanced in tiles; None: there is none.
        in_place: overwrite the photo's pixels if it is enhanced in tiles; nothing is then as it was `before`.

    Raises:
        UserError: the model is for videos, or needs the tables of a JPEG file and the image shows no trace of one.
    """
    _check_takes_images(model, name)
    if (filled := photo.with_hidden_filled()) is not photo:
        return _with_hidden_back(photo, enhance_photo(filled, model, name, title, in_place=True))
    notes, stored = list(photo.notes), photo
    known = _known(photo.tables, photo.pixels, model, name, notes)
    if photo.format in ("JPEG", "MPO") and "tables" not in known:
        photo = photo.upright(
            copy=False
        )  # as `powerqe test` reads it; tables are of the blocks as they lie in the file
    seen = LazyImage(photo.pixels[..., :1] if photo.is_neutral else photo.pixels, model.channels)
    symmetry = 0 if photo.pixels is stored.pixels else stored.symmetry
    if model.in_tiles(seen, known):
        work = BandWork(stored, seen, symmetry, known, model, title, in_place)
        work.run()
        pixels, estimates = work.pixels, work.estimates
        _note_channels(photo, work.channels, notes)
        notes += work.notes
    else:
        check_memory(_BYTES_PER_SAMPLE * photo.pixels.size)
        pixels, estimates = _enhance_whole(photo, stored, symmetry, seen, known, model, notes)
    alpha = photo.alpha if photo.alpha is None else _enlarged(photo.alpha, pixels)
    return Enhanced(replace(photo, pixels=pixels, alpha=alpha, file=None), photo, estimates, tuple(notes))


def _enhance_whole(
    photo: Photo,
    stored: Photo,
    symmetry: int,
    image: LazyImage,
    known: dict[str, Tensor],
    model: Model,
    notes: list[str],
) -> tuple[np.ndarray, dict[str, float]]:
    """The new pixels and the network's estimates."""
    seen = image.part(slice(None))
    result, estimates = model({"lq": seen, **known})
    if image.pixels.shape[2] < photo.pixels.shape[2]:  # no color in it
        result = result.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    check_same_size(result, seen, photo.pixels.shape[2])
    _note_channels(photo, result.shape[1], notes)
    if stored.file is not None and model.scale == 1 and model.options.consistency != "off":
        result = in_channels_of(to_batch(photo.pixels), result, seen)
        result, note = _consistent(stored, stored.file, result, symmetry, model)
        notes += [note] if note else []
    return _pixels(photo, result, seen), estimates


def _with_hidden_back(photo: Photo, done: Enhanced) -> Enhanced:
    """With the colors below an alpha of 0 as they were, unless the image was enlarged."""
    original = photo if done.photo.orientation == photo.orientation else photo.upright(copy=False)
    pixels = done.photo.pixels
    if original.alpha is None or original.pixels.shape != pixels.shape:
        return done
    for top in range(0, len(pixels), _STRIP):
        rows = slice(top, top + _STRIP)
        pixels[rows] = np.where(original.alpha[rows] == 0, original.pixels[rows], pixels[rows])
    return replace(done, before=done.before.with_pixels(original.pixels))


def enhance_tensor(image: Tensor, model: Model, name: str) -> Tensor:
    """Enhance an image of floats as `enhance_photo` does one of integers, and round nothing.

    Args:
        image: (1, 1 or 3, H, W) float32 in [0, 1], on the CPU.
        name: of the image, in messages.

    Returns:
        (1, 1 or 3, scale H, scale W) float32 in [0, 1].

    Raises:
        UserError: see `enhance_photo`.
    """
    _check_takes_images(model, name)
    if image.shape[1] == 3 and bool((image == image[:, :1]).all()):
        return enhance_tensor(image[:, :1], model, name).repeat(1, 3, 1, 1)
    known = _known(None, to_image(image[0]), model, name, [])
    seen = luma(image) if model.channels < image.shape[1] else image.expand(-1, model.channels, -1, -1).contiguous()
    result, _ = model({"lq": seen, **known})
    result = result.clamp(0, 1)
    if result.shape[1] == image.shape[1]:
        return result
    check_same_size(result, seen, image.shape[1])
    return in_channels_of(image, result, seen).clamp(0, 1)


def _check_takes_images(model: Model, name: str) -> None:
    if model.takes_clips:
        raise UserError(f"{name}: {model.method} ({model.name}) is for videos; choose weights for images")


def _consistent(stored: Photo, data: bytes, result: Tensor, symmetry: int, model: Model) -> tuple[Tensor, str]:
    """A result (1, C, H, W), turned by a symmetry, in agreement with the file, and a note."""
    file, options = JPEGFile(data, stored.pixels), model.options
    image = turned_back(result, symmetry)
    found, note = consistent(file, image, options.consistency, trusted=options.force_enhance)
    return turned(found, symmetry), note


def _note_channels(photo: Photo, channels: int, notes: list[str]) -> None:
    if photo.is_gray and channels == 3:
        notes.append("gray, through weights for color")
    elif not photo.is_gray and channels == 1:
        notes.append("weights for luma: the chroma stays as it was")


def _pixels(photo: Photo, result: Tensor, seen: Tensor) -> np.ndarray:
    """The image's new pixels, of its own kind, out of what the network made of those that it saw.

    In strips: at once it would take twice the memory of everything else.
    """
    height, width = result.shape[-2:]
    pixels = np.empty((height, width, photo.pixels.shape[2]), photo.pixels.dtype)
    for top in range(0, height, _STRIP):
        rows = slice(top, top + _STRIP)
        pixels[rows] = _strip(photo, result[:, :, rows].clamp(0, 1), seen[:, :, rows], rows)
    return pixels


def _strip(photo: Photo, result: Tensor, seen: Tensor, rows: slice) -> np.ndarray:
    if result.shape[1] != photo.pixels.shape[2]:
        result = in_channels_of(to_batch(photo.pixels[rows]), result, seen)
    return rounded(result, photo.pixels.dtype)


def _enlarged(alpha: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    if alpha.shape[:2] == (height, width):
        return alpha
    return cv2.resize(alpha, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, 1)


def _known(
    tables: np.ndarray | None, pixels: np.ndarray, model: Model, name: str, notes: list[str]
) -> dict[str, Tensor]:
    """What the network is conditioned on: the quantization tables of the file, or a quality estimated from the pixels.

    Args:
        tables: those of the file; None if it has none.

    Returns:
        `tables` (1, 2 or 1, 8, 8) or `quality` (1,), -1 if unknown; only what the model needs.
    """
    if not (model.needs_tables or model.needs_quality):
        return {}
    quality = None if tables is None else nearest_quality(tables)[0]
    if quality is None and pixels.dtype == np.uint8 and (quality := estimate_quality(pixels)) is not None:
        notes.append(f"no JPEG file: quality {quality} estimated from its pixels")
    if model.needs_quality:
        if quality is None:
            notes.append("its quality factor is unknown; set it by --qf")
        return {"quality": torch.tensor([UNKNOWN if quality is None else quality])}
    if quality is None:
        raise UserError(
            f"{name}: {model.name} needs the quantization tables of a JPEG file, and no JPEG "
            "compression was found; omit --weights, or use other weights"
        )
    tables = quant_tables(quality, 3) if tables is None else tables
    wanted = 1 if model.channels == 1 else 2  # gray through a model of colors: one table twice
    return {"tables": torch.from_numpy(np.resize(tables, (wanted, 8, 8)))[None]}
