"""The segments of a JPEG file (ITU-T T.81 annex B)."""

import re
import struct
from collections.abc import Iterator

Buffer = bytes | bytearray | memoryview

_JPEG_SIGNATURE = b"\xff\xd8\xff"
# A marker inside the entropy-coded data: 0xFF not followed by a stuffed 0 or a restart marker.
_JPEG_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
_SOS, _EOI = 0xDA, 0xD9


def is_jpeg(data: Buffer) -> bool:
    """Whether these bytes begin as a JPEG file does."""
    return data[:3] == _JPEG_SIGNATURE


def jpeg_segments(data: Buffer) -> Iterator[tuple[int, Buffer]]:
    """The marker code and the content of each segment of a JPEG file, in their order.

    Segments are walked by their length, the pixels' code behind a scan header (0xDA) is searched for the next
    marker. Only of a whole file the last code is the end marker, 0xD9; the last bytes alone are not sufficient: an
    embedded preview has an end marker too, and cameras append data.
    """
    return ((code, content) for code, content, _ in jpeg_parts(data))


def jpeg_parts(data: Buffer) -> Iterator[tuple[int, Buffer, Buffer]]:
    """As `jpeg_segments`; the third is the entropy-coded data behind a scan header, and behind the end marker all
    that follows it. Empty for others."""
    position = 2
    while marker := _JPEG_MARKER.search(data, position):
        code, position = data[marker.end() - 1], marker.end()
        if code == _EOI:
            yield code, b"", data[position:]
            return
        if code == 0x01:  # all others that can occur here carry a length
            continue
        if position + 2 > len(data):
            return
        end = position + struct.unpack_from(">H", data, position)[0]
        content, position, coded = data[position + 2 : end], end, b""
        if code == _SOS:
            following = _JPEG_MARKER.search(data, end)
            position = following.start() if following else len(data)
            coded = data[end:position]
        yield code, content, coded
