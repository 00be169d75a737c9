"""Image files in and out: 8-bit RGB or gray, (H, W, 3) or (H, W, 1), channel order RGB.

The only module, with utils/codecs/, that uses OpenCV's BGR order.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path
from powerqe.utils.image.color import luma_uint8
from powerqe.utils.image.jpeg_damage import Severity, jpeg_damage
from powerqe.utils.image.jpeg_stream import Buffer, is_jpeg, jpeg_segments
from powerqe.utils.image.library_settings import silent_opencv
from powerqe.utils.memory import is_out_of_memory

Color = Literal["rgb", "y", "any"]

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
SUFFIXES = (".png", *JPEG_SUFFIXES, ".bmp", ".tif", ".tiff", ".webp")

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


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


def decode_image(data: Buffer, color: Color, name: str, *, turned: bool = True) -> np.ndarray:
    """Decode the bytes of an image file like `read_image`; `name` is used in error messages.

    Args:
        turned: carry out the rotation that a camera noted in a JPEG file.
    """
    check_whole(data, name)
    # IMREAD_UNCHANGED shows alpha and depth as they are, but leaves a JPEG file's rotation undone.
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH if is_jpeg(data) else cv2.IMREAD_UNCHANGED
    image = _decoded(data, flags if turned else flags | cv2.IMREAD_IGNORE_ORIENTATION, name)
    channels = 1 if image.ndim == 2 else image.shape[2]
    if image.dtype != np.uint8 or channels not in (1, 3):
        kind = {1: "gray", 3: "RGB", 4: "with an alpha channel"}.get(channels, f"with {channels} channels")
        wanted = "RGB" if color == "rgb" else "gray or RGB"
        raise UserError(f"{name}: found {8 * image.itemsize}-bit {kind}, expected 8-bit {wanted}; convert the file")
    image = image[..., None] if channels == 1 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return in_color(image, color, name)


def decode_deep(data: Buffer, name: str) -> np.ndarray:
    """Decode an image of 16 bits as it is stored.

    Returns:
        uint16 (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA, alpha not multiplied into the colors.

    Raises:
        UserError: truncated or damaged, or of another depth.
    """
    check_whole(data, name)
    image = _decoded(data, cv2.IMREAD_UNCHANGED, name)
    image = image[..., None] if image.ndim == 2 else image
    if image.dtype != np.uint16 or image.shape[2] not in (1, 3, 4):
        kind = f"{8 * image.itemsize}-bit samples of type {image.dtype} in {image.shape[2]} channels"
        raise UserError(f"{name}: found {kind}, expected 16-bit gray or RGB; convert the file")
    codes = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    return cv2.cvtColor(image, codes[image.shape[2]]) if image.shape[2] in codes else image


def check_whole(data: Buffer, name: str) -> None:
    """Raise `UserError` for an empty, truncated or damaged file, as far as the format allows.

    Raises:
        UserError: naming the file.
    """
    if problem := _damage(data):
        raise UserError(f"{name}: {problem}; replace the file")


def _decoded(data: Buffer, flags: int, name: str) -> np.ndarray:
    try:
        with silent_opencv:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if is_out_of_memory(error):
            raise MemoryError(f"{name} does not fit into memory") from None
        image = None
    if image is None:
        raise UserError(f"{name}: not a readable image (truncated, damaged or no image at all); replace the file")
    return image


def in_color(image: np.ndarray, color: Color, name: str) -> np.ndarray:
    """Turn an image as it was stored, (H, W, 1 or 3) uint8, into the format `color` (see `read_image`).

    Raises:
        UserError: a gray image for "rgb"; the message has `name`.
    """
    gray = image.shape[2] == 1
    if color == "rgb" and gray:
        raise UserError(f"{name}: found 8-bit gray, expected 8-bit RGB; use color: y, or convert the file to RGB")
    return luma_uint8(image) if color == "y" and not gray else image


def oriented(image: np.ndarray, symmetry: int) -> np.ndarray:
    """One of the 8 flips and rotations of an (H, W, 1 or 3) uint8 image, or of a part of one.

    Args:
        symmetry: 0 to 7; bit 1 mirrors left-right, then bit 2 up-down, then bit 4 swaps rows and columns.

    Returns:
        A contiguous array: a copy, unless the image is contiguous and the symmetry 0. (NumPy takes 20
        times as long as OpenCV to copy pixels of three bytes in another order.)
    """
    if symmetry & 3:
        image = cv2.flip(image, (1, 0, -1)[(symmetry & 3) - 1]).reshape(image.shape)
    if symmetry & 4:
        image = cv2.transpose(image).reshape(image.shape[1], image.shape[0], image.shape[2])
    return np.ascontiguousarray(image)


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
    if data[:8] == _PNG_SIGNATURE:
        return _png_damage(data)
    if is_jpeg(data) and all(code != 0xD9 for code, _ in jpeg_segments(data)):
        return "truncated JPEG file"
    return ""


def _png_damage(data: Buffer) -> str:
    """Walk the chunks (PNG specification 5.3: length, type, data, CRC of type and data) up to IEND."""
    view, position = memoryview(data), len(_PNG_SIGNATURE)
    while position + 12 <= len(view):
        (length,) = struct.unpack_from(">I", view, position)
        end = position + 12 + length
        if end > len(view):
            break
        if zlib.crc32(view[position + 4 : end - 4]) != struct.unpack_from(">I", view, end - 4)[0]:
            return "damaged PNG file (checksum)"
        if view[position + 4 : position + 8] == b"IEND":
            return ""
        position = end
    return "truncated PNG file"
