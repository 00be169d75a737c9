"""The packets of a video stream that PyAV has opened: what a file promises, what it has, and the frames they become.

A recording of a transport stream begins and ends anywhere: what comes before its first key frame, and a frame that is
cut off at its end, is left out, and that is said. AVI files count frames that were dropped when they were recorded, of
which nothing is there but a gap in time. All other damage is an error.
"""

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from typing import Any, NamedTuple

from powerqe.utils.errors import UserError

STREAMED = {"mpegts", "mpeg", "mpegvideo", "h264", "hevc", "obu"}
"""FFmpeg's names of formats that are recorded from any moment on; the clock of those that have one began at some."""
_MEASURED = {"matroska,webm", "flv", "asf"}
"""Of formats that note their duration, in milliseconds, but not how many frames there are."""


class Clock:
    """When frames are shown, in steps of `base` seconds: as they say, or by the rate, and each later than the last."""

    def __init__(self, rate: Fraction, base: Fraction) -> None:
        self._step, self._count, self._last = 1 / (rate * base), 0, -math.inf

    def tick(self, time: int | None) -> int:
        """The time of the next frame, which may know none."""
        self._last = int(max(round(self._count * self._step) if time is None else time, self._last + 1))
        self._count += 1
        return self._last


class Survey(NamedTuple):
    """What the packets of a video stream tell without decoding.

    count: frames that can be decoded; right for all but odd streams (fields, hidden frames). notes: what the user
    should know of the others. last: how long the last frame is shown, in steps of the stream's time; None if unknown.
    """

    count: int
    notes: tuple[str, ...]
    last: int | None


def survey(container: Any, stream: Any, path: Path) -> Survey:
    """Read all packets of a file.

    Raises:
        UserError: the file is cut off.
    """
    skipped, shown, last, end = _Skipped(container), [], None, Fraction(0)
    for packet in container.demux():
        if packet.pts is not None:
            end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
        if packet.stream.index != stream.index or not packet.size:
            continue
        if not skipped.has(packet) and not packet.is_discard:
            if packet.pts is not None and packet.pts >= max(shown[-_REORDERED:], default=packet.pts):
                last = packet.duration
            shown.append(packet.pts or 0)
    notes = []
    if skipped.before:
        notes.append(f"it begins between key frames: its first {skipped.before} frames cannot be decoded")
    if dropped := _dropped(stream, skipped.number, shown, path):
        notes.append(f"dropped when it was made: {dropped} of its {stream.frames} frames, which are gaps in time")
    if missing := _missing(container, stream, shown, end):
        notes.append(f"it is cut off: {len(shown)} of about {len(shown) + missing} frames")
    return Survey(len(shown), tuple(notes), last or None)


def decoded(container: Any, stream: Any, path: Path, error_type: type[Exception]) -> Iterator[Any]:
    """The frames of a video stream, from the first that can be decoded.

    Args:
        error_type: PyAV's.

    Raises:
        UserError: the file is cut off or damaged.
    """
    skipped, latest, failure = _Skipped(container), 0, ""
    for packet in _demuxed(container, stream, path, skipped, error_type):
        if packet.size:
            if failure:
                raise UserError(failure)
            if skipped.has(packet):
                continue
            latest = max(latest, packet.pts or 0)
        try:
            if packet.is_corrupt:
                failure = f"{path} is cut off or damaged at frame {skipped.number}; get it again"
            else:
                for frame in packet.decode():
                    if frame.is_corrupt:
                        raise UserError(f"{path} is damaged at frame {skipped.number}; get it again")
                    yield frame
        except error_type as error:
            if not skipped.is_recovering:
                failure = f"{path} is damaged at frame {skipped.number} ({_reason(error)}); get it again"
        if failure and not skipped.is_streamed:  # else it may be the last frame of a recording
            raise UserError(failure)
    _dropped(stream, skipped.number, [latest], path)


_REORDERED = 32
"""More frames than any codec keeps back."""


class _Skipped:
    """Which packets of a recording cannot be decoded: those before its first key frame, and those that come after it
    and are shown before it, for they refer to frames that are not there.

    Attributes:
        number: packets so far. before: those that are skipped. is_streamed: whether it may be a recording.
    """

    def __init__(self, container: Any) -> None:
        self.is_streamed = container.format.name in STREAMED
        self.number = self.before = 0
        self._keys = 0
        self._first: int | None = None

    @property
    def is_recovering(self) -> bool:
        """Whether references may still be missing: until the second key frame."""
        return self.before > 0 and self._keys < 2

    def has(self, packet: Any) -> bool:
        """Whether the next packet, not an empty one, is skipped."""
        self.number += 1
        if packet.is_keyframe:
            self._keys += 1
            self._first = packet.pts if self._keys == 1 else self._first
        is_early = self.before > 0 and None not in (packet.pts, self._first) and packet.pts < self._first
        skip = self.is_streamed and (not self._keys or is_early)
        self.before += skip
        return skip


def _demuxed(container: Any, stream: Any, path: Path, skipped: _Skipped, error_type: type[Exception]) -> Iterator[Any]:
    """Without those of dropped frames: for a decoder an empty packet would be the end."""
    try:
        yield from (packet for packet in container.demux(stream) if packet.size or packet.pts is None)
    except error_type as error:
        raise UserError(f"{path} is damaged at frame {skipped.number} ({_reason(error)}); get it again") from None


def _dropped(stream: Any, number: int, shown: list[int], path: Path) -> int:
    """How many of the frames that the file counts were dropped; raises `UserError` if they are cut off instead."""
    dropped = max(stream.frames - number, 0)
    step = 1 / (Fraction(stream.average_rate or 25) * stream.time_base)
    if dropped and (max(shown, default=0) - (stream.start_time or 0)) / step < stream.frames - Fraction(3, 2):
        raise UserError(f"{path} is cut off: {number} frames of {stream.frames}; get it again")
    return dropped


def _missing(container: Any, stream: Any, shown: list[int], end: Fraction) -> int:
    """About how many frames are missing at the end of a file that is shorter than it says."""
    if container.format.name not in _MEASURED or not container.duration or len(shown) < 2:
        return 0
    times = sorted(shown)
    step = median_low(after - before for before, after in pairwise(times)) * stream.time_base
    promised = Fraction(container.duration, 1_000_000)
    if end > promised - step / 2 or not step:
        return 0
    return max(round((promised - times[0] * stream.time_base) / step) - len(shown), 1)


def _reason(error: Any) -> str:
    return error.strerror or str(error)
