"""The metadata of an image file: camera data (EXIF), color profile (ICC), XMP, IPTC, comments, and what PNG adds.

Handed on as bytes and not taken apart, so that nothing in them is lost or changed, but for what concerns the pixels:
orientation, size and thumbnail are settled (utils/image/exif.py, xmp.py), and promises of data that are not handed on,
such as the video of a motion photo, are taken out and told.
"""

from dataclasses import dataclass, replace
from typing import Any

from PIL import ExifTags, Image

from powerqe.utils.image import exif as camera_data
from powerqe.utils.image import xmp as packet
from powerqe.utils.image.color_description import Chunks, chunks_of_boxes, has_gain_map, kind_of_profile
from powerqe.utils.image.iptc import PHOTOSHOP, iptc_of
from powerqe.utils.image.jpeg_stream import Buffer, jpeg_parts
from powerqe.utils.image.png_metadata import read_png_metadata

# Tags of a TIFF file that concern the image and not its storage in the file; nor the orientation, which both
# OpenCV and Pillow carry out when they read such a file.
_TIFF_TAGS = (ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Software,
              ExifTags.Base.DateTime, ExifTags.Base.Artist, ExifTags.Base.Copyright)  # fmt: skip
_TIFF_IPTC, _TIFF_PHOTOSHOP = 33723, 34377
_TURNED_BY_XMP = ("JPEG", "MPO", "PNG", "WEBP")
"""Formats whose readers turn by XMP if EXIF says nothing; those of others turn by the file itself."""
_APP11, _APP13, _COM, _EOI = 0xEB, 0xED, 0xFE, 0xD9


@dataclass(frozen=True)
class Metadata:
    """Of one image.

    Attributes:
        exif: a TIFF structure (CIPA DC-008), without JPEG's "Exif" before it; empty if there is none.
        icc, xmp: the profile and the XMP packet; empty if there is none.
        iptc: records of IPTC-IIM 4.2, such as a caption; empty if there is none.
        comments: in UTF-8, or as a JPEG file has them.
        dpi: horizontal and vertical pixels per inch.
        chunks: type and content of chunks of a PNG file for what is neither of these: texts, color description.
        orientation: as EXIF numbers it, 1 to 8, whoever said it; 1 of files that are read upright.
        left_out: what the file has and its results do not, in words.
    """

    exif: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    comments: tuple[bytes, ...] = ()
    dpi: tuple[float, float] | None = None
    chunks: Chunks = ()
    orientation: int = 1
    left_out: tuple[str, ...] = ()

    def upright(self, width: int, height: int) -> "Metadata":
        """The metadata after rotation by the orientation and enhancement to this size: without thumbnail."""
        exif = camera_data.settled(self.exif, width, height)
        return replace(self, exif=exif, xmp=packet.settled(self.xmp, width, height), orientation=1)


def read_metadata(image: Image.Image, data: Buffer) -> Metadata:
    """The metadata of an opened image file."""
    info = image.info
    found: dict[str, Any] = {"exif": _bytes(info.get("exif")), "xmp": _bytes(info.get("xmp"))}
    found |= {"icc": _bytes(info.get("icc_profile")), "dpi": _dpi(info)}
    left_out: list[str] = []
    if image.format == "PNG":
        found |= read_png_metadata(data)  # Pillow reads those behind the pixels later
    elif image.format in ("JPEG", "MPO"):
        found |= _of_jpeg(data, left_out)
    elif image.format == "TIFF":
        found |= {"exif": _tiff_exif(image), "iptc": _tiff_iptc(image)}
    elif image.format in ("AVIF", "HEIF"):
        found["chunks"] = chunks_of_boxes(data)
        left_out += ["a gain map"] if has_gain_map(data) else []
    elif image.format == "GIF" and "comment" in info:
        found["comments"] = (_bytes(info["comment"]),)
    if found["icc"] and not kind_of_profile(found["icc"]):
        found["icc"] = b""
        left_out.append("a profile that is none")
    found["exif"] = found["exif"].removeprefix(camera_data.PREFIX)
    orientation = _orientation(str(image.format), found["exif"], found["xmp"])
    found["xmp"], claims = packet.without_claims(found["xmp"])
    if image.format == "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:  # of others, Pillow may fail there
        left_out.append(f"{frames - 1} further image{'s' * (frames > 2)}")
    behind = found.pop("behind", 0)
    words = tuple(dict.fromkeys((*claims, *left_out))) or ((f"{behind} bytes behind the image",) if behind else ())
    return Metadata(**found, orientation=orientation, left_out=words)


def _orientation(file_format: str, exif: bytes, xmp: bytes) -> int:
    """Of AVIF and HEIF files, Pillow writes the rotation of their boxes into EXIF."""
    if file_format == "TIFF":
        return 1
    by_xmp = packet.orientation_of(xmp) if file_format in _TURNED_BY_XMP else None
    return camera_data.orientation_of(exif) or by_xmp or 1


def _of_jpeg(data: Buffer, left_out: list[str]) -> dict[str, Any]:
    """What Pillow does not tell of a JPEG file."""
    comments, photoshop, behind = [], b"", 0
    for code, content, coded in jpeg_parts(data):
        if code == _COM:
            comments.append(bytes(content))
        elif code == _APP13 and bytes(content[: len(PHOTOSHOP)]) == PHOTOSHOP:
            photoshop += bytes(content[len(PHOTOSHOP) :])
        elif code == _APP11 and b"jumb" in bytes(content):
            left_out.append("content credentials (C2PA), which do not hold for other pixels")
        elif code == _EOI and any(bytes(coded)):
            behind = len(coded)
    return {"comments": tuple(comments), "iptc": iptc_of(photoshop), "behind": behind}


def _tiff_exif(image: Image.Image) -> bytes:
    """Camera data of a TIFF file, whose directory is mixed with what the file's pixels need."""
    source, made = image.getexif(), Image.Exif()
    for tag in _TIFF_TAGS:
        if tag in source:
            made[tag] = source[tag]
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if content := source.get_ifd(directory):
            made[directory] = dict(content)
    return made.tobytes() if len(made) else b""


def _tiff_iptc(image: Image.Image) -> bytes:
    tags = image.getexif()
    records, resources = tags.get(_TIFF_IPTC), tags.get(_TIFF_PHOTOSHOP)
    if isinstance(records, bytes):
        return records
    return iptc_of(resources) if isinstance(resources, bytes) else b""


def _dpi(info: dict[Any, Any]) -> tuple[float, float] | None:
    dpi = info.get("dpi")
    try:
        across, down = (float(value) for value in dpi or ())
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if across > 1 and down > 1 else None  # 1 is what programs write that know none


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value or b"")
