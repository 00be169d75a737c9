"""Progress of the test of a video, saved frame by frame, so that an interrupted test can be continued.

Two working files: `<video>.jsonl` has the fingerprint of the test in its first line, then a line per frame; the raw
`<video>.yuv` has the enhanced frames, if they are saved. When all frames are done the video gets its final name, and a
last line records that the video is finished.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

from powerqe.utils.file_lock import only_process
from powerqe.utils.log import logger
from powerqe.utils.video.video_file import rename_raw
from powerqe.utils.video.yuv import Frame, Geometry, write_frame

Fingerprint = dict[str, Any]
"""Everything that determines the results, as plain data."""


class FrameScores(NamedTuple):
    """One frame: number in its video, whether it is a PQF (-1 if unknown), scores before and after, seconds."""

    frame: int
    peak: int
    baseline: dict[str, float]
    result: dict[str, float]
    seconds: float


class Saved(NamedTuple):
    """Path of the enhanced video, and the geometry of its raw frames."""

    path: Path
    geometry: Geometry


class VideoWork:
    """The working files of one video, to be used in a `with` block.

    Args:
        path: of the working files, without suffix.
        frames: the numbers of the frames that are tested.
        fingerprint: of the test. Frames tested under another fingerprint are discarded.
        saved: None when only scores are wanted.
        anew: discard earlier progress.

    Raises:
        UserError: on entering, if another process is testing the same video.
    """

    def __init__(
        self,
        path: Path,
        frames: Sequence[int],
        fingerprint: Fingerprint,
        saved: Saved | None = None,
        *,
        anew: bool = False,
    ) -> None:
        self.rows: list[FrameScores] = []
        """The frames that are done, in order."""
        self.is_finished = False
        self._lines_path, self._raw_path = (path.with_name(f"{path.name}{suffix}") for suffix in (".jsonl", ".yuv"))
        self._frames, self._saved, self._anew = frames, saved, anew
        self._header = {"fingerprint": digest(fingerprint)}
        self._raw: BinaryIO | None = None

    def __enter__(self) -> "VideoWork":
        self._lines_path.parent.mkdir(parents=True, exist_ok=True)
        path = self._lines_path
        busy = f"another process is testing {path.stem} ({path}); wait for it, or use another experiment"
        self._claim = only_process(path, busy)
        self._claim.__enter__()
        self._lines = self._lines_path.open("a+b")
        ends = self._read()
        if not self.is_finished:
            if self._saved:
                self._raw = self._raw_path.open("ab")
                size = self._saved.geometry.frame_bytes
                self.rows = self.rows[: self._raw.seek(0, os.SEEK_END) // size]
                self._raw.truncate(len(self.rows) * size)
            else:
                self._raw_path.unlink(missing_ok=True)
            self._lines.truncate(ends[len(self.rows)] if ends else 0)
            if not ends:
                self._write(self._header)
        return self

    def add(self, row: FrameScores, frame: Frame | None) -> None:
        """Save a frame; its pixels first, so that there are never fewer frames than rows."""
        assert row.frame == self._frames[len(self.rows)]
        if self._raw and frame:
            write_frame(self._raw, frame)
            self._raw.flush()
        self._write(row._asdict())
        self.rows.append(row)

    def finish(self) -> None:
        """Give the video its final name, after all frames."""
        assert len(self.rows) == len(self._frames)
        if self._raw and self._saved:
            os.fsync(self._raw.fileno())
            self._raw.close()
            rename_raw(self._raw_path, self._saved.path, self._saved.geometry)
        self._write({"finished": self._published()})
        os.fsync(self._lines.fileno())
        self.is_finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for file in (self._lines, self._raw):
            if file:
                file.close()
        self._claim.__exit__(kind, error, traceback)

    def _read(self) -> list[int]:
        """Read the valid rows; returns where the header and each row end, or nothing if the test starts again."""
        self._lines.seek(0)
        lines = [(_parsed(line), len(line)) for line in self._lines]
        if not lines or lines[0][0] != self._header or self._anew:
            done = sum("frame" in line for line, _ in lines)
            if done and not self._anew:
                logger.info(f"{self._lines_path.stem}: {done} frames of an earlier test are not used: "
                            "other weights, options, data or code")  # fmt: skip
            return []
        ends = [lines[0][1]]
        for (line, length), frame in zip(lines[1:], self._frames, strict=False):
            if line.get("frame") != frame:
                break
            self.rows.append(FrameScores(**line))
            ends.append(ends[-1] + length)
        last = lines[-1][0].get("finished")
        self.is_finished = len(self.rows) == len(self._frames) and last is not None and last == self._published()
        return ends

    def _published(self) -> dict[str, Any]:
        """Name and size of the final video; {} if it is not saved."""
        if not self._saved:
            return {}
        path = self._saved.path
        return {"name": path.name, "bytes": path.stat().st_size if path.is_file() else None}

    def _write(self, line: dict[str, Any]) -> None:
        self._lines.write(json.dumps(line).encode() + b"\n")
        self._lines.flush()


def digest(fingerprint: Fingerprint) -> str:
    """SHA-256 of plain data."""
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True, default=str).encode()).hexdigest()


def _parsed(line: bytes) -> dict[str, Any]:
    """A line as data; {} if it is incomplete."""
    try:
        found = json.loads(line) if line.endswith(b"\n") else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
