"""The one way from the bytes of an image file to its pixels, for data sets as for photographs.

Pillow decodes them. Of what it does wrong or not at all, OpenCV reads 16-bit PNG files and utils/image/tiff.py TIFF
files of 16-bit colors, of associated alpha and others. tests/utils/image/test_decode.py has the kinds one by one.
"""

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from powerqe.utils.errors import UserError
from powerqe.utils.image import png
from powerqe.utils.image.library_settings import pillow_without_limits, silent_opencv
from powerqe.utils.image.orientation import SYMMETRY, oriented
from powerqe.utils.image.tiff import TiffImage, is_tiff, read_samples, tiff_image
from powerqe.utils.image.transparency import unassociated
from powerqe.utils.memory import is_out_of_memory
from powerqe.utils.video.suffixes import is_video

FORMATS = ("JPEG", "MPO", "PNG", "TIFF", "BMP", "WEBP", "GIF", "AVIF", "HEIF", "PPM")
"""Pillow's names of those that are read, as far as it can. Others may start programs (EPS) or unpack before they tell
their size (ICO, ICNS)."""
_LOSSLESS = ("PNG", "BMP", "GIF", "PPM")
"""Those whose files say nothing of a compression."""
VARIABLE = "POWERQE_MAX_PIXELS"
"""Environment variable: pixels that an image may have, instead of `LARGEST`."""
LARGEST = 1 << 28
HUGE = 1 << 26
"""Pixels of an image from which on it is decoded and encoded with as little memory as possible."""
_STRIP = 128

# Pillow's mode -> that to which the pixels are converted.
_MODES = {"1": "L", "L": "L", "LA": "LA", "La": "LA", "P": "RGB", "PA": "RGBA", "RGB": "RGB", "RGBA": "RGBA",
          "RGBa": "RGBA", "RGBX": "RGB", "YCbCr": "RGB"}  # fmt: skip


@dataclass(frozen=True)
class OpenedImage:
    """An image file whose header was read.

    Attributes:
        header: Pillow's image; of TIFF files that it does not know an empty one, with their metadata.
        data: the file, without chunks that cannot be read. name: of it, in messages.
        notes: what was left out, for the user.
        tiff: what a TIFF file holds.
    """

    header: Image.Image
    data: bytes
    name: str
    notes: tuple[str, ...] = ()
    tiff: TiffImage | None = None


@dataclass(frozen=True)
class Pixels:
    """colors: (H, W, 1) gray or (H, W, 3) RGB, uint8 or uint16. alpha: (H, W, 1) of the same type, or None.

    notes: what had to be changed to get these, for the user.
    """

    colors: np.ndarray
    alpha: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def largest() -> int:
    """Pixels that an image may have.

    Raises:
        UserError: the environment has something else there.
    """
    value = os.environ.get(VARIABLE) or str(LARGEST)
    if not value.isascii() or not value.isdigit():
        raise UserError(f"environment variable {VARIABLE}: found {value!r}, expected a number of pixels")
    return int(value)


@contextmanager
def opened(data: bytes, name: str, most: int | None = None) -> Iterator[OpenedImage]:
    """Read the header of an image file; its bytes decide the format.

    Args:
        name: of the file, in messages.
        most: pixels that it may have; None: `largest()`.

    Raises:
        UserError: no image, too many pixels, an animation, several pages, or pixels that are not read; also for
            whatever is found to be damaged inside of the `with`.
    """
    notes: tuple[str, ...] = ()
    try:
        if png.is_png(data):
            data, notes = png.readable(data)
        tiff = tiff_image(data, name) if is_tiff(data) else None
        with pillow_without_limits, _header(data, name, tiff) as header:
            _check_size(header, name, most or largest())
            if tiff is None and header.format != "MPO" and (frames := getattr(header, "n_frames", 1)) > 1:
                raise UserError(f"{name}: holds {frames} frames of an animation, expected one image; split the file")
            yield OpenedImage(header, data, name, notes, tiff)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # parsers raise whatever damaged bytes make them raise
        if is_out_of_memory(error):
            raise MemoryError(f"{name} does not fit into memory") from None
        reason = " ".join(str(error).split())
        raise UserError(f"{name}: not a readable image ({reason}); replace or convert the file") from None


def _header(data: bytes, name: str, tiff: TiffImage | None) -> Image.Image:
    try:
        header = _opened_by_pillow(io.BytesIO(data))
    except UnidentifiedImageError:
        if tiff is not None:
            return _stand_in(tiff, name)
        if is_video(name):
            raise UserError(f"{name}: a video, expected an image; powerqe enhance takes videos, too") from None
        reason = f"no image, or of a format that is not known here; these are {', '.join(FORMATS)}"
        raise UserError(f"{name}: {reason}") from None
    if tiff is not None and tiff.page.index:
        header.seek(tiff.page.index)
    return header


def _opened_by_pillow(file: BinaryIO) -> Image.Image:
    """By one of its common formats; all others are imported, which takes longer than to read an image, only then."""
    Image.preinit()
    try:
        return Image.open(file, formats=[known for known in FORMATS if known in Image.OPEN])
    except UnidentifiedImageError:
        if not Image.init():
            raise
    file.seek(0)
    return _opened_by_pillow(file)


def pixel_count(path: Path) -> int:
    """Pixels of an image file by its header; by the size of a file that Pillow does not know."""
    try:
        with path.open("rb") as file, pillow_without_limits, _opened_by_pillow(file) as header:
            return header.width * header.height
    except Exception:  # whatever damaged bytes make it raise; reading the image tells
        return path.stat().st_size if path.is_file() else 0


def _stand_in(tiff: TiffImage, name: str) -> Image.Image:
    """For a TIFF file that Pillow does not know: no pixels, but its size and its own tags as metadata."""
    if reason := tiff.refusal():
        raise UserError(f"{name}: {reason}, expected gray or RGB of 8 or 16 bits; convert it")
    header, tags = Image.new("L", (0, 0)), tiff.page.tags
    header._size, header.format = (tiff.page.imagewidth, tiff.page.imagelength), "TIFF"
    header.info = {
        "icc_profile": tags.valueof(34675),
        "xmp": tags.valueof(700),
        "dpi": tiff.page.get_resolution("inch"),
    }
    for tag in tags:
        if isinstance(tag.value, str | int):
            header.getexif()[tag.code] = tag.value
    return header


def _check_size(header: Image.Image, name: str, most: int) -> None:
    if header.width * header.height > most:
        raise UserError(f"{name}: {header.width}x{header.height} pixels are more than {most:,}; cut it into parts, or "
                        f"set the environment variable {VARIABLE}")  # fmt: skip


def read_pixels(image: OpenedImage) -> Pixels:
    """The pixels of an opened file, as they are stored: not turned upright, but those of TIFF files always are.

    Raises:
        UserError: floats, more than 16 bits, or pixels that are neither gray nor RGB nor CMYK.
    """
    header = image.header
    if image.tiff is not None:
        return _of_tiff(image, image.tiff)
    if header.format == "PNG" and png.depth_of(image.data) == 16:
        return Pixels(*_deep_png(image))
    if header.format == "PPM" and header.mode == "RGB" and _place_of_samples(header)[2] > 255:
        return Pixels(_deep_ppm(image))
    if header.format in ("AVIF", "HEIF") and (bits := _bits_of_boxes(image.data)) > 8:
        return replace(_by_pillow(header, image.name), notes=(f"its {bits} bits became 8",))
    if header.format == "PNG" and (sample := png.transparent_gray(image.data)) is not None:
        header.info["transparency"] = sample * 255 // ((1 << png.depth_of(image.data)) - 1)  # Pillow scales the rest
    if header.format in ("JPEG", "MPO") and header.mode in ("L", "RGB") and is_huge(header.height, header.width):
        return Pixels(_huge_jpeg(image))
    return _by_pillow(header, image.name)


def is_lossless(image: OpenedImage) -> bool:
    """Whether the file keeps its pixels, whatever became of them before."""
    if image.tiff is not None:
        return image.tiff.is_lossless
    if image.header.format == "WEBP":
        return b"VP8L" in _chunks_of_webp(image.data)
    return image.header.format in _LOSSLESS


def _chunks_of_webp(data: bytes) -> Iterator[bytes]:
    """The kinds of its chunks (RFC 9649, 2.3): VP8L is lossless."""
    place = 12
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, place)
        yield kind
        place += 8 + size + size % 2


def _bits_of_boxes(data: bytes) -> int:
    """Bits of the first sample of an AVIF or HEIF file, by its pixel information (ISO/IEC 23008-12, 6.5.6)."""
    place = data.find(b"pixi") + 9  # behind version, flags and the number of channels
    return data[place] if 9 <= place < len(data) else 8


def _by_pillow(header: Image.Image, name: str) -> Pixels:
    if header.mode == "CMYK":
        return _of_cmyk(header)
    try:
        return converted(header)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def is_huge(height: int, width: int) -> bool:
    """Whether a second copy of so many pixels is one too many."""
    return height * width >= HUGE


def _huge_jpeg(image: OpenedImage) -> np.ndarray:
    """By OpenCV, whose decoder is the same as Pillow's, libjpeg-turbo; Pillow has 4 bytes per pixel and copies them."""
    with silent_opencv:
        pixels = cv2.imdecode(np.frombuffer(image.data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise UserError(f"{image.name}: not a readable image (damaged); replace the file")
    for top in range(0, len(pixels) if pixels.ndim == 3 else 0, _STRIP):
        rows = slice(top, top + _STRIP)
        pixels[rows] = cv2.cvtColor(pixels[rows], cv2.COLOR_BGR2RGB)
    return pixels.reshape(*pixels.shape[:2], -1)


def _is_deep_gray(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


def converted(image: Image.Image) -> Pixels:
    """The pixels of one of Pillow's images.

    Raises:
        UserError: neither gray nor RGB.
    """
    transparent = image.info.get("transparency")
    if _is_deep_gray(image):
        return Pixels(*_with_transparent(np.array(image).astype(np.uint16)[..., None], transparent))
    mode = _MODES.get(image.mode)
    if mode is None:
        raise UserError(f"found {image.mode} pixels, expected gray or RGB; convert them")
    if mode == "L":
        return Pixels(*_with_transparent(_array(image, "L")[..., None], transparent))
    if image.mode in ("La", "RGBa"):
        return _divided(image)
    if transparent is not None and mode == "RGB":
        mode = "RGBA"
    notes = ("its palette became RGB",) if image.mode in ("P", "PA") else ()
    return Pixels(*separated(_array(image, mode)), notes)


def _array(image: Image.Image, mode: str) -> np.ndarray:
    """Its pixels, converted only if need be: that takes as long as a tenth of the decoding."""
    if not is_huge(image.height, image.width):
        return np.array(image if image.mode == mode else image.convert(mode))
    pixels = np.empty((image.height, image.width, *np.array(Image.new(mode, (1, 1))).shape[2:]), np.uint8)
    for top in range(0, image.height, _STRIP):
        strip = image.crop((0, top, image.width, min(top + _STRIP, image.height)))
        pixels[top : top + _STRIP] = np.array(strip if image.mode == mode else strip.convert(mode))
    return pixels


def _divided(image: Image.Image) -> Pixels:
    """Of an image whose colors are multiplied by alpha: Pillow would divide them, rounded down."""
    colors, alpha = separated(np.array(image))
    assert alpha is not None
    return Pixels(unassociated(colors, alpha), alpha)


def _with_transparent(gray: np.ndarray, transparent: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Gray pixels, of which those of one value are transparent (PNG specification 11.3.1.1)."""
    if not isinstance(transparent, int):
        return gray, None
    peak = np.iinfo(gray.dtype).max
    return gray, np.where(gray == transparent, 0, peak).astype(gray.dtype)


def _of_cmyk(image: Image.Image) -> Pixels:
    """In RGB, by the profile of the file if it has one that can be used."""
    profile = image.info.get("icc_profile")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
        target = ImageCms.createProfile("sRGB")
        rgb, how = ImageCms.profileToProfile(image, source, target, outputMode="RGB"), "sRGB by its profile"
    except (OSError, ImageCms.PyCMSError):
        rgb, how = image.convert("RGB"), "RGB without a profile: colors are approximate"
    assert rgb is not None
    return Pixels(np.array(rgb), notes=(f"its CMYK became {how}",))


def separated(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """(H, W, 1 to 4) into colors and alpha."""
    colors = 1 if pixels.shape[2] < 3 else 3
    alpha = np.ascontiguousarray(pixels[..., colors:]) if pixels.shape[2] > colors else None
    return np.ascontiguousarray(pixels[..., :colors]), alpha


def _deep_png(image: OpenedImage) -> tuple[np.ndarray, np.ndarray | None]:
    with silent_opencv:
        pixels = cv2.imdecode(np.frombuffer(png.of_pixels(image.data), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise UserError(f"{image.name}: not a readable image (damaged); replace the file")
    if pixels.ndim == 2:
        return _with_transparent(pixels[..., None], png.transparent_gray(image.data))
    pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return separated(pixels[..., (0, 3)] if png.is_gray(image.data) else pixels)  # OpenCV makes gray with alpha RGBA


def _place_of_samples(header: Image.Image) -> tuple[str, int, int]:
    """Of a PPM file, as Pillow found it: the decoder, where the samples begin, and the value of white."""
    assert isinstance(header, ImageFile.ImageFile)
    decoder, _, start, arguments = header.tile[0]
    return decoder, start, arguments[1] if isinstance(arguments, tuple) else 255


def _deep_ppm(image: OpenedImage) -> np.ndarray:
    """Pillow reads 16 bits of gray only, so the three samples of a pixel become three gray pixels."""
    (width, height), (decoder, start, maximum) = image.header.size, _place_of_samples(image.header)
    kind = b"P2" if decoder == "ppm_plain" else b"P5"
    gray = kind + b" %d %d %d\n" % (3 * width, height, maximum) + image.data[start:]
    with Image.open(io.BytesIO(gray), formats=["PPM"]) as samples:
        return np.array(samples).astype(np.uint16).reshape(height, width, 3)


def _of_tiff(image: OpenedImage, tiff: TiffImage) -> Pixels:
    if reason := tiff.refusal():
        raise UserError(f"{image.name}: {reason}, expected gray or RGB of 8 or 16 bits; convert it")
    notes = ("its previews were left out",) if tiff.previews else ()
    if tiff.unknown:
        notes = (*notes, "its samples of no known meaning were left out")
    if not (tiff.is_for_pillow and isinstance(image.header, ImageFile.ImageFile)):
        symmetry = SYMMETRY.get(image.header.getexif().get(0x0112, 1), 0)
        colors, alpha = read_samples(tiff, image.data, image.name)
        return Pixels(oriented(colors, symmetry), None if alpha is None else oriented(alpha, symmetry), notes)
    found = _associated(image.header) if tiff.is_associated else _by_pillow(image.header, image.name)
    colors, notes = found.colors, (*notes, *found.notes)
    if tiff.bits > 8 and colors.dtype == np.uint8:
        notes = (*notes, f"its {tiff.bits} bits became 8")
    elif tiff.bits > 8:
        colors = _scaled(colors, tiff.bits)
        colors = ~colors if tiff.white_is_zero else colors  # Pillow does it for 8 bits
    return Pixels(colors, found.alpha, notes)


def _associated(header: Image.Image) -> Pixels:
    """With the samples as they are, which Pillow divides by alpha when it reads them."""
    assert isinstance(header, ImageFile.ImageFile)
    header.tile = [tile._replace(args=_as_they_are(tile.args)) for tile in header.tile]
    return _divided(header)


def _as_they_are(arguments: Any) -> Any:
    """Of Pillow's decoder, with the name of the layout of samples that have associated alpha replaced."""
    if isinstance(arguments, tuple):
        return tuple(_as_they_are(each) for each in arguments)
    return "RGBA" if arguments == "RGBa" else arguments


def _scaled(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Samples of 9 to 16 bits to those of 16."""
    peak = (1 << bits) - 1
    return pixels if bits == 16 else ((pixels.astype(np.uint32) * 65535 + peak // 2) // peak).astype(np.uint16)
