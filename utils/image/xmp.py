"""XMP packets (ISO 16684-1), changed as text: so all that does not concern the pixels stays as it is.

A property is an attribute, `tiff:Orientation="6"`, or an element, `<tiff:Orientation>6</tiff:Orientation>`.
"""

import re
from collections.abc import Iterator

_TIFF, _EXIF = b"http://ns.adobe.com/tiff/1.0/", b"http://ns.adobe.com/exif/1.0/"
_GOOGLE = b"http://ns.google.com/photos/1.0/"
_ALL = rb"[\w.-]+"
_OTHERS = "further images or videos"
"""Said if nothing says what they are."""
_CLAIMS = (
    ("the video of a motion photo", _GOOGLE + b"camera/", rb"(?:MotionPhoto|MicroVideo)[\w.-]*"),
    ("a gain map", b"http://ns.adobe.com/hdr-gain-map/1.0/", _ALL),
    ("a gain map", b"http://ns.apple.com/HDRGainMap/1.0/", _ALL),
    ("a depth map", _GOOGLE + b"depthmap/", _ALL),
    ("another image", _GOOGLE + b"image/", _ALL),
    ("sound", _GOOGLE + b"audio/", _ALL),
    ("a depth map", b"http://ns.google.com/photos/dd/1.0/device/", _ALL),
    (_OTHERS, _GOOGLE + b"container/", _ALL),
    ("extended XMP", b"http://ns.adobe.com/xmp/note/", rb"HasExtendedXMP"),
    ("", b"http://ns.adobe.com/xap/1.0/", rb"Thumbnails"),
)
"""What a packet may promise that a result does not hold: words for it, its namespace, the names of properties."""


def orientation_of(xmp: bytes) -> int | None:
    """tiff:Orientation, 1 to 8 as in EXIF; None if the packet does not say."""
    for pattern in _value_patterns(xmp, _TIFF, rb"Orientation"):
        if (found := pattern.search(xmp)) and found[2].strip() in b"1 2 3 4 5 6 7 8".split():
            return int(found[2])
    return None


def settled(xmp: bytes, width: int, height: int) -> bytes:
    """The packet of an image that was turned upright and enhanced: orientation 1, and its size."""
    for namespace, name, value in (
        (_TIFF, rb"Orientation", 1),
        (_TIFF, rb"ImageWidth", width),
        (_TIFF, rb"ImageLength", height),
        (_EXIF, rb"PixelXDimension", width),
        (_EXIF, rb"PixelYDimension", height),
    ):
        for pattern in _value_patterns(xmp, namespace, name):
            xmp = pattern.sub(rb"\g<1>%d\g<3>" % value, xmp)
    return xmp


def without_claims(xmp: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The packet without promises of data that a file with these pixels does not hold, and words for what they are."""
    found: list[str] = []
    for words, namespace, names in _CLAIMS:
        for prefix in _prefixes(xmp, namespace):
            name = re.escape(prefix) + rb":" + names
            attribute = rb"\s+" + name + rb"\s*=\s*(?:\"[^\"]*\"|'[^']*')"
            element = rb"<(" + name + rb")(?=[\s/>])(?:[^>]*/>|[^>]*[^/>]?>.*?</\1\s*>)"
            xmp, count = re.subn(attribute + rb"|" + element, b"", xmp, flags=re.DOTALL)
            found += [words] if count and words and not (words == _OTHERS and found) else []
    for namespace in (*(namespace for _, namespace, _ in _CLAIMS), _GOOGLE + b"container/item/"):
        xmp = _without_unused_prefix(xmp, namespace)
    return xmp, tuple(dict.fromkeys(found))


def _without_unused_prefix(xmp: bytes, namespace: bytes) -> bytes:
    for prefix in _prefixes(xmp, namespace):
        if not re.search(rb"[\s</]" + re.escape(prefix) + rb":", xmp):
            declared = rb"\s+xmlns:" + re.escape(prefix) + rb"\s*=\s*[\"']" + re.escape(namespace) + rb"[\"']"
            xmp = re.sub(declared, b"", xmp)
    return xmp


def _prefixes(xmp: bytes, namespace: bytes) -> list[bytes]:
    return list(dict.fromkeys(re.findall(rb"xmlns:([\w.-]+)\s*=\s*[\"']" + re.escape(namespace) + rb"[\"']", xmp)))


def _value_patterns(xmp: bytes, namespace: bytes, name: bytes) -> Iterator[re.Pattern[bytes]]:
    """Of the property as attribute and as element; the second group is the value."""
    for prefix in _prefixes(xmp, namespace):
        whole = re.escape(prefix) + rb":" + name
        yield re.compile(rb"(\s" + whole + rb"\s*=\s*[\"'])([^\"']*)([\"'])")
        yield re.compile(rb"(<" + whole + rb"(?:\s[^>]*)?>)([^<]*)(</" + whole + rb"\s*>)")
