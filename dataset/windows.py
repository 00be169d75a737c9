"""Which frames of a video make a sample: the frame itself and its neighbours."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from pydantic import NonNegativeInt

from utils.errors import UserError
from utils.registry import Registry

WINDOWS = Registry("window")


class Track(NamedTuple):
    """What a window must know of a video.

    where: its name in messages. length: frames. target: the only frame that has a clean partner; None: all have.
    """

    where: str
    length: int
    target: int | None = None


class Marked(NamedTuple):
    """A video with its samples.

    length: frames. frames: the numbers of those that are samples, ascending. peaks: the numbers of the frames of peak
    quality, ascending; None if unknown.
    """

    length: int
    frames: Sequence[int] | np.ndarray
    peaks: np.ndarray | None = None

    def is_peak(self, frame: int) -> int:
        """1 or 0; -1 if unknown."""
        if self.peaks is None:
            return -1
        place = int(np.searchsorted(self.peaks, frame))
        return int(place < len(self.peaks) and self.peaks[place] == frame)


class FrameWindow(Protocol):
    """What a data set needs of a window."""

    size: int
    """Frames in it."""

    def mark(self, track: Track, /) -> Marked:
        """Choose the samples of a video; raises `UserError`."""
        ...

    def around(self, frame: int, marked: Marked, /) -> tuple[int, ...]:
        """The frames of the sample `frame`, oldest first."""
        ...

    def drawn(self, place: int, seed: int, marked: Marked, /) -> int:
        """The frame of a training sample; `place` counts the samples of the video."""
        ...


@WINDOWS.register()
class Sliding:
    """The frames t - radius ... t + radius, oldest first.

    Beyond an end of the video its last frame is repeated, so that every frame has a window, also in videos that are
    shorter.

    Args:
        radius: frames on each side; 0 is the frame alone, without a dimension for time.
        inside: leave out the frames whose window would reach beyond an end, for training.
    """

    def __init__(self, *, radius: NonNegativeInt = 0, inside: bool = False) -> None:
        self.size = 2 * radius + 1
        self._radius, self._inside = radius, inside

    def mark(self, track: Track) -> Marked:
        """Raises `UserError` when the window does not fit around the only frame with a partner."""
        if track.target is not None:
            self._check_target(track, track.target)
            return Marked(track.length, (track.target,))
        margin = self._radius if self._inside else 0
        return Marked(track.length, range(margin, max(margin, track.length - margin)))

    def around(self, frame: int, marked: Marked) -> tuple[int, ...]:
        reach = range(frame - self._radius, frame + self._radius + 1)
        return tuple(min(max(index, 0), marked.length - 1) for index in reach)

    def drawn(self, place: int, seed: int, marked: Marked) -> int:
        return int(marked.frames[place])

    def _check_target(self, track: Track, target: int) -> None:
        room = min(target, track.length - 1 - target)
        if self._radius > room:
            raise UserError(
                f"{track.where}: gt has only frame {target + 1} of {track.length}, so that radius: {self._radius} "
                f"reaches beyond them; it can be {room} at most"
            )
