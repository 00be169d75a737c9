"""Camera data (EXIF, CIPA DC-008): what concerns the pixels is changed in place, the rest stays byte for byte."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

PREFIX = b"Exif\0\0"
"""Before the TIFF structure in a JPEG file, and wrongly in others."""
_ORIENTATION, _EXIF, _INTEROPERABILITY = 0x0112, 0x8769, 0xA005
_THUMBNAIL, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_WIDTHS, _HEIGHTS = (0x0100, 0xA002, 0x1001), (0x0101, 0xA003, 0x1002)
"""Tags of the size in the main directory, in that of the camera and in that of interoperability."""
_NUMBERS = {1: "B", 3: "H", 4: "I"}


class _Entry(NamedTuple):
    """Of a directory: its place, and the value if it is one number."""

    place: int
    tag: int
    kind: int
    value: int | None


def orientation_of(exif: bytes) -> int | None:
    """How the camera was held (tag 0x0112): 1, the image is as it is stored, to 8. None if it does not say."""
    order, first = _start(exif)
    found = [entry.value for entry in _entries(exif, order, first) if entry.tag == _ORIENTATION]
    return found[0] if found and found[0] in range(1, 9) else None


def settled(exif: bytes, width: int, height: int) -> bytes:
    """The camera data of an image that was turned upright and enhanced: orientation 1, its size, no old thumbnail."""
    changed = bytearray(exif)
    order, start = _start(exif)
    main = list(_entries(exif, order, start))
    camera = list(_directory(exif, order, main, _EXIF))
    for entry in (*main, *camera, *_directory(exif, order, camera, _INTEROPERABILITY)):
        wanted = {_ORIENTATION: 1, **dict.fromkeys(_WIDTHS, width), **dict.fromkeys(_HEIGHTS, height)}.get(entry.tag)
        if wanted and entry.value is not None:  # as 32 bits: a size may have grown
            struct.pack_into(f"{order}HI", changed, entry.place + 2, 4, 1)
            struct.pack_into(f"{order}I", changed, entry.place + 8, wanted)
            if wanted < 1 << 16:
                struct.pack_into(f"{order}HIHH", changed, entry.place + 2, 3, 1, wanted, 0)
    following = start + 2 + 12 * len(main)
    if main and following == len(exif):  # some programs end here, but readers want to be told that nothing follows
        changed += bytes(4)
    if main and following + 4 <= len(exif):
        (thumbnail,) = struct.unpack_from(f"{order}I", exif, following)
        _erase(changed, {entry.tag: entry.value or 0 for entry in _entries(exif, order, thumbnail)})
        changed[following : following + 4] = bytes(4)
    return bytes(changed)


def _erase(changed: bytearray, thumbnail: dict[int, int]) -> None:
    start = thumbnail.get(_THUMBNAIL, 0)
    end = start + thumbnail.get(_THUMBNAIL_LENGTH, 0)
    if 8 <= start < end <= len(changed):
        changed[start:end] = bytes(end - start)


def _start(exif: bytes) -> tuple[str, int]:
    """The byte order, "<" or ">", and where the main directory lies; 0 if this is no EXIF."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4], "")
    return (order, struct.unpack_from(f"{order}I", exif, 4)[0]) if order and len(exif) >= 8 else ("<", 0)


def _directory(exif: bytes, order: str, entries: list[_Entry], tag: int) -> Iterator[_Entry]:
    """The directory to which an entry leads."""
    for entry in entries:
        if entry.tag == tag and entry.value:
            yield from _entries(exif, order, entry.value)


def _entries(exif: bytes, order: str, start: int) -> Iterator[_Entry]:
    """Of the directory at `start`, as far as it lies in the data; of none if it begins outside of them."""
    if not 8 <= start <= len(exif) - 2:
        return
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    for place in range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind, length = struct.unpack_from(f"{order}HHI", exif, place)
        number = _NUMBERS.get(kind) if length == 1 else None
        yield _Entry(place, tag, kind, struct.unpack_from(order + number, exif, place + 8)[0] if number else None)
