"""Writing an image with its transparency, its 16 bits and its metadata: PNG keeps all, other formats what they can."""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path
from powerqe.utils.image.decode import is_huge
from powerqe.utils.image.exif import PREFIX
from powerqe.utils.image.io import JPEG_SUFFIXES, encode_image
from powerqe.utils.image.library_settings import silent_opencv
from powerqe.utils.image.metadata import Metadata
from powerqe.utils.image.photo import Photo
from powerqe.utils.image.png_bands import png_bands, png_header
from powerqe.utils.image.png_metadata import png_chunk
from powerqe.utils.image.write_metadata import fitted, jpeg_segments_of, with_png_chunks

JPEG_QUALITY = 95
"""Quality of lossy results, with artifacts far below those removed."""

FORMATS = {".png": "PNG", **dict.fromkeys(JPEG_SUFFIXES, "JPEG"), ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF",
           ".bmp": "BMP"}  # fmt: skip
"""What can be written: suffix -> Pillow's name of the format."""
_DEEP, _ALPHA = ("PNG",), ("PNG", "WEBP", "TIFF")


def misfit(photo: Photo, suffix: str) -> str:
    """Why a format cannot hold an image, in words; empty if it can."""
    file_format = FORMATS[suffix.lower()]
    if photo.pixels.dtype == np.uint16 and file_format not in _DEEP:
        return f"{file_format} is not written with 16 bits"
    if photo.alpha is not None and file_format not in _ALPHA:
        return f"{file_format} has no transparency"
    return ""


def losses(photo: Photo, suffix: str) -> str:
    """What of its metadata a file will not hold, in words; empty if it holds them all."""
    file_format = FORMATS[suffix.lower()]
    _, lost = fitted(photo.metadata, file_format, _colors(photo, file_format))
    return f"{file_format} does not hold its {', '.join(lost)}" if lost else ""


def _colors(photo: Photo, file_format: str) -> int:
    """1 if the pixels of the file are gray, else 3."""
    return 1 if photo.is_gray and file_format != "WEBP" else 3


def write_photo(path: str | os.PathLike[str], photo: Photo) -> None:
    """Write an image, turned upright; the suffix chooses the format. The file appears whole or not at all.

    PNG and BMP are lossless, and so are WEBP and TIFF here; JPEG has quality 95 without subsampled chroma. WEBP knows
    no gray, which becomes RGB there. TIFF is not compressed: with compression, Pillow loses the camera data.

    Raises:
        UserError: a suffix that is not in `FORMATS`, or an image that the format cannot hold (see `misfit`).
        OSError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"cannot write an image as {path.name}; use {' '.join(FORMATS)}")
    if reason := misfit(photo, path.suffix):
        raise UserError(f"cannot write {path}: {reason}; use .png")
    if FORMATS[path.suffix.lower()] == "PNG" and is_huge(*photo.pixels.shape[:2]):
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.writelines(_png_in_bands(photo.upright(copy=False)))
        return
    data = encode_photo(photo, path.suffix)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def encode_photo(photo: Photo, suffix: str = ".png") -> bytes:
    """The bytes of a file, see `write_photo`."""
    photo, file_format = photo.upright(), FORMATS[suffix.lower()]
    metadata, _ = fitted(photo.metadata, file_format, _colors(photo, file_format))
    if file_format == "PNG":
        return with_png_chunks(_png(photo), metadata)
    return _by_pillow(photo, file_format, metadata)


def _png(photo: Photo) -> bytes:
    """Without metadata; of 8-bit gray and RGB pixels the file that `powerqe.utils.image.io.write_image` makes."""
    if photo.pixels.dtype == np.uint8 and photo.alpha is None:
        return encode_image(photo.pixels)
    pixels = joined(photo)
    if pixels.shape[2] == 2:
        return _gray_alpha_png(pixels)
    codes = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    stored = cv2.cvtColor(pixels, codes[pixels.shape[2]]) if pixels.shape[2] in codes else pixels
    with silent_opencv:
        done, data = cv2.imencode(".png", stored)
    if not done:
        raise _cannot_write(photo, "PNG", "too large")
    return data.tobytes()


def _png_in_bands(photo: Photo) -> Iterator[bytes]:
    metadata, _ = fitted(photo.metadata, "PNG", _colors(photo, "PNG"))
    height, width, channels = photo.pixels.shape
    yield with_png_chunks(
        png_header(height, width, channels + (photo.alpha is not None), 8 * photo.pixels.itemsize), metadata
    )
    yield from png_bands(photo.pixels, photo.alpha)


def _gray_alpha_png(pixels: np.ndarray) -> bytes:
    """A PNG file of (H, W, 2), which OpenCV cannot write at all and Pillow not with 16 bits; each row less the last."""
    height, width, _ = pixels.shape
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    up = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))  # filter 2 of the PNG specification, 9.2
    lines = np.concatenate([np.full((height, 1), 2, np.uint8), up], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, 4, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def _by_pillow(photo: Photo, file_format: str, metadata: Metadata) -> bytes:
    pixels = joined(photo)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    found = {"icc_profile": metadata.icc, "dpi": metadata.dpi, "exif": metadata.exif and PREFIX + metadata.exif}
    if file_format == "TIFF":
        found["exif"] = _tiff_tags(metadata)
    else:
        found["xmp"] = metadata.xmp
    options = {name: value for name, value in found.items() if value}
    return _saved(image, file_format, photo, **_options(file_format, metadata), **options)


def _options(file_format: str, metadata: Metadata) -> dict[str, Any]:
    return {
        "JPEG": {"quality": JPEG_QUALITY, "subsampling": 0, "extra": jpeg_segments_of(metadata)},
        "WEBP": {"lossless": True, "exact": True},  # exact: colors under full transparency stay
    }.get(file_format, {})


def _tiff_tags(metadata: Metadata) -> Image.Exif | None:
    """Camera data, XMP (tag 700) and IPTC (33723) in the one directory of a TIFF file."""
    tags = Image.Exif()
    if metadata.exif:
        tags.load(PREFIX + metadata.exif)
    for tag, content in ((700, metadata.xmp), (33723, metadata.iptc)):
        if content:
            tags[tag] = content
    return tags if len(tags) else None


def joined(photo: Photo) -> np.ndarray:
    """(H, W, 1 to 4), alpha last."""
    return photo.pixels if photo.alpha is None else np.concatenate([photo.pixels, photo.alpha], axis=2)


def _saved(image: Image.Image, file_format: str, photo: Photo, **options: Any) -> bytes:
    file = io.BytesIO()
    try:
        image.save(file, file_format, **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise _cannot_write(photo, file_format, error) from None
    return file.getvalue()


def _cannot_write(photo: Photo, file_format: str, reason: object) -> UserError:
    height, width = photo.pixels.shape[:2]
    return UserError(f"cannot write an image of {width}x{height} pixels as {file_format}: {reason}; use .png")
