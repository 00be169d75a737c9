"""What a video stream says of its frames besides colors, as PyAV gives it: rotation, HDR10, fields, transparency."""

import struct
from typing import Any

FIELD_ORDERS = {2: "tt", 3: "bb", 4: "tb", 5: "bt"}
"""FFmpeg's AVFieldOrder of interlaced video: which field is coded first, which is shown first."""
UNKNOWN_ORDER = -1

_LOST = {
    "A53_CC": "closed captions",
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "HDR Vivid metadata",
    "DOVI_METADATA": "Dolby Vision metadata",
    "AMBIENT_VIEWING_ENVIRONMENT": "ambient viewing environment",
    "STEREO3D": "3D layout",
    "SPHERICAL": "spherical projection",
    "ICC_PROFILE": "ICC profile",
    "AFD": "active format description",
    "S12M_TIMECODE": "timecode",
}
"""Side data of frames that PyAV can neither copy nor write."""


def display_matrix(av_frame: Any) -> tuple[int, ...] | None:
    """How players are to turn the frames, as FFmpeg stores it (libavutil/display.h)."""
    found = av_frame.side_data.get("DISPLAYMATRIX")
    return None if found is None else struct.unpack("=9i", bytes(found))


def hdr10(av_frame: Any) -> tuple[str, ...]:
    """Mastering display and light levels of a frame as parameters of x265.

    They are AVMasteringDisplayMetadata (chromaticity of R, G, B and white, least and greatest luminance, as rational
    numbers) and AVContentLightMetadata of FFmpeg, and steps of 0.00002 and of 0.0001 cd/m2 in HEVC (H.265, D.3.28).
    """
    display, light = (
        av_frame.side_data.get(f"{name}") for name in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL")
    )
    found = []
    if display is not None:
        *numbers, _, _ = struct.unpack("=22i", bytes(display)[:88])
        parts = [number / (denominator or 1) for number, denominator in zip(numbers[::2], numbers[1::2], strict=True)]
        red, green, blue, white = (
            f"({round(x * 50_000)},{round(y * 50_000)})" for x, y in zip(parts[:8:2], parts[1:8:2], strict=True)
        )
        least, greatest = (round(value * 10_000) for value in parts[8:])
        found.append(f"master-display=G{green}B{blue}R{red}WP{white}L({greatest},{least})")
    if light is not None:
        found.append("max-cll={},{}".format(*struct.unpack("=2I", bytes(light)[:8])))
    return tuple(found)


def field_order(av_frame: Any, context: Any) -> int | None:
    """Of `FIELD_ORDERS`, or `UNKNOWN_ORDER`, as PyAV before 18 does not tell it; None: frames are no two fields."""
    order = getattr(context, "field_order", 0)
    if order in FIELD_ORDERS:
        return order
    return UNKNOWN_ORDER if av_frame.interlaced_frame else None


def lost_with_frames(av_frame: Any, stream: Any) -> list[str]:
    """What the frames have that no result keeps, in words."""
    is_clear = any(part.is_alpha for part in av_frame.format.components) or stream.metadata.get("alpha_mode") == "1"
    names = [_LOST[side.type.name] for side in av_frame.side_data if side.type.name in _LOST]
    return [*(["transparency"] if is_clear else []), *dict.fromkeys(names)]
