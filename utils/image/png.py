"""The chunks of a PNG file (PNG specification, third edition, 5.3): which are damaged, and which pixels need."""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from powerqe.utils.image.jpeg_stream import Buffer

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST_TEXT = 16 << 20
"""Bytes to which a compressed profile or text may grow."""
_ALL_TEXTS = 64 << 20
_OF_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_DEPTH, _KIND = 24, 25  # where the header has bit depth and color type (11.2.1)
# Chunks with compressed data (11.3.2.3, 11.3.3.3, 11.3.3.4): how many bytes are between keyword and data.
_COMPRESSED = {b"iCCP": 1, b"zTXt": 1, b"iTXt": 2}


class Chunk(NamedTuple):
    """start, end: where it lies in the file, with length and checksum."""

    kind: bytes
    start: int
    end: int
    file: memoryview

    @property
    def content(self) -> memoryview:
        return self.file[self.start + 8 : self.end - 4]

    @property
    def is_sound(self) -> bool:
        """Whether its checksum is right."""
        found = zlib.crc32(self.file[self.start + 4 : self.end - 4])
        return found == struct.unpack_from(">I", self.file, self.end - 4)[0]

    @property
    def is_ancillary(self) -> bool:
        """Whether an image can be shown without it (5.4: bit 5 of the first letter)."""
        return bool(self.kind[0] & 0x20)


def is_png(data: Buffer) -> bool:
    """Whether these bytes begin as a PNG file does."""
    return data[:8] == SIGNATURE


def depth_of(data: Buffer) -> int:
    """Bits of a sample or of an index: 1, 2, 4, 8 or 16."""
    return data[_DEPTH]


def is_gray(data: Buffer) -> bool:
    """Whether the samples are gray, with or without alpha."""
    return data[_KIND] in (0, 4)


def transparent_gray(data: Buffer) -> int | None:
    """The sample of a gray file that is transparent (11.3.1.1), 0 ... 2**depth - 1; None if none is."""
    found = [chunk.content for chunk in chunks(data) if chunk.kind == b"tRNS"]
    if data[_KIND] or not found or len(found[0]) < 2:
        return None
    return struct.unpack_from(">H", found[0])[0] & ((1 << depth_of(data)) - 1)


def damage(data: Buffer) -> str:
    """What is wrong with the chunks that an image cannot do without, or ""."""
    for chunk in chunks(data):
        if not chunk.is_ancillary and not chunk.is_sound:
            return "damaged PNG file (checksum)"
        if chunk.kind == b"IEND":
            return ""
    return "truncated PNG file"


def of_pixels(data: Buffer) -> bytes:
    """The file without the chunks that do not concern its samples."""
    return SIGNATURE + b"".join(data[chunk.start : chunk.end] for chunk in chunks(data) if chunk.kind in _OF_PIXELS)


def readable(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """A file that `damage` finds sound, without ancillary chunks that are damaged or too large to be read.

    Returns:
        The bytes, and a remark for each chunk that was left out.
    """
    left_out, texts = [], 0
    for chunk in chunks(data):
        size = _inflated(chunk)
        if chunk.is_ancillary and not chunk.is_sound:
            left_out.append((chunk, "its checksum is wrong"))
        elif size < 0:
            left_out.append((chunk, "it is damaged"))
        elif size > LARGEST_TEXT or texts + size > _ALL_TEXTS:
            left_out.append((chunk, f"it is larger than {LARGEST_TEXT >> 20} MB"))
        else:
            texts += size
    if not left_out:
        return data, ()
    places = [0, *(place for chunk, _ in left_out for place in (chunk.start, chunk.end)), len(data)]
    parts = [data[start:end] for start, end in zip(places[::2], places[1::2], strict=True)]
    return b"".join(parts), tuple(f"its chunk {chunk.kind.decode('ascii', 'replace')} was left out: {reason}"
                                  for chunk, reason in left_out)  # fmt: skip


def _inflated(chunk: Chunk) -> int:
    """Bytes of a compressed chunk, just above `LARGEST_TEXT` if there are more; -1 if that cannot be known."""
    content = bytes(chunk.content) if chunk.kind in _COMPRESSED else b""
    start = content.find(b"\0") + 1 + _COMPRESSED.get(chunk.kind, 0)
    if chunk.kind == b"iTXt" and content[start - 2 : start - 1] == b"\1":
        start = content.find(b"\0", content.find(b"\0", start) + 1) + 1  # behind language and translated keyword
    elif chunk.kind not in (b"iCCP", b"zTXt"):
        return len(chunk.content) if chunk.kind in (b"tEXt", b"iTXt") else 0
    try:
        return len(zlib.decompressobj().decompress(content[start:], LARGEST_TEXT + 1))
    except zlib.error:
        return -1


def chunks(data: Buffer) -> Iterator[Chunk]:
    """Of a file, up to IEND or to where it is cut off."""
    view, position = memoryview(data), len(SIGNATURE)
    while position + 12 <= len(view):
        (length,) = struct.unpack_from(">I", view, position)
        end = position + 12 + length
        if end > len(view):
            return
        kind = bytes(view[position + 4 : position + 8])
        yield Chunk(kind, position, end, view)
        if kind == b"IEND":
            return
        position = end
