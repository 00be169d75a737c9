"""Which frames of a video make a sample: the frame itself and its neighbors."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np
from pydantic import NonNegativeInt

from powerqe.dataset.augment import mix, random_between
from powerqe.dataset.peaks import Labels, PeakSource, Role, Track
from powerqe.utils.errors import UserError
from powerqe.utils.options.registry import Registry

WINDOWS = Registry("window")

_PAIR = 10  # makes the hash of a sample differ, see dataset/augment.py


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
        source: how frames of peak quality are found, see PeakFrames; null: not at all.
        path, pattern, period, role: see PeakFrames.
    """

    def __init__(
        self,
        *,
        radius: NonNegativeInt = 0,
        inside: bool = False,
        source: PeakSource | None = None,
        path: str | None = None,
        pattern: str = "{stem}.npy",
        period: tuple[int, ...] | None = None,
        role: Role = "all",
    ) -> None:
        self.size = 2 * radius + 1
        self._radius, self._inside = radius, inside
        self._labels = Labels(source, path, pattern, period, role)

    def mark(self, track: Track) -> Marked:
        """Raises `UserError` when the window does not fit around the only frame with a partner."""
        peaks = self._labels.peaks(track)
        frames = self._labels.frames(track.length, peaks)
        if track.target is not None:
            self._check_target(track, track.target)
            frames = (track.target,) if track.target in frames else ()
        elif self._inside:
            numbers = np.asarray(frames)
            frames = numbers[(numbers >= self._radius) & (numbers < track.length - self._radius)]
        return Marked(track.length, frames, peaks)

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


@WINDOWS.register()
class PeakFrames:
    """The nearest frame of peak quality before, the frame itself, and the nearest one after it: MFQE's window.

    The neighbors of a peak are the peaks before and after it. Where there is none, it is the frame itself. Source:
    Guan et al., MFQE 2.0, IEEE TPAMI 2021.

    Args:
        source: how the peaks are found: "qp": frames with a lower QP than their neighbors, from the file
            `<stem>.frames.json` that `powerqe data compress-video` writes; "psnr": frames with a higher luma PSNR (the
            paper's; HM 16 lowers the QP of every second frame), from that file or else computed with gt, for which
            all videos are read at the start; "file": 0 or 1 for each frame in a .npy, .txt or .json file; "period": a
            pattern that is repeated. Of frames that are equally good the first is the peak; at an end one neighbor is
            enough.
        path: folder of the files with the labels or QPs; null: the folder of the videos of lq.
        pattern: name of the file of a video for source: file; {stem} stands for the name of its file, {name} for that
            without the number of frames.
        period: labels that are repeated over each video, such as [1, 0, 0, 0].
        role: which frames are samples: "all", the "peaks" or the "others". MFQE has a network for each of the last two.
        inside: leave out the frames before the first and after the last peak, and these two peaks, for training.
        draw: the training samples of role: others: all frames are equally likely with "frame"; MFQE takes, of each two
            consecutive peaks with others between them, one of those at random: "pair".
    """

    size = 3

    def __init__(
        self,
        *,
        source: PeakSource = "qp",
        path: str | None = None,
        pattern: str = "{stem}.npy",
        period: tuple[int, ...] | None = None,
        role: Role = "all",
        inside: bool = False,
        draw: Literal["frame", "pair"] = "frame",
    ) -> None:
        if draw == "pair" and role != "others":
            raise UserError("draw: pair takes frames between peaks; it needs role: others")
        self._inside, self._by_pair = inside, draw == "pair"
        self._labels = Labels(source, path, pattern, period, role)

    def mark(self, track: Track) -> Marked:
        """Raises `UserError` when the peaks are not known, or gt has one frame of each video only."""
        if track.target is not None:
            raise UserError(
                f"{track.where}: gt has only frame {track.target + 1} of {track.length}; the window PeakFrames needs "
                "whole videos"
            )
        peaks = self._labels.peaks(track)
        assert peaks is not None
        frames = self._labels.frames(track.length, peaks)
        if self._inside:
            numbers = np.asarray(frames)
            frames = numbers[(numbers > peaks[0]) & (numbers < peaks[-1])]
        return Marked(track.length, frames, peaks)

    def around(self, frame: int, marked: Marked) -> tuple[int, ...]:
        assert marked.peaks is not None
        before = int(np.searchsorted(marked.peaks, frame, side="left"))
        after = int(np.searchsorted(marked.peaks, frame, side="right"))
        previous = marked.peaks[before - 1] if before > 0 else frame
        following = marked.peaks[after] if after < len(marked.peaks) else frame
        return int(previous), frame, int(following)

    def drawn(self, place: int, seed: int, marked: Marked) -> int:
        assert marked.peaks is not None
        gaps = np.flatnonzero(np.diff(marked.peaks) > 1) if self._by_pair else ()
        if len(gaps) == 0:
            return int(marked.frames[place])
        gap = gaps[place * len(gaps) // len(marked.frames)]
        return random_between(mix(seed, _PAIR), int(marked.peaks[gap]) + 1, int(marked.peaks[gap + 1]) - 1)
