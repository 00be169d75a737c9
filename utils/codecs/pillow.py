"""Image formats that Pillow encodes and decodes."""

import io

import numpy as np
from PIL import Image, features

from powerqe.utils.codecs.codec import too_large
from powerqe.utils.errors import UserError
from powerqe.utils.image.jpeg_stream import Buffer
from powerqe.utils.image.library_settings import pillow_without_limits


def require(feature: str, codec: str) -> None:
    """Raise `UserError` when this Pillow was built without a feature."""
    if feature not in features.get_supported():
        raise UserError(
            f"{codec} needs a Pillow that was built with it, and Pillow {Image.__version__} here was not; "
            "install a newer one: pip install -U pillow"
        )


def orientation(data: Buffer) -> int:
    """How a camera noted that a JPEG image is to be turned (EXIF, tag 0x0112): 1, as it is stored, to 8."""
    with pillow_without_limits:
        return Image.open(io.BytesIO(data), formats=("JPEG", "MPO")).getexif().get(0x0112, 1)


def encode(image: np.ndarray, file_format: str, **options: int | str | list[int] | list[list[int]]) -> bytes:
    """The bytes of an image in a format, see `compress`."""
    file = io.BytesIO()
    try:
        _pillow_image(image).save(file, file_format, **options)
    except (OSError, ValueError, RuntimeError) as error:  # each format has its own way
        raise too_large(file_format, image, error) from None
    return file.getvalue()


def compress(
    image: np.ndarray, file_format: str, **options: int | str | list[int] | list[list[int]]
) -> tuple[np.ndarray, int]:
    """Write an image in a format and read it back, see `Codec.compress`.

    Formats without gray images get three equal channels; their luma is the result.

    Args:
        image: uint8 (H, W, 1 or 3).
        file_format: Pillow's name of it.
        options: what Pillow's writer of that format takes.
    """
    data = encode(image, file_format, **options)
    with pillow_without_limits:
        decoded = Image.open(io.BytesIO(data)).convert(_pillow_image(image).mode)
        return np.array(decoded).reshape(image.shape), len(data)


def _pillow_image(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
