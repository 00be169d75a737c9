"""Damage of JPEG files, which decoders fill with gray or wrong blocks without a word (ITU-T T.81).

The code of every block of a sequential file is walked, without its values: where it ends, the data must end, too. A
progressive file is decoded by FFmpeg, and its scans must give every bit of every coefficient. All restart markers must
be there in their order. Files of other kinds (arithmetic codes, 12 bits, CMYK in several scans) are not looked into.
"""

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.image.jpeg_stream import Buffer, jpeg_parts

_DHT, _SOS, _EOI, _DRI = 0xC4, 0xDA, 0xD9, 0xDD
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_RESTART = re.compile(rb"\xff+([\xd0-\xd7])")
_SAMPLINGS = ((1, 1), (2, 1), (1, 2), (2, 2), (4, 1))
"""Of luma where each chroma has one sample, which FFmpeg decodes."""


class Severity(IntEnum):
    """What a damage means for the pixels: NONE, they are all there; WRONG, some are; CUT, the end is missing."""

    NONE = 0
    WRONG = 1
    CUT = 2


class Damage(NamedTuple):
    """The worst damage of a file: how bad, and what it is, in words."""

    severity: Severity
    what: str


@dataclass
class _Component:
    """Of a frame: blocks in a row and in a column of its own scan, and in one MCU of a scan of several components.

    `missing` has for each coefficient the lowest bits that are not there yet; 255: none is.
    """

    across: int
    down: int
    in_mcu: int
    missing: np.ndarray = field(default_factory=lambda: np.full(64, 255))


@dataclass
class _Frame:
    kind: int
    mcus: int
    components: dict[int, _Component]
    samplings: tuple[tuple[int, int], ...]


class _Codes(NamedTuple):
    """Of each 16 bits that may follow: `length | coefficients << 6` of the codes and values that they begin with.

    `dc` and `one` are of one code, `many` of all that are whole. Coefficients are those that are passed, and
    `_ENDED` more if the block ends with them; `_BAD` if there is no such code.
    """

    dc: list[int]
    one: list[int]
    many: list[int]


_ENDED, _BAD = 128, 4096
_KNOWN: dict[tuple[int, int], Damage | None] = {}


def jpeg_damage(data: Buffer) -> Damage | None:
    """The worst damage of a JPEG file, None if there is none. A file is looked at once in a process.

    It takes 0.2 s for each megabyte, and what follows the end marker is no damage.
    """
    key = (len(data), zlib.crc32(data))
    if key not in _KNOWN:
        _KNOWN[key] = max(_damages(data), key=lambda damage: damage.severity, default=None)
    return _KNOWN[key]


def _damages(data: Buffer) -> Iterator[Damage]:
    frame, tables, interval, code = None, {}, 0, 0
    try:
        for code, content, coded in jpeg_parts(memoryview(data)):
            if code == _DHT:
                tables.update(_huffman_codes(bytes(content)))
            elif code == _DRI:
                (interval,) = struct.unpack_from(">H", content)
            elif code in (_BASELINE, _EXTENDED, _PROGRESSIVE):
                frame = _read_frame(code, bytes(content))
            elif code == _SOS and frame:
                yield from _scan_damages(bytes(content), bytes(coded), frame, tables, interval)
    except (IndexError, KeyError, ValueError, struct.error, ZeroDivisionError):
        yield Damage(Severity.WRONG, "a segment is not what it should be")
        return
    if code != _EOI:
        yield Damage(Severity.CUT, "truncated: its end marker is missing")
    elif frame and frame.kind == _PROGRESSIVE:
        yield from _progressive_damages(data, frame)


def _read_frame(kind: int, content: bytes) -> _Frame | None:
    """The frame header (B.2.2); None if it is of 12 bits or has its height elsewhere (DNL)."""
    precision, height, width, count = struct.unpack_from(">BHHB", content)
    if precision != 8 or not height:
        return None
    each = [content[at : at + 3] for at in range(6, 6 + 3 * count, 3)]
    samplings = [(sampling >> 4, sampling & 15) for _, sampling, _ in each]
    widest, tallest = (max(values) for values in zip(*samplings, strict=True))
    components = {}
    for (number, _, _), (across, down) in zip(each, samplings, strict=True):
        samples = -(-width * across // widest), -(-height * down // tallest)
        components[number] = _Component(-(-samples[0] // 8), -(-samples[1] // 8), across * down)
    mcus = -(-width // (8 * widest)) * -(-height // (8 * tallest))
    return _Frame(kind, mcus, components, tuple(samplings))


def _scan_damages(
    header: bytes, coded: bytes, frame: _Frame, tables: dict[int, tuple[bytes, bytes]], interval: int
) -> Iterator[Damage]:
    """Of one scan (B.2.3) and its data."""
    chosen = [(frame.components[header[at]], header[at + 1]) for at in range(1, 1 + 2 * header[0], 2)]
    first, last, bits = header[1 + 2 * header[0] :][:3]
    for component, _ in chosen:
        component.missing[first : last + 1] = bits & 15 if frame.kind == _PROGRESSIVE else 0
    alone = len(chosen) == 1
    mcus = chosen[0][0].across * chosen[0][0].down if alone else frame.mcus
    parts, numbers = _RESTART.split(coded)[::2], _RESTART.findall(coded)
    wanted = -(-mcus // interval) if interval else 1
    in_order = all(number[0] == 0xD0 + at % 8 for at, number in enumerate(numbers))
    if len(parts) != wanted or not in_order:
        severity = Severity.CUT if in_order and len(parts) < wanted else Severity.WRONG
        yield Damage(severity, f"{len(numbers)} restart markers{'' if in_order else ' out of order'} of {wanted - 1}")
    elif frame.kind != _PROGRESSIVE:
        blocks = [_codes_of(tables, choice) for part, choice in chosen for _ in range(1 if alone else part.in_mcu)]
        for number, part in enumerate(parts):
            count = min(interval, mcus - number * interval) if interval else mcus
            yield from _interval_damages(part, blocks, count, number == wanted - 1)


def _interval_damages(part: bytes, blocks: "Sequence[_Codes]", mcus: int, is_last: bool) -> Iterator[Damage]:
    """Of the data up to a restart marker or to the end of the scan."""
    data = part.replace(b"\xff\0", b"\xff")
    size = 8 * len(data)
    used = _walked(data, blocks, mcus)
    if used is None:
        yield Damage(Severity.WRONG, "bad Huffman code")
    elif used > size:
        yield Damage(Severity.CUT if is_last else Severity.WRONG, "its data end before the last block")
    elif extra := (size - used) // 8:
        padding = not data[-extra:].strip(data[-1:]) and data[-1] in (0, 255)
        severity = Severity.NONE if padding else Severity.WRONG
        yield Damage(severity, f"{extra} bytes more than its blocks have")


def _walked(data: bytes, blocks: "Sequence[_Codes]", mcus: int) -> int | None:
    """The bits that so many MCUs have, or a number beyond the data if these end first; None: no Huffman code."""
    size = 8 * len(data)
    padded = np.frombuffer(data + bytes(512), np.uint8)  # a block has at most 64 * 27 bits
    three = padded[:-2].astype(np.uint32)
    for following in (padded[1:-1], padded[2:]):
        three <<= 8
        three |= following
    words = memoryview(three)  # pyright: ignore[reportArgumentType] - an array is a buffer
    position = 0
    for _ in range(mcus):
        for dc, one, many in blocks:
            if position > size:
                return position
            entry = dc[words[position >> 3] >> 8 - (position & 7) & 0xFFFF]
            position += entry & 63
            passed = 1 + (entry >> 6)
            while passed < 64:
                bits = words[position >> 3] >> 8 - (position & 7) & 0xFFFF
                entry = many[bits]
                if not (passed + (entry >> 6) < 64 or _ENDED <= passed + (entry >> 6) < _ENDED + 64):
                    entry = one[bits]  # of many, some are the next block's
                position += entry & 63
                passed += entry >> 6
            if not (passed == 64 or _ENDED < passed < _ENDED + 64):
                return None if position <= size else position
    return position


def _huffman_codes(content: bytes) -> Iterator[tuple[int, tuple[bytes, bytes]]]:
    """Class and number of the tables of a DHT segment (B.2.4.2), their codes of each length, and the symbols."""
    position = 0
    while position < len(content):
        counts = content[position + 1 : position + 17]
        yield content[position], (counts, content[position + 17 : position + 17 + sum(counts)])
        position += 17 + sum(counts)


def _codes_of(tables: dict[int, tuple[bytes, bytes]], choice: int) -> _Codes:
    """As a scan header chooses them."""
    return _Codes(_dc_codes(*tables[choice >> 4]), *_ac_codes(*tables[0x10 | choice & 15]))


@lru_cache(16)
def _dc_codes(counts: bytes, symbols: bytes) -> list[int]:
    lengths, found = _looked_up(counts, symbols)
    return np.where(lengths, lengths + found, _BAD << 6).tolist()


@lru_cache(16)
def _ac_codes(counts: bytes, symbols: bytes) -> tuple[list[int], list[int]]:
    """A symbol is the run of zeros and the size of the value that follows (F.1.2.2); 0 ends the block."""
    lengths, found = _looked_up(counts, symbols)
    bits = lengths + (found & 15)
    passed = np.where(found == 0, _ENDED, (found >> 4) + 1)
    window = np.arange(1 << 16)
    position, total, goes_on = np.zeros_like(window), np.zeros_like(window), np.full(window.shape, True)
    while goes_on.any():
        rest = window << position & 0xFFFF
        goes_on &= (lengths[rest] > 0) & (position + lengths[rest] <= 16)
        position += np.where(goes_on, bits[rest], 0)
        total += np.where(goes_on, passed[rest], 0)
        goes_on &= (position < 16) & (total < 64)
    one = np.where(lengths, bits | passed << 6, _BAD << 6)
    many = np.where(position > 0, position | total << 6, _BAD << 6)
    return one.tolist(), many.tolist()


def _looked_up(counts: bytes, symbols: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Of each 16 bits, the length of the code that they begin with (C.2), 0 if it is none, and its symbol."""
    lengths, found = np.zeros((2, 1 << 16), np.int64)
    start = at = 0
    for length, count in enumerate(counts, 1):
        for symbol in symbols[at : at + count]:
            end = start + (1 << 16 - length)
            lengths[start:end], found[start:end] = length, symbol
            start = end
        at += count
    return lengths, found


def _progressive_damages(data: Buffer, frame: _Frame) -> Iterator[Damage]:
    if any(component.missing.any() for component in frame.components.values()):
        yield Damage(Severity.WRONG, "scans are missing")
    luma, *chroma = frame.samplings
    if set(chroma) <= {(1, 1)} and luma in _SAMPLINGS and len(chroma) in (0, 2) and (problem := _of_ffmpeg(data)):
        yield Damage(Severity.WRONG, problem)


def _of_ffmpeg(data: Buffer) -> str:
    """Why FFmpeg does not decode a file; its application segments are left out, which it reads, too."""
    stream = bytearray(b"\xff\xd8")
    for code, content, coded in jpeg_parts(data):
        if not 0xE0 <= code <= 0xEF:
            stream += bytes([0xFF, code]) + (b"" if code == _EOI else struct.pack(">H", len(content) + 2))
            stream += bytes(content) + (b"" if code == _EOI else bytes(coded))
    from powerqe.utils.video.pyav import pyav

    try:
        av = pyav("looking into progressive JPEG files", "mjpeg")
    except UserError:
        return ""  # they can be read without it
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.options = {"err_detect": "explode"}
    try:
        decoder.decode(av.Packet(bytes(stream)))
    except av.FFmpegError as error:  # others say that it does not know the kind of file
        return "its data do not decode" if isinstance(error, av.InvalidDataError) else ""
    return ""
