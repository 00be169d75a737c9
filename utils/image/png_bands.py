"""A PNG file that is written in bands, of which only one is there besides the pixels; of a huge image."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from powerqe.utils.image.png import SIGNATURE
from powerqe.utils.image.png_metadata import png_chunk

_ROWS = 64
_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Channels -> color type (PNG specification, third edition, 11.2.1)."""
_SUB = 1


def png_header(height: int, width: int, channels: int, depth: int) -> bytes:
    """The signature and the header chunk of a file without interlacing; `depth` in bits."""
    header = struct.pack(">IIBBBBB", width, height, depth, _COLOR_TYPES[channels], 0, 0, 0)
    return SIGNATURE + png_chunk(b"IHDR", header)


def png_bands(pixels: np.ndarray, alpha: np.ndarray | None = None) -> Iterator[bytes]:
    """The chunks behind the header and the metadata.

    Args:
        pixels: (H, W, 1 or 3) uint8 or uint16, of any strides. alpha: (H, W, 1), or None.
    """
    packer = zlib.compressobj(1, strategy=zlib.Z_RLE)
    for top in range(0, len(pixels), _ROWS):
        rows = slice(top, top + _ROWS)
        band = pixels[rows] if alpha is None else np.concatenate([pixels[rows], alpha[rows]], axis=2)
        yield _data(packer.compress(_filtered(band)))
    yield _data(packer.flush()) + png_chunk(b"IEND", b"")


def _filtered(band: np.ndarray) -> bytes:
    """Each byte less that of the pixel to the left (9.2: Sub), and the number of the filter before each row."""
    height, step = band.shape[0], band.shape[2] * band.itemsize
    samples = np.ascontiguousarray(band, band.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    lines = np.empty((height, 1 + samples.shape[1]), np.uint8)
    lines[:, 0], lines[:, 1 : 1 + step] = _SUB, samples[:, :step]
    np.subtract(samples[:, step:], samples[:, :-step], out=lines[:, 1 + step :])
    return lines.tobytes()


def _data(packed: bytes) -> bytes:
    return png_chunk(b"IDAT", packed) if packed else b""
