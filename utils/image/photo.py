"""Photographs: image files of any kind that utils/image/decode.py reads, with transparency, 16 bits and metadata."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from powerqe.utils.codecs.jpeg_tables import read_tables
from powerqe.utils.errors import UserError
from powerqe.utils.image.decode import is_lossless, opened, read_pixels
from powerqe.utils.image.io import SUFFIXES, check_whole
from powerqe.utils.image.jpeg_damage import Severity, jpeg_damage
from powerqe.utils.image.jpeg_stream import is_jpeg
from powerqe.utils.image.metadata import Metadata, read_metadata
from powerqe.utils.image.orientation import SYMMETRY, oriented, oriented_view
from powerqe.utils.image.transparency import with_hidden_filled

PHOTO_SUFFIXES = (*SUFFIXES, ".gif", ".avif", ".ppm", ".pgm", ".pnm")
"""Of the files that are taken for images when a folder is searched; a file that is named may have any other."""
_STRIP = 128


@dataclass(frozen=True)
class Photo:
    """An image file in memory.

    Attributes:
        pixels: (H, W, 1) gray or (H, W, 3) RGB, uint8 or uint16, as stored: not turned upright yet.
        alpha: (H, W, 1) of the same type; None if the file has none.
        orientation: EXIF orientation, 1 to 8.
        metadata: EXIF, ICC profile, XMP and texts of the file.
        format: Pillow's name of it, such as JPEG.
        is_lossless: whether its format keeps the pixels, so that the file says nothing of a compression.
        tables: the quantization tables of a JPEG file, see `read_tables`; None for other formats and invalid tables.
        file: the bytes of a whole JPEG file, whose coefficients say more than the pixels; None for others.
        notes: what had to be changed to get this, for the user.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    orientation: int = 1
    metadata: Metadata = field(default_factory=Metadata)
    format: str = "PNG"
    is_lossless: bool = False
    tables: np.ndarray | None = None
    file: bytes | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_gray(self) -> bool:
        return self.pixels.shape[2] == 1

    @property
    def is_neutral(self) -> bool:
        """Whether it is gray, or RGB without any color that can be seen."""
        pixels = with_hidden_filled(self.pixels, self.alpha)
        strips = (pixels[top : top + _STRIP] for top in range(0, len(pixels), _STRIP))  # most images end at the first
        return all(bool((strip == strip[..., :1]).all()) for strip in strips)

    def with_hidden_filled(self) -> "Photo":
        """With the nearest visible color wherever alpha is 0; itself if these are there already."""
        pixels = with_hidden_filled(self.pixels, self.alpha)
        return self if pixels is self.pixels or np.array_equal(pixels, self.pixels) else replace(self, pixels=pixels)

    @property
    def peak(self) -> int:
        """The value of white: 255 or 65535."""
        return np.iinfo(self.pixels.dtype).max

    @property
    def symmetry(self) -> int:
        """The number of the symmetry (`powerqe.utils.image.io.oriented`) that turns the image upright."""
        return SYMMETRY[self.orientation]

    def with_pixels(self, pixels: np.ndarray) -> "Photo":
        """The same with other pixels of the same kind; the tables and the file are not theirs."""
        return replace(self, pixels=pixels, tables=None, file=None)

    def upright(self, *, copy: bool = True) -> "Photo":
        """The image rotated by its orientation; the tables and the file no longer fit its pixels then.

        Args:
            copy: the pixels, which are contiguous then; else they are a view.
        """
        pixels, alpha, tables, file = self.pixels, self.alpha, self.tables, self.file
        if symmetry := self.symmetry:
            turn = oriented if copy else oriented_view
            pixels, tables, file = turn(pixels, symmetry), None, None
            alpha = None if alpha is None else turn(alpha, symmetry)
        height, width = pixels.shape[:2]
        metadata = self.metadata.upright(width, height)
        return replace(self, pixels=pixels, alpha=alpha, orientation=1, tables=tables, file=file, metadata=metadata)


def read_photo(path: str | os.PathLike[str], name: str | None = None, largest: int | None = None) -> Photo:
    """Read an image file; its content decides the format, not its name.

    Args:
        name: of the file in messages; None: its path.
        largest: pixels that it may have; None: those of `powerqe.utils.image.decode.largest`.

    Raises:
        UserError: missing, empty, truncated or damaged; no image of a format that is read; an animation or several
            pages; pixels that are neither gray nor RGB nor CMYK, or of floats; too many. The message names the file.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {name or path}: {error.strerror}") from None
    return decode_photo(data, name or str(path), largest)


def decode_photo(data: bytes, name: str, largest: int | None = None) -> Photo:
    """Decode the bytes of an image file like `read_photo`; `name` is used in error messages."""
    check_whole(data, name)
    with opened(data, name, largest) as file:
        metadata, is_cmyk = read_metadata(file.header, file.data), file.header.mode == "CMYK"
        metadata = replace(metadata, icc=b"") if is_cmyk else metadata  # the pixels are sRGB now
        found = read_pixels(file)
        left_out = (f"left out: {', '.join(metadata.left_out)}",) if metadata.left_out else ()
        photo = Photo(found.colors, found.alpha, metadata.orientation, metadata, str(file.header.format),
                      is_lossless(file), notes=(*file.notes, *found.notes, *left_out))  # fmt: skip
    if not is_jpeg(data):
        return photo
    if damage := jpeg_damage(data):
        if damage.severity is Severity.CUT:
            raise UserError(f"{name}: damaged JPEG file ({damage.what}); replace the file")
        photo = replace(photo, notes=(*photo.notes, f"damaged JPEG file: {damage.what}"))
    if is_cmyk:
        return photo
    try:
        return replace(photo, tables=read_tables(data, name), file=None if damage else data)
    except UserError as error:
        note = f"its JPEG tables are not usable ({str(error).removeprefix(f'{name}: ')})"
        return replace(photo, notes=(*photo.notes, note))
