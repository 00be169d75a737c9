"""Metadata in the chunks of a PNG file (PNG specification, third edition), wherever they lie."""

import struct
import zlib
from typing import Any

from powerqe.utils.image import exif as camera_data
from powerqe.utils.image.iptc import iptc_of
from powerqe.utils.image.jpeg_stream import Buffer
from powerqe.utils.image.png import LARGEST_TEXT, chunks

XMP, COMMENT, RAW_PROFILE = b"XML:com.adobe.xmp", b"Comment", b"Raw profile type "
"""Keywords of texts."""
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_LONG = 1 << 20
"""Bytes of a text."""
# Chunks that do not concern how the samples are stored (11.3), so they fit any.
_KEPT = (b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI", b"pHYs", b"tIME", *TEXTS)


def read_png_metadata(data: Buffer) -> dict[str, Any]:
    """Fields of `powerqe.utils.image.metadata.Metadata`, as far as there are such chunks."""
    found: dict[str, Any] = {"exif": b"", "xmp": b"", "iptc": b"", "comments": (), "chunks": ()}
    for chunk in chunks(data):
        kind, content = chunk.kind, bytes(chunk.content)
        keyword, _, _ = content.partition(b"\0") if kind in TEXTS else (b"", b"", b"")
        if kind == b"eXIf":
            found["exif"] = content
        elif keyword == XMP:
            found["xmp"] = _text(kind, content)
        elif keyword == COMMENT:
            found["comments"] += (_text(kind, content),)
        elif keyword.startswith(RAW_PROFILE) and (profile := _raw_profile(_text(kind, content))):
            for field, value in _of_raw_profile(profile).items():
                found[field] = found[field] or value
        elif kind in _KEPT:
            found["chunks"] += (_unpacked(kind, content),)
    return found


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file (5.3)."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _text(kind: bytes, content: bytes) -> bytes:
    """In UTF-8, of a chunk of texts (11.3.3); empty if it is damaged."""
    _, _, text = content.partition(b"\0")
    try:
        if kind == b"tEXt":
            return text.decode("latin-1").encode()
        if kind == b"zTXt":
            return _inflated(text[1:]).decode("latin-1").encode()
        packed, text = text[:1], text[2:].split(b"\0", 2)[2]
        return _inflated(text) if packed == b"\1" else text
    except (zlib.error, IndexError):
        return b""


def _inflated(packed: bytes) -> bytes:
    return zlib.decompressobj().decompress(packed, LARGEST_TEXT)


def _unpacked(kind: bytes, content: bytes) -> tuple[bytes, bytes]:
    """A chunk; a long text is not compressed, for Pillow refuses files whose texts grow so much."""
    if kind != b"zTXt" or len(text := _text(kind, content)) <= _LONG:
        return kind, content
    return b"tEXt", content.partition(b"\0")[0] + b"\0" + text.decode().encode("latin-1")


def _raw_profile(text: bytes) -> bytes:
    """A profile as ImageMagick and ExifTool write it: its name, its length, and its bytes as hexadecimal digits."""
    try:
        return bytes.fromhex(b"".join(text.split()[2:]).decode())
    except ValueError:
        return b""


def _of_raw_profile(profile: bytes) -> dict[str, bytes]:
    xmp = b"http://ns.adobe.com/xap/1.0/\0"
    if profile.startswith(camera_data.PREFIX) or profile[:4] in (b"II*\0", b"MM\0*"):
        return {"exif": profile}
    if profile.startswith(b"8BIM"):
        return {"iptc": iptc_of(profile)}
    if profile.startswith(b"\x1c"):
        return {"iptc": profile}
    return {"xmp": profile.removeprefix(xmp)} if b"xmpmeta" in profile or b"rdf:RDF" in profile else {}
