"""What the numbers of an image mean as colors: code points (ITU-T H.273), light levels, and the kind of a profile."""

import struct

from powerqe.utils.image.jpeg_stream import Buffer

Chunks = tuple[tuple[bytes, bytes], ...]
_SRGB = (1, 13)
"""Primaries and transfer of the images that say nothing."""
_UNSPECIFIED = 2
# The values with which PNG files describe sRGB for older readers (PNG specification, table 9).
_PLAIN = {b"gAMA": struct.pack(">I", 45455),
          b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)}  # fmt: skip
_PRIMARIES = {1: "BT.709", 9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
_TRANSFERS = {1: "BT.709", 8: "linear", 13: "sRGB", 14: "BT.2020", 15: "BT.2020", 16: "PQ", 18: "HLG"}


def kind_of_profile(icc: bytes) -> str:
    """The pixels that an ICC profile is for (ICC.1, 7.2): "GRAY", "RGB", "CMYK" ...; "" if it is no profile."""
    return icc[16:20].decode("ascii", "replace").strip() if len(icc) >= 128 and icc[36:40] == b"acsp" else ""


def chunks_of_boxes(data: Buffer) -> Chunks:
    """The color description of an AVIF or HEIF file (ISO/IEC 14496-12, 12.1.5 to 12.1.7) as chunks of a PNG file.

    Decoders make RGB of full range of the samples, so matrix and range are not those of the file.
    """
    boxes = _meta_box(bytes(data))
    chunks = []
    if (at := boxes.find(b"colrnclx")) >= 0 and at + 12 <= len(boxes):
        primaries, transfer = struct.unpack_from(">HH", boxes, at + 8)
        if (primaries, transfer) != _SRGB and primaries != _UNSPECIFIED != transfer:
            chunks.append((b"cICP", bytes([primaries & 255, transfer & 255, 0, 1])))
    if (at := boxes.find(b"mdcv")) >= 0 and at + 28 <= len(boxes):  # green, blue and red there
        *gbr, white_x, white_y, brightest, darkest = struct.unpack_from(">8H2I", boxes, at + 4)
        chunks.append((b"mDCV", struct.pack(">8H2I", *gbr[4:], *gbr[:4], white_x, white_y, brightest, darkest)))
    if (at := boxes.find(b"clli")) >= 0 and at + 8 <= len(boxes):
        levels = (10000 * level for level in struct.unpack_from(">HH", boxes, at + 4))
        chunks.append((b"cLLI", struct.pack(">II", *levels)))
    return tuple(chunks)


def has_gain_map(data: Buffer) -> bool:
    """Whether an AVIF or HEIF file has an item that maps tones (ISO 21496-1)."""
    return b"tmap" in _meta_box(bytes(data))


def description_in_words(chunks: Chunks) -> tuple[str, ...]:
    """What the chunks of a PNG file say of its colors that an image without them does not mean."""
    found, words = dict(chunks), []
    if len(code := found.get(b"cICP", b"")) == 4 and tuple(code[:2]) != _SRGB:
        primaries, transfer = _PRIMARIES.get(code[0], str(code[0])), _TRANSFERS.get(code[1], str(code[1]))
        words.append(f"color description (primaries {primaries}, transfer {transfer})")
    elif any(found.get(kind, plain) != plain for kind, plain in _PLAIN.items()):
        words.append("gamma and primaries")
    if found.keys() & {b"mDCV", b"cLLI"}:
        words.append("light levels")
    return tuple(words)


def _meta_box(data: bytes) -> bytes:
    """The content of the box with the description of all items (ISO/IEC 14496-12, 8.11.1)."""
    place = 0
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"meta":
            return data[place + 8 : place + size]
        if size < 8:
            break
        place += size
    return b""
