"""Which frames of a compressed video are of peak quality (PQFs), better than the frames before and after them.

Source: Guan et al., "MFQE 2.0: A New Approach for Multi-Frame Quality Enhancement on Compressed Video", IEEE TPAMI,
2021. Their detector, trained on PSNR, is replaced by the QPs of the encoder or by PSNR itself.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.video.frame_records import frames_path, read_frames

PeakSource = Literal["qp", "psnr", "file", "period"]
Role = Literal["all", "peaks", "others"]


class Track(NamedTuple):
    """What is known of a video.

    where: what it is called in messages. name, stem: its names, of pairs and of its file. file: the file or folder, or
    where it would be. length: frames in use. target: the only frame that has a clean partner; None: all have.
    errors: computes the mean squared error of the luma of each frame; None without ground truth.
    """

    where: str
    name: str
    stem: str
    file: Path
    length: int
    target: int | None = None
    errors: Callable[[], np.ndarray] | None = None


class Labels:
    """Finds the peaks of a video, and with them the frames that are samples.

    Args:
        source: "qp", "psnr": the peaks of the coded frames' quality; "file": a file has 0 or 1 for each frame;
            "period": by a pattern. None: the peaks are unknown.
        path: folder of the files; None: that of the videos.
        pattern: name of a label file, in which {stem} and {name} stand for the video's.
        period: the pattern.
        role: which frames are samples: all, the peaks, or the others.

    Raises:
        UserError: arguments that contradict each other.
    """

    def __init__(
        self, source: PeakSource | None, path: str | None, pattern: str, period: Sequence[int] | None, role: Role
    ) -> None:
        if source is None and role != "all":
            raise UserError(f"role: {role} needs a source of the peaks: qp, psnr, file or period")
        if (source == "period") != (period is not None):
            raise UserError("source: period and period: [1, 0, ...] go together; one of them is missing")
        if period is not None and not (set(period) <= {0, 1} and 1 in period):
            raise UserError(f"period: found {list(period)}, expected a pattern of 0 and 1 with at least one 1")
        self._source, self._folder, self._role = source, None if path is None else Path(path), role
        self._pattern, self._period = pattern, period
        self._label_file("name", "stem", Path("name"))  # report an invalid pattern early

    def peaks(self, track: Track) -> np.ndarray | None:
        """The numbers of the peak frames, ascending; None if they are not known.

        Raises:
            UserError: labels that are missing, do not fit, or have no peak.
        """
        if self._source is None:
            return None
        if self._source == "period":
            found = np.flatnonzero(np.resize(np.asarray(self._period), track.length))
        elif self._source == "file":
            file = self._label_file(track.name, track.stem, track.file)
            found = np.flatnonzero(read_labels(file, track.length))
        else:
            found = local_peaks(self._quality(track))
        if len(found) == 0:
            raise UserError(
                f"{track.where}: none of {track.length} frames is a peak by source: {self._source}; with a constant "
                "QP there is none: compress with a pattern of QPs, or give another source (psnr, file, period)"
            )
        return found

    def frames(self, length: int, peaks: np.ndarray | None) -> Sequence[int] | np.ndarray:
        """The numbers of the frames that are samples, ascending."""
        if self._role == "all" or peaks is None:
            return range(length)
        return peaks if self._role == "peaks" else np.setdiff1d(np.arange(length), peaks)

    def _quality(self, track: Track) -> np.ndarray:
        """Of each frame; more is better."""
        file = frames_path(track.file if self._folder is None else self._folder / f"{track.stem}.yuv")
        if self._source == "psnr" and not file.is_file():
            if track.errors is None:
                raise UserError(f"{track.where}: source: psnr needs {file}, or gt")
            return -track.errors()
        frames = read_frames(file)
        if len(frames) < track.length:
            raise UserError(f"{file} describes {len(frames)} frames, the video has {track.length}; make it again")
        values = [-frame.qp if self._source == "qp" else frame.psnr_y for frame in frames[: track.length]]
        return np.array(values, dtype=np.float64)

    def _label_file(self, name: str, stem: str, video: Path) -> Path:
        try:
            file = self._pattern.format(name=name, stem=stem)
        except (KeyError, IndexError, ValueError):
            raise UserError(f"pattern: {self._pattern} can have the fields {{stem}} and {{name}} only") from None
        if Path(file).suffix not in _READERS:
            raise UserError(f"pattern: {self._pattern} must end in {', '.join(_READERS)}")
        return (self._folder or folder_of(video, stem)) / file


def folder_of(video: Path, stem: str) -> Path:
    """The folder that a video is named from: of a/00001/0001 with the stem 00001/0001 it is a."""
    return video.parents[stem.count("/")]


def local_peaks(quality: np.ndarray) -> np.ndarray:
    """The numbers of the values that are greater than both neighbors, ascending.

    Of a plateau it is the first; at an end one neighbor is enough. Equal values throughout have no peak.
    """
    first = np.concatenate([[True], quality[1:] != quality[:-1]])  # of each run of equal values
    runs = quality[first]
    if len(runs) == 1:
        return np.empty(0, int)
    rises = np.concatenate([[True], runs[1:] > runs[:-1]])
    falls = np.concatenate([runs[1:] < runs[:-1], [True]])
    return np.flatnonzero(first)[rises & falls]


def read_labels(path: Path, length: int) -> np.ndarray:
    """The labels of the first `length` frames, bool.

    Raises:
        UserError: no such file, other values than 0 and 1, or fewer of them.
    """
    try:
        values = np.asarray(_READERS[path.suffix](path)).ravel()
    except OSError as error:
        reason = error.strerror or "not readable"
        raise UserError(f"cannot read the labels {path}: {reason}; it has 0 or 1 for each frame") from None
    except (ValueError, EOFError) as error:
        raise UserError(f"{path} has no labels ({error}); it must have 0 or 1 for each frame") from None
    if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise UserError(f"{path}: found other labels than 0 and 1")
    if len(values) < length:
        raise UserError(f"{path} has labels of {len(values)} frames, the video has {length}")
    return values[:length].astype(bool)


def _read_text(path: Path) -> list[float]:
    return [float(word) for word in path.read_text(encoding="utf-8").replace(",", " ").split()]


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


_READERS: dict[str, Callable[[Path], Any]] = {".npy": np.load, ".txt": _read_text, ".json": _read_json}
