"""TIFF files beyond what Pillow reads: 16-bit colors, planes, associated alpha, samples of no known meaning.

TIFF 6.0, sections 3 to 8 (kinds of pixels) and 18 (ExtraSamples). tifffile, which scikit-image brings along, tells what
a file holds and gives its samples as they are; codecs that it lacks without imagecodecs, such as LZW, OpenCV has for
16-bit colors.
"""

import io
import logging
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.image.library_settings import silent_opencv
from powerqe.utils.image.transparency import unassociated

if TYPE_CHECKING:
    from tifffile import TiffPage

_WHITE_IS_ZERO, _GRAY, _RGB, _YCBCR = 0, 1, 2, 6  # PhotometricInterpretation
_READ = {_WHITE_IS_ZERO, _GRAY, _RGB, 3, 5, _YCBCR}  # with palette and CMYK
_ASSOCIATED, _UNASSOCIATED = 1, 2  # ExtraSamples
_UNSIGNED = 1  # SampleFormat
_UNCOMPRESSED, _LOSSY = 1, {6, 7, 34892, 50001}  # Compression; JPEG of three kinds and WebP


def is_tiff(data: bytes) -> bool:
    """Whether these bytes begin as a TIFF or BigTIFF file does."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class TiffImage:
    """The one image of a TIFF file. previews: how many reduced copies and masks are beside it."""

    page: "TiffPage"
    previews: int

    @property
    def bits(self) -> int:
        """Of a sample; 0 if they differ."""
        found = self.page.tags.valueof(258, 1)
        all_of_them = set(found) if isinstance(found, tuple) else {found}
        return all_of_them.pop() if len(all_of_them) == 1 else 0

    @property
    def colors(self) -> int:
        """Samples of a pixel without the extra ones; 0 if it has a palette or is CMYK."""
        return {_WHITE_IS_ZERO: 1, _GRAY: 1, _RGB: 3, _YCBCR: 3}.get(int(self.page.photometric), 0)

    @property
    def extra(self) -> list[int]:
        """Kinds of the extra samples."""
        return [int(kind) for kind in self.page.extrasamples]

    @property
    def is_associated(self) -> bool:
        """Whether colors are multiplied by alpha, the only extra sample."""
        return self.extra == [_ASSOCIATED]

    @property
    def unknown(self) -> int:
        """Extra samples that are no transparency."""
        return sum(kind not in (_ASSOCIATED, _UNASSOCIATED) for kind in self.extra)

    @property
    def white_is_zero(self) -> bool:
        return int(self.page.photometric) == _WHITE_IS_ZERO

    @property
    def is_ycbcr(self) -> bool:
        return int(self.page.photometric) == _YCBCR

    @property
    def is_lossless(self) -> bool:
        """Whether its compression keeps the pixels."""
        return int(self.page.compression) not in _LOSSY

    @property
    def has_plain_samples(self) -> bool:
        """Whether they are gray or colors as such, in whole bytes."""
        return self.colors > 0 and self.bits in (8, 16)

    @property
    def is_for_pillow(self) -> bool:
        """Whether Pillow reads all of it: most of 8 bits and fewer, 16-bit gray, and YCbCr that is compressed."""
        if self.is_ycbcr:
            return int(self.page.compression) != _UNCOMPRESSED
        if not self.has_plain_samples:
            return True
        if self.colors == 1:
            return not self.extra or (self.bits == 8 and self.extra == [_UNASSOCIATED])
        return self.bits == 8 and (
            _ASSOCIATED not in self.extra or (self.is_associated and self.page.planarconfig == 1)
        )

    def refusal(self) -> str:
        """Why it is not read, or ""."""
        kind, photometric = self.page.sampleformat, self.page.photometric
        if int(photometric) not in _READ:
            return f"found {getattr(photometric, 'name', photometric)} pixels"
        if (kind is not None and int(kind) != _UNSIGNED) or self.bits not in (1, 2, 4, 8, 12, 16):
            what = {2: "signed integers", 3: "floats"}.get(int(kind or 1), "samples")
            return f"found {what} of {self.bits or 'different'} bits"
        return ""


def tiff_image(data: bytes, name: str) -> TiffImage:
    """Find the one image of a file; reduced copies and masks of it (NewSubfileType) do not count.

    Raises:
        UserError: several images.
        ValueError: none, as other errors of tifffile.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it would print what is wrong with a file
    pages = [page.aspage() for page in tifffile.TiffFile(io.BytesIO(data)).pages]
    full = [page for page in pages if not page.is_reduced and not page.is_mask] or pages
    if not pages:
        raise ValueError("a TIFF file without a page")
    if len(full) != 1:
        raise UserError(f"{name}: holds {len(full)} pages, expected one image; split the file")
    return TiffImage(full[0], len(pages) - 1)


def read_samples(image: TiffImage, data: bytes, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """What is not for Pillow, or what it does not know, not turned.

    Returns:
        (H, W, 1 or 3) uint8 or uint16, and alpha (H, W, 1), if there is any; colors not multiplied by it.

    Raises:
        UserError: neither library can unpack it.
    """
    samples = _samples(image, data) if image.has_plain_samples else None
    if samples is None:
        raise _cannot_read(image, name)
    pixels, alpha = np.ascontiguousarray(samples[..., : image.colors]), None
    for place, kind in enumerate(image.extra):
        if alpha is None and kind in (_ASSOCIATED, _UNASSOCIATED):
            alpha = np.ascontiguousarray(samples[..., image.colors + place, None])
            pixels = unassociated(pixels, alpha) if kind == _ASSOCIATED else pixels
    return ~pixels if image.white_is_zero else pixels, alpha


def _cannot_read(image: TiffImage, name: str) -> UserError:
    """That no library can unpack it."""
    page, planes = image.page, " in planes" if image.page.planarconfig == 2 else ""
    compression = getattr(page.compression, "name", page.compression)
    samples = f"{page.samplesperpixel} sample{'s' * (page.samplesperpixel > 1)}"
    kind = f"{samples} of {image.bits} bits{planes}, compression {compression}"
    return UserError(f"{name}: TIFF files of {kind}, are not read; save it without compression or as PNG")


def _samples(image: TiffImage, data: bytes) -> np.ndarray | None:
    """(H, W, S) as in the file; None if no library can unpack it."""
    page, kind = image.page, np.dtype(f"u{image.bits // 8}")
    shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
    if image.is_ycbcr:
        return _by_opencv(page, data, kind, shape)  # it turns them into RGB
    try:
        array = page.asarray().astype(kind, copy=False)
    except (ValueError, ImportError, NotImplementedError) as error:
        if not isinstance(error, ImportError) and "imagecodecs" not in str(error):  # it is damaged
            raise
        return _by_opencv(page, data, kind, shape) if image.bits == 16 and page.planarconfig == 1 else None
    return np.moveaxis(array.reshape(shape[2], *shape[:2]), 0, -1) if page.planarconfig == 2 else array.reshape(shape)


def _by_opencv(page: "TiffPage", data: bytes, kind: np.dtype, shape: tuple[int, ...]) -> np.ndarray | None:
    """16-bit colors, which it takes as they are; those of 8 bits it multiplies by alpha. And it turns them upright."""
    orientation, stored = page.tags.get(274), bytearray(data)
    if orientation is not None:
        struct.pack_into(f"{page.parent.byteorder}H", stored, orientation.valueoffset, 1)
    with silent_opencv:
        array = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_UNCHANGED) if page.index == 0 else None
    if array is None or array.dtype != kind or array.shape != shape:
        return None
    return cv2.cvtColor(array, cv2.COLOR_BGR2RGB if shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
