"""How the metadata of an image get into a file, and which of them a format cannot hold."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from powerqe.utils.image.color_description import description_in_words, kind_of_profile
from powerqe.utils.image.iptc import PHOTOSHOP, resources_of
from powerqe.utils.image.metadata import Metadata
from powerqe.utils.image.png_metadata import COMMENT, RAW_PROFILE, TEXTS, XMP, png_chunk

_SIGNATURE_AND_HEADER = 8 + 25
_METRE = 39.37007874  # inches
_APP13, _COM = 0xED, 0xFE
_SEGMENT = (1 << 16) - 3
"""Bytes that one segment of a JPEG file holds."""
_NAMES = {"icc": "color profile", "exif": "camera data", "xmp": "XMP", "iptc": "IPTC records", "comments": "comments"}
_HELD = {"PNG": (*_NAMES, "chunks"), "JPEG": tuple(_NAMES), "TIFF": ("icc", "exif", "xmp", "iptc"),
         "WEBP": ("icc", "exif", "xmp"), "BMP": ()}  # fmt: skip
"""Fields of `Metadata` that files of a format have a place for."""
_OVERHEAD = {"exif": 6, "xmp": 29, "iptc": 27}
"""Bytes before them in a segment of a JPEG file, which cannot hold more than 65,533."""


def fitted(metadata: Metadata, file_format: str, colors: int) -> tuple[Metadata, tuple[str, ...]]:
    """What of the metadata a file can hold, and what it cannot, in words.

    Args:
        file_format: Pillow's name of it.
        colors: 1, its pixels are gray, or 3.
    """
    lost = dict(_lost(metadata, file_format, colors))
    emptied: dict[str, Any] = {field: type(getattr(metadata, field))() for field in lost}
    return replace(metadata, **emptied), tuple(word for words in lost.values() for word in words)


def _lost(metadata: Metadata, file_format: str, colors: int) -> Iterator[tuple[str, list[str]]]:
    """Fields, with words for their contents."""
    for field, name in _NAMES.items():
        content = getattr(metadata, field)
        is_long = field in _OVERHEAD and len(content) + _OVERHEAD[field] > _SEGMENT and file_format == "JPEG"
        if content and (is_long or field not in _HELD[file_format]):
            yield field, [name]
    wanted, kind = "GRAY" if colors == 1 else "RGB", kind_of_profile(metadata.icc)
    if metadata.icc and kind != wanted and "icc" in _HELD[file_format]:
        yield "icc", [f"color profile (its kind is {kind}, not {wanted})"]
    if metadata.chunks and "chunks" not in _HELD[file_format]:
        yield "chunks", [*description_in_words(metadata.chunks), *_texts(metadata)]


def _texts(metadata: Metadata) -> list[str]:
    """Words for what only a PNG file has."""
    texts = (content.partition(b"\0")[0].decode("latin-1") for kind, content in metadata.chunks if kind in TEXTS)
    found = ", ".join(dict.fromkeys(texts))
    return [f"texts ({found})"] if found else []


def with_png_chunks(png: bytes, metadata: Metadata) -> bytes:
    """The bytes of a PNG file, with the metadata after its header."""
    packed = b"".join(png_chunk(kind, content) for kind, content in _made_chunks(metadata))
    return png[:_SIGNATURE_AND_HEADER] + packed + png[_SIGNATURE_AND_HEADER:]


def jpeg_segments_of(metadata: Metadata) -> bytes:
    """IPTC and comments as the segments of a JPEG file; a comment is cut at the length of one."""
    segments = [(_COM, comment[:_SEGMENT]) for comment in metadata.comments]
    if metadata.iptc:
        segments.insert(0, (_APP13, PHOTOSHOP + resources_of(metadata.iptc)))
    return b"".join(bytes([0xFF, code]) + struct.pack(">H", len(each) + 2) + each for code, each in segments)


def _made_chunks(metadata: Metadata) -> Iterator[tuple[bytes, bytes]]:
    """11.3.2.3 (iCCP), 11.3.4.3 (pHYs), 11.3.4.5 (eXIf), 11.3.3 (texts)."""
    if metadata.icc:
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)
    yield from metadata.chunks
    if metadata.dpi and all(kind != b"pHYs" for kind, _ in metadata.chunks):
        yield b"pHYs", struct.pack(">IIB", *(round(value * _METRE) for value in metadata.dpi), 1)
    if metadata.exif:
        yield b"eXIf", metadata.exif
    if metadata.xmp:
        yield b"iTXt", XMP + b"\0\0\0\0\0" + metadata.xmp
    if metadata.iptc:
        resources = resources_of(metadata.iptc)
        raw = b"\niptc\n%8d\n%s\n" % (len(resources), resources.hex(" ", 36).replace(" ", "\n").encode())
        yield b"zTXt", RAW_PROFILE + b"iptc\0\0" + zlib.compress(raw)
    for comment in metadata.comments:
        yield _comment_chunk(comment)


def _comment_chunk(comment: bytes) -> tuple[bytes, bytes]:
    """Of UTF-8, or else of Latin-1."""
    try:
        is_plain = comment.decode().isascii()
    except UnicodeDecodeError:
        is_plain = True
    comment = comment.replace(b"\0", b"")
    return (b"tEXt", COMMENT + b"\0" + comment) if is_plain else (b"iTXt", COMMENT + b"\0\0\0\0\0" + comment)
