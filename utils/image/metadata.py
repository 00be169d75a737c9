"""The metadata of an image file: camera data (EXIF), color profile (ICC), XMP, resolution, PNG's texts.

Read from Pillow's image, handed on as bytes and not taken apart, so that nothing in them is lost or changed. Two
things in EXIF are about the pixels and are changed in place: the orientation, and the way to the thumbnail.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from PIL import ExifTags, Image

from powerqe.utils.image.jpeg_stream import Buffer

_EXIF_PREFIX = b"Exif\0\0"
_ORIENTATION = ExifTags.Base.Orientation
_XMP = b"XML:com.adobe.xmp"
_METRE = 39.37007874  # inches

# Chunks of a PNG file that do not concern how its samples are stored (PNG specification 11.3), so they fit any.
_PNG_SIGNATURE_AND_HEADER = 8 + 25
_KEPT_CHUNKS = (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI", b"pHYs", b"tEXt", b"zTXt", b"iTXt",
                b"tIME", b"eXIf")  # fmt: skip

# Tags of a TIFF file that concern the image and not its storage in the file; nor the orientation, which both
# OpenCV and Pillow carry out when they read such a file.
_TIFF_TAGS = (ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Software,
              ExifTags.Base.DateTime, ExifTags.Base.Artist, ExifTags.Base.Copyright)  # fmt: skip


@dataclass(frozen=True)
class Metadata:
    """Of one image.

    Attributes:
        exif: a TIFF structure (CIPA DC-008), without JPEG's "Exif" before it; empty if there is none.
        icc, xmp: the profile and the XMP packet; empty if there is none.
        dpi: horizontal and vertical pixels per inch.
        chunks: type and content of a PNG file's own chunks, if it comes from one; they then hold all of the above.
    """

    exif: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()

    def upright(self) -> "Metadata":
        """The metadata after rotation by the orientation and enhancement: without thumbnail."""
        chunks = ((kind, _upright(content) if kind == b"eXIf" else content) for kind, content in self.chunks)
        return replace(self, exif=_upright(self.exif), chunks=tuple(chunks))


def read_metadata(image: Image.Image, data: Buffer) -> Metadata:
    """The metadata of an opened image file, as bytes."""
    info = image.info
    exif = _tiff_exif(image) if image.format == "TIFF" else _bytes(info.get("exif")).removeprefix(_EXIF_PREFIX)
    xmp = _bytes(info.get("xmp"))
    chunks = tuple(_kept_chunks(data)) if image.format == "PNG" else ()
    return Metadata(exif, _bytes(info.get("icc_profile")), xmp, _dpi(info), chunks)


def with_png_chunks(png: bytes, metadata: Metadata) -> bytes:
    """The bytes of a PNG file, with the metadata after its header."""
    chunks = metadata.chunks or tuple(_made_chunks(metadata))
    packed = b"".join(png_chunk(kind, content) for kind, content in chunks)
    return png[:_PNG_SIGNATURE_AND_HEADER] + packed + png[_PNG_SIGNATURE_AND_HEADER:]


def orientation_of(exif: bytes) -> int:
    """How the camera was held (EXIF, tag 0x0112): 1, the image is as it is stored, to 8."""
    order, place = _place_of_orientation(exif)
    value = struct.unpack_from(f"{order}H", exif, place)[0] if place else 1
    return value if 1 <= value <= 8 else 1


def _upright(exif: bytes) -> bytes:
    """EXIF with orientation 1 and without a second directory, which is that of the thumbnail."""
    changed = bytearray(exif)
    order, place = _place_of_orientation(exif)
    if place:
        struct.pack_into(f"{order}H", changed, place, 1)
    if order and (end := _end_of_directory(exif, order)):
        changed[end : end + 4] = bytes(4)
    return bytes(changed)


def _place_of_orientation(exif: bytes) -> tuple[str, int]:
    """The byte order ("<" or ">"; "" if this is no EXIF) and where the value stands, 0 if it does not."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4], "")
    end = _end_of_directory(exif, order) if order else 0
    first = struct.unpack_from(f"{order}I", exif, 4)[0] + 2 if end else 0
    for entry in range(first, end, 12):
        tag, kind = struct.unpack_from(f"{order}HH", exif, entry)
        if (tag, kind) == (_ORIENTATION, 3):  # 3: 16-bit numbers
            return order, entry + 8
    return order, 0


def _end_of_directory(exif: bytes, order: str) -> int:
    """Where the offset of the next directory stands, behind the entries of the first one; 0 if that is cut off."""
    if len(exif) < 8:
        return 0
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    if start + 2 > len(exif):
        return 0
    end = start + 2 + 12 * struct.unpack_from(f"{order}H", exif, start)[0]
    return end if end + 4 <= len(exif) else 0


def _tiff_exif(image: Image.Image) -> bytes:
    """Camera data of a TIFF file, whose directory is mixed with what the file's pixels need."""
    source, made = image.getexif(), Image.Exif()
    for tag in _TIFF_TAGS:
        if tag in source:
            made[tag] = source[tag]
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if content := source.get_ifd(directory):
            made[directory] = dict(content)
    return made.tobytes().removeprefix(_EXIF_PREFIX) if len(made) else b""


def _dpi(info: dict[Any, Any]) -> tuple[float, float] | None:
    dpi = info.get("dpi")
    try:
        across, down = (float(value) for value in dpi or ())
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if across > 1 and down > 1 else None  # 1 is what programs write that know none


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value or b"")


def _kept_chunks(data: Buffer) -> Iterator[tuple[bytes, bytes]]:
    """Of a whole PNG file."""
    position = 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind = bytes(data[position + 4 : position + 8])
        if kind in _KEPT_CHUNKS:
            yield kind, bytes(data[position + 8 : position + 8 + length])
        position += 12 + length


def _made_chunks(metadata: Metadata) -> Iterator[tuple[bytes, bytes]]:
    """PNG specification 11.3.2.3 (iCCP), 11.3.4.3 (pHYs), 11.3.3.4 (iTXt); eXIf as in its third edition."""
    if metadata.icc:
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)
    if metadata.dpi:
        yield b"pHYs", struct.pack(">IIB", *(round(value * _METRE) for value in metadata.dpi), 1)
    if metadata.exif:
        yield b"eXIf", metadata.exif
    if metadata.xmp:
        yield b"iTXt", _XMP + b"\0\0\0\0\0" + metadata.xmp


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file (PNG specification 5.3)."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
