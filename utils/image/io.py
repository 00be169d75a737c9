"""Image files in and out: 8-bit RGB or gray, (H, W, 3) or (H, W, 1), channel order RGB.

The only module, with utils/codecs/, that uses OpenCV's BGR order.
"""

import os
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path
from powerqe.utils.image import png
from powerqe.utils.image.color import luma_uint8
from powerqe.utils.image.decode import opened, read_pixels
from powerqe.utils.image.jpeg_damage import Severity, jpeg_damage
from powerqe.utils.image.jpeg_stream import Buffer, is_jpeg, jpeg_segments
from powerqe.utils.image.library_settings import silent_opencv
from powerqe.utils.image.metadata import read_metadata
from powerqe.utils.image.orientation import SYMMETRY, oriented

Color = Literal["rgb", "y", "any"]

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
SUFFIXES = (".png", *JPEG_SUFFIXES, ".bmp", ".tif", ".tiff", ".webp")


def use_one_thread() -> None:
    """Keep OpenCV to the calling thread, for worker processes of which there are as many as cores."""
    cv2.setNumThreads(0)


def list_images(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """The image files of a folder: stem -> path, sorted by stem. No file is opened.

    Any known suffix in any case counts; hidden files do not.

    Raises:
        UserError: no such folder, no image in it, or two images with the same stem.
    """
    try:
        paths = list(Path(folder).iterdir())
    except OSError as error:
        raise UserError(f"cannot read the image folder {folder}: {error.strerror}; check the path") from None
    found: dict[str, Path] = {}
    for path in paths:
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            first, second = sorted((found[path.stem].name, path.name))
            raise UserError(f"{folder} holds two images called {path.stem}: {first} and {second}; keep one of them")
        found[path.stem] = path
    if not found:
        raise UserError(f"no image in {folder} ({len(paths)} other files); it needs files *{' *'.join(SUFFIXES)}")
    return dict(sorted(found.items()))


def read_image(path: str | os.PathLike[str], color: Color = "rgb") -> np.ndarray:
    """Read an 8-bit image file.

    Args:
        path: the file; its content decides the format, not its suffix. The rotation that a camera noted
            in a JPEG file (EXIF) is carried out.
        color: "rgb": the file must be RGB. "y": a gray file as it is, or the luma of an RGB file
            (BT.601 studio range, rounded). "any": gray or RGB as stored.

    Returns:
        uint8 (H, W, 3) or (H, W, 1).

    Raises:
        UserError: missing, truncated or damaged file; alpha channel, more than 8 bits, or a gray file
            for "rgb". The message names the file.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the image {path}: {error.strerror}") from None
    if is_jpeg(data) and (damage := jpeg_damage(data)) and damage.severity > Severity.NONE:
        raise UserError(f"{path}: damaged JPEG file ({damage.what}); replace the file")
    return decode_image(data, color, str(path))


def decode_image(data: Buffer, color: Color, name: str) -> np.ndarray:
    """Decode the bytes of an image file like `read_image`; `name` is used in error messages."""
    check_whole(data, name)
    with opened(bytes(data), name) as file:
        found = read_pixels(file)
        is_plain = file.header.format == "JPEG" and not {"exif", "xmp"} & file.header.info.keys()
        orientation = 1 if is_plain else read_metadata(file.header, file.data).orientation  # takes as long as decoding
    image = found.colors
    if image.dtype != np.uint8 or found.alpha is not None:
        kind = "gray" if image.shape[2] == 1 else "RGB"
        kind += "" if found.alpha is None else " with an alpha channel"
        wanted = "RGB" if color == "rgb" else "gray or RGB"
        raise UserError(f"{name}: found {8 * image.itemsize}-bit {kind}, expected 8-bit {wanted}; convert the file")
    return in_color(oriented(image, SYMMETRY[orientation]), color, name)


def check_whole(data: Buffer, name: str) -> None:
    """Raise `UserError` for an empty, truncated or damaged file, as far as the format allows.

    Raises:
        UserError: naming the file.
    """
    if problem := _damage(data):
        raise UserError(f"{name}: {problem}; replace the file")


def in_color(image: np.ndarray, color: Color, name: str) -> np.ndarray:
    """Turn an image as it was stored, (H, W, 1 or 3) uint8, into the format `color` (see `read_image`).

    Raises:
        UserError: a gray image for "rgb"; the message has `name`.
    """
    gray = image.shape[2] == 1
    if color == "rgb" and gray:
        raise UserError(f"{name}: found 8-bit gray, expected 8-bit RGB; use color: y, or convert the file to RGB")
    return luma_uint8(image) if color == "y" and not gray else image


def write_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write a uint8 (H, W, 3) RGB or (H, W, 1) gray image; the suffix chooses the format.

    The file appears whole or not at all.

    Raises:
        UserError: a suffix that is no image format.
    """
    data = encode_image(image, Path(path).suffix)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def encode_image(image: np.ndarray, suffix: str = ".png", *, effort: int | None = None) -> bytes:
    """The bytes of an image file (see `write_image`); `effort` 0 ... 9 is the compression level of a PNG file."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3) or image.size == 0:
        raise ValueError(f"an image is uint8 (H, W, 1 or 3), not {image.dtype} {image.shape}")
    if suffix.lower() not in SUFFIXES:
        raise UserError(f"cannot write an image as {suffix or 'a file without suffix'}; use {' '.join(SUFFIXES)}")
    if image.shape[2] == 3:
        image = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    try:
        options = [] if effort is None else [cv2.IMWRITE_PNG_COMPRESSION, effort]
        with silent_opencv:
            suffix = ".jpg" if suffix.lower() in JPEG_SUFFIXES else suffix  # OpenCV knows fewer
            done, data = cv2.imencode(suffix, np.ascontiguousarray(image), options)
    except cv2.error:
        done, data = False, np.empty(0)
    if not done:  # for example larger than the format allows
        raise UserError(f"cannot write an image of {image.shape[1]}x{image.shape[0]} pixels as {suffix}; use .png")
    return data.tobytes()


def _damage(data: Buffer) -> str:
    """What is wrong with the bytes, or "". Some OpenCV versions fill up truncated files without a word."""
    if not data:
        return "the file is empty"
    if png.is_png(data):
        return png.damage(data)
    if is_jpeg(data) and all(code != 0xD9 for code, _ in jpeg_segments(data)):
        return "truncated JPEG file"
    return ""
