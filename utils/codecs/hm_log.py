"""What an HM encoder prints about the frames that it codes.

A line for each, in the order of coding, in all versions like

    POC    4 TId: 0 ( P-SLICE, nQP 40 QP 40 )       9064 bits [Y 31.3642 dB    U 37.9 dB    V 38.6 dB] [ET     2 ] ...

Builds without adaptive QP selection have no nQP. A lower-case letter is a frame that no other one refers to. Equal
planes have the PSNR 999.99 or inf. After the decibels there may be more: times, reference lists, MD5 sums, MSEs.
"""

import math
import re

from powerqe.utils.errors import UserError
from powerqe.utils.video.frame_records import FrameInfo

_FRAME = re.compile(
    r"POC\s+(?P<poc>\d+)\s[^(]*\(\s*(?P<type>[IPBipb])-SLICE,(?:\s*nQP\s+-?\d+)?\s*QP\s+(?P<qp>-?\d+)\s*\)"
    r"\s*(?P<bits>\d+)\s+bits\s*\[Y\s+(?P<psnr_y>inf|\d+(?:\.\d+)?)\s+dB"
)
_EQUAL = 999.99
_VERSION = re.compile(r"HM software:\s*(.*\S)")


def parse_log(text: str, count: int, where: object) -> list[FrameInfo]:
    """The frames of a log, in the order of display.

    Args:
        text: what the encoder printed.
        count: how many frames there must be.
        where: what the log is of, for the messages.

    Raises:
        UserError: a line of a frame that has another form, or frames that are not 0 to count - 1, each once.
    """
    frames = sorted(_frame_info(line, where) for line in _frame_lines(text))
    found = [frame.poc for frame in frames]
    if found != list(range(count)):
        raise UserError(
            f"{where}: the log has {len(found)} frames, {len(set(found))} different ones, of {count} expected; "
            "was the encoder stopped? Numbers that start again come from IntraPeriod: use -1"
        )
    return frames


def parse_version(text: str) -> str:
    """Name and version of the encoder in a log; "HM" if there is none."""
    match = _VERSION.search(text)
    return f"HM {match[1]}" if match else "HM"


def has_frames(text: str) -> bool:
    """Whether a log got as far as the first frame."""
    return bool(_frame_lines(text))


def _frame_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith("POC ")]


def _frame_info(line: str, where: object) -> FrameInfo:
    match = _FRAME.match(line)
    if match is None:
        raise UserError(f"{where}: cannot read this line of the encoder's log: {line[:150]}")
    number = {name: int(match[name]) for name in ("poc", "qp", "bits")}
    psnr = float(match["psnr_y"])
    psnr = math.inf if psnr == _EQUAL else psnr
    return FrameInfo(number["poc"], match["type"].upper(), number["qp"], number["bits"], psnr)
