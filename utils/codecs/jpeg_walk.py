"""From code to code through a Huffman-coded scan of a JPEG file (ITU-T T.81, annexes C and F).

Where a code begins is known only when the one before it is read, so one loop in Python has to walk from code to code;
it does nothing else. What each position would mean if a code began there is looked up for all positions of a chunk at
once before, and values are taken from the positions that were walked to at once afterwards.
"""

import re
from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from powerqe.utils.codecs.jpeg_tables import damaged_jpeg
from powerqe.utils.image.jpeg_stream import Buffer

COEFFICIENTS = 64
_RESTART = re.compile(rb"\xff+[\xd0-\xd7]")
_PADDING = 64
"""Bytes of zeros behind the data, for codes that reach beyond its end; that they did is noticed afterwards."""
_CHUNK = 1 << 17
"""Bytes of which all bit positions are looked up at once."""
_MARGIN = 1 << 12
"""Bytes that one unit takes at most: 10 blocks of 64 codes of 16 + 11 bits."""
END_OF_BLOCK = COEFFICIENTS << 5  # as a step, see `HuffmanTable.steps`


class HuffmanTable:
    """A Huffman table, looked up by the next 16 bits.

    Args:
        counts: number of codes of 1 to 16 bits. symbols: what they mean, in the order of the codes (B.2.4.2).

    Attributes:
        symbols: uint8 (65536,). lengths: uint8 (65536,), bits of the code; 0 if there is no such code.
    """

    def __init__(self, counts: Sequence[int], symbols: Sequence[int]) -> None:
        self.symbols, self.lengths = np.zeros(1 << 16, np.uint8), np.zeros(1 << 16, np.uint8)
        lengths = np.repeat(np.arange(1, 17), counts)
        ends = np.cumsum(1 << (16 - lengths))
        if len(lengths) != len(symbols) or (len(ends) and ends[-1] > 1 << 16):
            raise damaged_jpeg("an impossible Huffman table")
        used = int(ends[-1]) if len(ends) else 0
        self.symbols[:used] = np.repeat(np.array(symbols, np.uint8), 1 << (16 - lengths))
        self.lengths[:used] = np.repeat(lengths, 1 << (16 - lengths))

    def dc_steps(self) -> np.ndarray:
        """uint16 (65536,): bits to the next code, after those of the value."""
        return np.maximum(self.lengths + (self.symbols & 15), 1).astype(np.uint16)

    def ac_steps(self, *, progressive: bool) -> np.ndarray:
        """uint16 (65536,): bits to the next code, and 32 times by how many coefficients it lies ahead.

        That is `END_OF_BLOCK` for the end of a block and for codes that do not exist.

        Args:
            progressive: the end of a block may stand for many blocks, whose number follows (G.1.2.2).
        """
        run, size = (self.symbols >> 4).astype(np.uint16), (self.symbols & 15).astype(np.uint16)
        ends = (size == 0) & (run < 15)
        bits = np.maximum(self.lengths + np.where(ends, run if progressive else 0, size), 1)
        return (bits + np.where(ends | (self.lengths == 0), END_OF_BLOCK, (run + 1) << 5)).astype(np.uint16)


class BlockPlan(NamedTuple):
    """A component in a scan.

    coefficients: int16 (blocks, 64) of the whole component in the order of the file's zigzag, which the scan fills.
    units: (units, blocks of it per unit), which blocks each unit holds, in the scan's order.
    dc, ac: its tables, None if the scan needs none.
    """

    coefficients: np.ndarray
    units: np.ndarray
    dc: HuffmanTable | None
    ac: HuffmanTable | None


class Spectrum(NamedTuple):
    """Which coefficients a scan holds, first to last, and which of their bits: those above `high` are known."""

    first: int
    last: int
    high: int
    low: int


class ScanData:
    """The data of a scan without stuffed bytes, its restart intervals one after another.

    Attributes:
        starts, ends: in bits, of each interval.
    """

    def __init__(self, data: Buffer) -> None:
        parts = [part.replace(b"\xff\x00", b"\xff") for part in _RESTART.split(bytes(data))]
        sizes = np.array([len(part) for part in parts])
        self.ends = [int(end) * 8 for end in np.cumsum(sizes)]
        self.starts = [0, *self.ends[:-1]]
        self._bytes = np.frombuffer(b"".join(parts) + bytes(_PADDING), np.uint8)

    def windows(self, first: int, count: int) -> np.ndarray:
        """uint16 (8 x bytes,): the 16 bits from each position on, of at most `count` bytes from byte `first`."""
        part = self._bytes[first : first + count + 2].astype(np.uint32)
        three = (part[:-2] << 16) | (part[1:-1] << 8) | part[2:]
        return (three[:, None] >> np.arange(8, 0, -1, dtype=np.uint32)).astype(np.uint16).ravel()


class Progress:
    """Where the walk through a scan is: chunk after chunk, and in each from restart to restart.

    Attributes:
        unit: the next one. at: position of its code, in bits from the beginning of the chunk.
        limit: position from which on the next chunk is needed. pending: blocks that the last end of band still covers.
        restarts: units before which a restart marker stands, and 0.
    """

    limit = 8 * (_CHUNK - _MARGIN)

    def __init__(self, source: ScanData, count: int, interval: int) -> None:
        self.source, self.count, self.restarts = source, count, range(0, count, interval or count)
        self.unit = self.at = self.pending = self._base = self._restart = 0
        if len(source.starts) < len(self.restarts):
            raise damaged_jpeg("a restart marker is missing")

    def chunks(self) -> Iterator[np.ndarray]:
        """The windows of each chunk, see `ScanData.windows`."""
        while self.unit < self.count:
            position = self._base + self.at
            self._base = position & ~7
            self.at = position - self._base
            yield self.source.windows(self._base >> 3, _CHUNK)
        self._check_end()

    def spans(self) -> Iterator[int]:
        """Up to which unit there is no restart, as long as the chunk lasts."""
        while self.unit < self.count:
            if self._restart < len(self.restarts) and self.unit == self.restarts[self._restart]:
                self._check_end()
                self.at, self.pending = self.source.starts[self._restart] - self._base, 0
                self._restart += 1
            if self.at >= self.limit:
                return
            yield self.restarts[self._restart] if self._restart < len(self.restarts) else self.count

    def _check_end(self) -> None:
        if self._restart and self._base + self.at > self.source.ends[self._restart - 1]:
            raise damaged_jpeg("the code of the pixels is cut off")


def needed(table: HuffmanTable | None) -> HuffmanTable:
    if table is None:
        raise damaged_jpeg("a scan without its Huffman table")
    return table


def quick(values: np.ndarray) -> array:
    return array("H", values.tobytes())


def store_others(
    plan: BlockPlan, windows: np.ndarray, symbols: np.ndarray, blocks: np.ndarray, before: int, low: int
) -> None:
    """Take the values of coefficients other than means.

    Args:
        symbols: positions of their codes. blocks: of each code, the codes of a block together.
        before: the coefficient before the first of a block.
    """
    found, at = looked_up(needed(plan.ac), windows, symbols)
    size = found & 15
    advance = (found >> 4).astype(np.int64) + 1  # what comes behind an end of block does not count
    total = np.cumsum(advance)
    begins = np.flatnonzero(np.diff(blocks, prepend=-1))
    earlier = (total - advance)[begins].repeat(np.diff(np.append(begins, len(blocks))))
    k, has_value = total - earlier + before, size > 0
    if (k[has_value] >= COEFFICIENTS).any():
        raise damaged_jpeg("a block of more than 64 coefficients")
    values = values_at(windows, at[has_value], size[has_value])
    plan.coefficients[blocks[has_value], k[has_value]] = values << low


def looked_up(table: HuffmanTable, windows: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The symbols at positions, and where they end."""
    codes = windows[positions]
    lengths = table.lengths[codes]
    if not lengths.all():
        raise damaged_jpeg("an invalid Huffman code")
    return table.symbols[codes], positions + lengths


def values_at(windows: np.ndarray, positions: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The numbers of `sizes` bits at positions, negative if the first bit is 0 (F.2.2.1)."""
    sizes = sizes.astype(np.int32)
    values = windows[positions].astype(np.int32) >> (16 - sizes)
    return np.where(values < (1 << sizes) >> 1, values - (1 << sizes) + 1, values)
