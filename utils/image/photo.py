"""Image files of any kind: color modes, transparency, 16 bits, and metadata.

utils/image/io.py reads what networks train on, 8-bit gray or RGB; such pixels are read by it here, too. Of all other
kinds, OpenCV reads 16 bits and Pillow transparency and palettes, each what the other does wrong or not at all.
"""

import io
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from powerqe.utils.codecs.jpeg_tables import read_tables
from powerqe.utils.errors import UserError
from powerqe.utils.image.io import SUFFIXES, check_whole, decode_deep, decode_image, oriented
from powerqe.utils.image.jpeg_damage import Severity, jpeg_damage
from powerqe.utils.image.jpeg_stream import is_jpeg
from powerqe.utils.image.library_settings import pillow_without_limits
from powerqe.utils.image.metadata import Metadata, read_metadata
from powerqe.utils.video.container import SUFFIXES as VIDEO_SUFFIXES

PHOTO_SUFFIXES = (*SUFFIXES, ".gif", ".avif")
"""Of the files that are taken for images when a folder is searched; a file that is named may have any other."""
LARGEST = 1 << 30
"""Pixels; OpenCV reads no more."""

# EXIF orientation -> number of the symmetry (powerqe.utils.image.io.oriented) that turns the stored image upright.
_SYMMETRY = {1: 0, 2: 1, 3: 3, 4: 2, 5: 4, 6: 6, 7: 7, 8: 5}
# Pillow's mode -> that to which the pixels are converted.
_MODES = {"1": "L", "L": "L", "LA": "LA", "La": "LA", "P": "RGB", "PA": "RGBA", "RGB": "RGB", "RGBA": "RGBA",
          "RGBa": "RGBA", "RGBX": "RGB", "YCbCr": "RGB"}  # fmt: skip
_PLAIN = ("JPEG", "MPO", "PNG", "TIFF", "BMP", "WEBP")
"""Formats whose 8-bit gray and RGB pixels the data sets read, too, so here they are the same."""
_PNG_DEPTH, _PNG_KIND = 24, 25  # where its header has bit depth and color type (PNG specification 11.2.1)


@dataclass(frozen=True)
class Photo:
    """An image file in memory.

    Attributes:
        pixels: (H, W, 1) gray or (H, W, 3) RGB, uint8 or uint16, as stored: not turned upright yet.
        alpha: (H, W, 1) of the same type; None if the file has none.
        orientation: EXIF orientation, 1 to 8.
        metadata: EXIF, ICC profile, XMP and texts of the file.
        format: Pillow's name of it, such as JPEG.
        tables: the quantization tables of a JPEG file, see `read_tables`; None for other formats and invalid tables.
        notes: what had to be changed to get this, for the user.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    orientation: int = 1
    metadata: Metadata = field(default_factory=Metadata)
    format: str = "PNG"
    tables: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_gray(self) -> bool:
        return self.pixels.shape[2] == 1

    @property
    def peak(self) -> int:
        """The value of white: 255 or 65535."""
        return np.iinfo(self.pixels.dtype).max

    def with_pixels(self, pixels: np.ndarray) -> "Photo":
        """The same with other pixels of the same kind; the tables are not theirs."""
        return replace(self, pixels=pixels, tables=None)

    def upright(self) -> "Photo":
        """The image rotated by its orientation; the tables no longer fit its pixels then."""
        pixels, alpha, tables = self.pixels, self.alpha, self.tables
        if symmetry := _SYMMETRY[self.orientation]:
            pixels, tables = oriented(pixels, symmetry), None
            alpha = None if alpha is None else oriented(alpha, symmetry)
        height, width = pixels.shape[:2]
        metadata = self.metadata.upright(width, height)
        return replace(self, pixels=pixels, alpha=alpha, orientation=1, tables=tables, metadata=metadata)


def read_photo(path: str | os.PathLike[str], name: str | None = None, largest: int = LARGEST) -> Photo:
    """Read an image file; its content decides the format, not its name.

    Args:
        name: of the file in messages; None: its path.
        largest: pixels that it may have.

    Raises:
        UserError: missing, empty, truncated or damaged; no image at all; an animation or several pages; CMYK or
            another kind of pixels that is not gray or RGB; more than `largest` pixels. The message names the file.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {name or path}: {error.strerror}") from None
    return decode_photo(data, name or str(path), largest)


def decode_photo(data: bytes, name: str, largest: int = LARGEST) -> Photo:
    """Decode the bytes of an image file like `read_photo`; `name` is used in error messages."""
    check_whole(data, name)
    try:
        photo = _decoded(data, name, largest)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # Pillow's parsers raise whatever damaged bytes make them raise
        raise UserError(f"{name}: not a readable image ({' '.join(str(error).split())}); replace the file") from None
    if not is_jpeg(data):
        return photo
    if damage := jpeg_damage(data):
        if damage.severity is Severity.CUT:
            raise UserError(f"{name}: damaged JPEG file ({damage.what}); replace the file")
        photo = replace(photo, notes=(*photo.notes, f"damaged JPEG file: {damage.what}"))
    try:
        return replace(photo, tables=read_tables(data, name))
    except UserError as error:
        note = f"its JPEG tables are not usable ({str(error).removeprefix(f'{name}: ')})"
        return replace(photo, notes=(*photo.notes, note))


def _decoded(data: bytes, name: str, largest: int) -> Photo:
    """Without tables."""
    with pillow_without_limits, _opened(data, name) as image:  # `LARGEST` is looked at before anything is unpacked
        _check(image, data, name, largest)
        metadata = read_metadata(image, data)
        notes = ["its palette became RGB"] if image.mode in ("P", "PA") else []
        if metadata.left_out:
            notes.append(f"left out: {', '.join(metadata.left_out)}")
        pixels, alpha = _pixels(image, data, name)
        return Photo(pixels, alpha, metadata.orientation, metadata, str(image.format), notes=tuple(notes))


def _opened(data: bytes, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        if Path(name).suffix.lower() in (*VIDEO_SUFFIXES, ".yuv"):
            raise UserError(f"{name}: a video, expected an image; powerqe enhance takes videos, too") from None
        raise UserError(f"{name}: no image, or of a format that is not known here; replace or convert it") from None


def _check(image: Image.Image, data: bytes, name: str, largest: int) -> None:
    pages = getattr(image, "n_frames", 1)
    if pages > 1 and image.format != "MPO":  # of which the others are previews
        what = "pages" if image.format == "TIFF" else "frames of an animation"
        raise UserError(f"{name}: holds {pages} {what}, expected one image; split the file")
    if image.width * image.height > largest:
        raise UserError(f"{name}: {image.width}x{image.height} pixels are more than {largest:,}; cut it into parts")
    if image.mode not in _MODES and not _is_deep(image, data):
        hint = "convert it to sRGB by its profile" if image.mode == "CMYK" else "convert it"
        raise UserError(f"{name}: found {image.mode} pixels, expected gray or RGB; {hint}")


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """Whether the file has 16 bits, which Pillow's mode shows for gray only."""
    if image.format == "TIFF":
        tags = image.getexif()
        bits, kind = tags.get(ExifTags.Base.BitsPerSample, 1), tags.get(339, 1)  # 339: SampleFormat, 1 is unsigned
        return _all_equal(bits, 16) and _all_equal(kind, 1)
    return image.mode.startswith("I;16") or (image.format == "PNG" and data[_PNG_DEPTH] == 16)


def _all_equal(value: object, wanted: int) -> bool:
    return all(each == wanted for each in (value if isinstance(value, tuple) else (value,)))


def _pixels(image: Image.Image, data: bytes, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """(H, W, 1 or 3), and alpha (H, W, 1)."""
    if _is_deep(image, data):
        pixels = decode_deep(data, name)
        gray = image.format == "PNG" and data[_PNG_KIND] == 4  # gray with alpha, which OpenCV makes RGBA
        return separated(pixels[..., (0, 3)] if gray else pixels)
    if image.format in _PLAIN and image.mode in ("L", "RGB") and "transparency" not in image.info:
        return decode_image(data, "any", name, turned=False), None
    return converted(image)


def converted(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """The pixels of one of Pillow's images, as in `Photo`: (H, W, 1 or 3), and alpha (H, W, 1), if it has any.

    Raises:
        UserError: neither gray nor RGB, such as CMYK.
    """
    if image.mode.startswith("I;16"):
        return np.array(image).astype(np.uint16)[..., None], None
    mode = _MODES.get(image.mode)
    if mode is None:
        raise UserError(f"found {image.mode} pixels, expected gray or RGB; convert them")
    if "transparency" in image.info and not mode.endswith("A"):
        mode += "A"
    pixels = np.array(image.convert(mode))
    return separated(pixels if pixels.ndim == 3 else pixels[..., None])


def separated(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """(H, W, 1 to 4) into colors and alpha."""
    colors = 1 if pixels.shape[2] < 3 else 3
    alpha = np.ascontiguousarray(pixels[..., colors:]) if pixels.shape[2] > colors else None
    return np.ascontiguousarray(pixels[..., :colors]), alpha
