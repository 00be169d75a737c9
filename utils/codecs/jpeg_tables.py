"""Quantization tables of JPEG: those of libjpeg's quality factors, and those stored in a file.

A table holds the 8x8 steps by which the DCT coefficients of a block were divided before they were rounded, here in
natural order: row by row, the mean's step first, horizontal frequencies along a row.
"""

import os
import struct
from pathlib import Path

import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.image.jpeg_stream import Buffer, is_jpeg, jpeg_segments

# ITU-T T.81 annex K, tables K.1 and K.2: the steps of quality factor 50.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_CORNER = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))  # all others are 99

ZIG_ZAG = sorted(np.ndindex(8, 8), key=lambda at: (sum(at), at[sum(at) % 2 == 0]))
"""Row and column of each entry of a table or block in a file (figure A.6): along the diagonals, upwards on the even
ones, downwards on the odd ones."""

DHT, DQT, DRI, SOS, END = 0xC4, 0xDB, 0xDD, 0xDA, 0xD9
_NO_FRAMES = (DHT, 0xC8, 0xCC)  # 0xC8 is reserved, 0xCC the settings of the arithmetic coder
_FRAMES = [code for code in range(0xC0, 0xD0) if code not in _NO_FRAMES]
_SUPPORTED = (0xC0, 0xC1, 0xC2)  # baseline, extended sequential, progressive; all with Huffman codes
_LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF, 0xF7)  # the last is JPEG-LS
_ARITHMETIC = 0xC9
"""The frames from here on have arithmetic codes."""


def quant_tables(quality: int, channels: int) -> np.ndarray:
    """The tables that libjpeg makes for a quality factor, as all programs that build upon it do.

    Args:
        quality: 1 (worst) to 100.
        channels: 3 for color, 1 for gray.

    Returns:
        float32 (2, 8, 8), luma and chroma; of gray (1, 8, 8). Steps 1 to 255, natural order.

    Raises:
        UserError: no such quality factor.
    """
    if not 1 <= quality <= 100:
        raise UserError(f"found quality factor {quality}, JPEG has 1 to 100")
    chroma = np.full((8, 8), 99)
    chroma[:4, :4] = _CHROMA_CORNER
    base = np.stack([np.array(_LUMA), chroma])[: 1 if channels == 1 else 2]
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((base * percent + 50) // 100).clip(1, 255).astype(np.float32)


def nearest_quality(tables: np.ndarray) -> tuple[int, bool]:
    """The quality factor of libjpeg whose table for luma is next to that of a file, and whether it is the same table.

    Next in the mean ratio of the steps, for programs that have tables of their own (cameras, Photoshop). 1 to 100; of
    several with the same table the highest.

    Args:
        tables: (1 or 2, 8, 8), luma first, see `read_tables`.
    """
    log_steps = np.log(tables[0])
    distances = [float(np.abs(log_steps - np.log(quant_tables(quality, 1)[0])).mean()) for quality in range(100, 0, -1)]
    nearest = int(np.argmin(distances))
    return 100 - nearest, distances[nearest] < 1e-6


def read_tables(file: str | os.PathLike[str] | Buffer, name: str | None = None) -> np.ndarray:
    """The tables with which a JPEG file was made.

    Each component of the image names its table; where a file defines a table more than once, the definition before
    the first scan of the component counts (ITU-T T.81, B.2.4.1).

    Args:
        file: its path, or its bytes.
        name: of the file in messages, when these are bytes.

    Returns:
        float32 (2, 8, 8), the tables of the first and of the second component (luma and chroma, unless the file
        holds RGB); of a gray image (1, 8, 8). Natural order.

    Raises:
        UserError: no such file, no JPEG, truncated or damaged, or of a kind that is not supported: lossless,
            hierarchical, with arithmetic codes, of more than 8 bits, or neither gray nor of three components.
    """
    if isinstance(file, (str, os.PathLike)):
        name = name or str(file)
        try:
            file = Path(file).read_bytes()
        except OSError as error:
            raise UserError(f"cannot read the JPEG file {name}: {error.strerror}; check the path") from None
    try:
        return _tables_of(file)
    except UserError as error:
        raise UserError(f"{name or 'JPEG data'}: {error}") from None


def _tables_of(data: Buffer) -> np.ndarray:
    if not is_jpeg(data):
        raise UserError("no JPEG file, so it names no quantization tables")
    defined: dict[int, np.ndarray] = {}
    selectors: dict[int, int] = {}  # of the frame: component -> number of its table
    used: dict[int, np.ndarray] = {}  # component -> its table, fixed by its first scan
    code = 0
    for code, content in jpeg_segments(data):
        if code == DQT:
            defined.update(read_definitions(content))
        elif is_frame(code):
            selectors = read_frame(code, content)
        elif code == SOS:
            for component in read_scan(content):
                number = selectors.get(component, -1)
                if number not in defined:
                    raise damaged_jpeg(f"component {component} is coded before its quantization table is defined")
                used.setdefault(component, defined[number])
    if code != END:
        raise UserError("truncated JPEG file; replace it")
    wanted = list(selectors)[:2]
    if not wanted or not all(component in used for component in wanted):
        raise damaged_jpeg("no frame, or a component without a scan")
    tables = np.stack([used[component] for component in wanted])
    if not tables.all():
        raise damaged_jpeg("a quantization step of 0")
    return tables.astype(np.float32)


def is_frame(code: int) -> bool:
    """Whether a marker begins a frame, of any kind of JPEG."""
    return code == 0xF7 or code in _FRAMES


def read_definitions(content: Buffer) -> dict[int, np.ndarray]:
    """The tables of a DQT segment (B.2.4.1): one or several, with entries of 8 or 16 bits."""
    found, position = {}, 0
    while position < len(content):
        size, number = 1 + (content[position] >> 4), content[position] & 15
        entries = content[position + 1 : position + 1 + 64 * size]
        if size > 2 or len(entries) < 64 * size:
            raise damaged_jpeg("a quantization table is cut off")
        table = np.zeros((8, 8), np.int64)
        table[tuple(zip(*ZIG_ZAG, strict=True))] = struct.unpack(">64B" if size == 1 else ">64H", entries)
        found[number] = table
        position += 1 + 64 * size
    return found


def read_frame(code: int, content: Buffer) -> dict[int, int]:
    """The components of a frame header (B.2.2), in their order, each with the number of its table."""
    if code in _LOSSLESS:
        raise UserError("found a lossless JPEG, which has no quantization tables; expected a lossy one")
    if code >= _ARITHMETIC:
        raise UserError("found a JPEG with arithmetic codes, expected Huffman codes; convert it: jpegtran -optimize")
    if code not in _SUPPORTED:
        raise UserError("found a hierarchical JPEG, expected a baseline or progressive one; convert it")
    if len(content) < 6 or len(content) < 6 + 3 * content[5]:
        raise damaged_jpeg("the frame header is cut off")
    if content[0] != 8:
        raise UserError(f"found a JPEG of {content[0]} bits, expected 8; convert it")
    count = content[5]
    if count not in (1, 3):
        kind = " (CMYK)" if count == 4 else ""
        raise UserError(f"found a JPEG of {count} components{kind}, expected gray (1) or color (3); convert it")
    selectors = {content[at]: content[at + 2] for at in range(6, 6 + 3 * count, 3)}
    if len(selectors) < count:
        raise damaged_jpeg("two components of one number")
    return selectors


def read_scan(content: Buffer) -> list[int]:
    """The components of a scan header (B.2.3)."""
    count = content[0] if content else 0
    if not count or len(content) < 1 + 2 * count:
        raise damaged_jpeg("a scan header is cut off")
    return [content[at] for at in range(1, 1 + 2 * count, 2)]


def damaged_jpeg(why: str) -> UserError:
    return UserError(f"damaged JPEG file ({why}); replace it")
