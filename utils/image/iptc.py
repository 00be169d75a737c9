"""IPTC records (IPTC-IIM 4.2), such as a caption, as Photoshop packs them."""

import struct

PHOTOSHOP = b"Photoshop 3.0\0"
"""Before the resources in a segment of a JPEG file."""


def iptc_of(resources: bytes) -> bytes:
    """The IPTC records among Photoshop's image resources (Adobe Photoshop file formats, 2019, "Image resources")."""
    place = 0
    while (place := resources.find(b"8BIM", place)) >= 0 and place + 12 <= len(resources):
        number, name = struct.unpack_from(">HB", resources, place + 4)
        place += 7 + name + (name + 1) % 2
        if place + 4 > len(resources):
            break
        (size,) = struct.unpack_from(">I", resources, place)
        if number == 0x0404:
            return resources[place + 4 : place + 4 + size]
        place += 4 + size
    return b""


def resources_of(iptc: bytes) -> bytes:
    """The IPTC records as the one resource of Photoshop's."""
    return b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
