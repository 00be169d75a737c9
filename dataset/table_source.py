"""Quantization tables of compressed images, read from JPEG files or estimated from pixels."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from powerqe.dataset.sources import ImageSource
from powerqe.utils.codecs.jpeg_estimate import DIP, QUALITIES, last_compression
from powerqe.utils.codecs.jpeg_tables import quant_tables, read_tables
from powerqe.utils.codecs.pillow import orientation
from powerqe.utils.errors import UserError
from powerqe.utils.image.jpeg_stream import is_jpeg


class Tables:
    """The quantization tables of images, float32 (2, 8, 8), or (1, 8, 8) if they are read as gray.

    Args:
        how: "file": read from each JPEG file. "estimate": those of libjpeg for the quality factor estimated from the
            pixels (half a second). Both are done once per image.

    Raises:
        UserError: a store and "file".
    """

    def __init__(self, how: Literal["file", "estimate"], sources: Sequence[ImageSource], channels: int) -> None:
        self._how, self._channels = how, channels
        self._found: dict[str, np.ndarray] = {}
        for source in sources:
            if how == "file" and source.is_store:
                raise UserError(
                    f"tables: file: {source.path} is a store, which holds pixels and no tables; give lq the folder of "
                    "JPEG files, or tables: estimate"
                )

    def of(self, source: ImageSource, stem: str, stored: np.ndarray) -> np.ndarray:
        """The tables of an image.

        Args:
            stored: the whole image as it is stored, uint8 (H, W, 1 or 3).

        Raises:
            UserError: no JPEG file, one that cannot be read, or with an EXIF rotation; no quality estimated.
        """
        where = source.where(stem)
        if where not in self._found:
            self._found[where] = _of_file(source, stem) if self._how == "file" else _estimated(stored, where)
        return self._found[where][: 1 if self._channels == 1 else 2]


def _of_file(source: ImageSource, stem: str) -> np.ndarray:
    data, name = source.content(stem), source.where(stem)
    if not is_jpeg(data):
        raise UserError(f"{name} is no JPEG file, so it names no tables; tables: estimate guesses them from the pixels")
    tables = read_tables(data, name)
    if orientation(data) != 1:
        raise UserError(f"{name}: its EXIF orientation rotates the image and its blocks; rotate it with jpegtran")
    return tables


def _estimated(stored: np.ndarray, name: str) -> np.ndarray:
    dip = last_compression(stored)  # it was a JPEG, so a dip is none by chance
    if dip.depth < DIP:
        raise UserError(
            f"{name}: no trace of JPEG with a quality factor of {QUALITIES[0]} to {QUALITIES[-1]} whose blocks begin "
            "at its top left pixel; leave it out, or give the JPEG files and tables: file"
        )
    return quant_tables(dip.quality, 3)
