"""A video that is written in segments, so that the frames that are done survive an interruption, even of the process.

The segments lie in a hidden folder next to the result, `.<name>.part`, each with the frames of one encoder, which
needs none of the others. At the end their packets become one file, without another coding, and the folder is removed.
So what is written does not depend on interruptions. As long as that lasts there is room on the disk for the result
twice.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from powerqe.utils.errors import UserError, resumable
from powerqe.utils.file_lock import only_process
from powerqe.utils.files import atomic_path
from powerqe.utils.video.pyav import open_container
from powerqe.utils.video.yuv import Frame

LENGTH = 64
"""Frames of a segment: so many are lost at most. An encoder that begins anew has a frame without references there."""
_JOB = "job.json"


class SegmentWriter(Protocol):
    """Of one segment: `VideoWriter` or `YUVWriter`."""

    def write(self, frame: Frame, /) -> None: ...


class Segments:
    """The segments of a video that is written, see `open_segments`.

    Attributes:
        done: frames of segments that are whole.
    """

    def __init__(self, folder: Path, suffix: str, writer: Callable[[Path], AbstractContextManager[Any]]) -> None:
        self._folder, self._suffix, self._writer = folder, suffix, writer
        self._lengths = [record["length"] for record in self.records()]
        self.done = sum(self._lengths)
        self._count = 0
        self._open: Any = None

    @property
    def paths(self) -> list[Path]:
        """Of the segments that are whole, in their order."""
        return [self._path(number) for number in range(len(self._lengths))]

    def records(self) -> Iterator[dict[str, Any]]:
        """What is noted of each whole segment: its length, and the order of its packets."""
        number = 0
        while (record := self._path(number).with_suffix(".json")).is_file():
            yield json.loads(record.read_text(encoding="utf-8"))
            number += 1

    def place(self, frame: int) -> tuple[Path, int]:
        """The whole segment of a frame that is done, and its number there."""
        return self._path(frame // LENGTH), frame % LENGTH

    def write(self, frame: Frame) -> None:
        """Append a frame."""
        if self._open is None:
            self._open = self._writer(self._path(len(self._lengths)))
            self._open.__enter__()
            self._count = 0
        self._open.write(frame)
        self._count += 1
        if self._count == LENGTH:
            self.finish()

    def finish(self) -> None:
        """Close the last segment."""
        if self._open is None:
            return
        writer, self._open = self._open, None
        writer.__exit__(None, None, None)
        record = {"length": self._count, "order": getattr(writer, "order", [])}
        with atomic_path(self._path(len(self._lengths)).with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(record), encoding="utf-8")
        self._lengths.append(self._count)
        self.done += self._count

    def drop(self, error: BaseException) -> None:
        """Remove the segment that is not whole."""
        if self._open is not None:
            writer, self._open = self._open, None
            writer.__exit__(type(error), error, None)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}{self._suffix}"


@contextmanager
def open_segments(
    target: Path,
    suffix: str,
    writer: Callable[[Path], AbstractContextManager[Any]],
    job: Mapping[str, Any] | None,
) -> Iterator[Segments]:
    """The segments of a video: those of an interrupted run of the same job are there. They are removed when the block
    succeeds or fails by a `UserError`, which another run would meet again.

    Args:
        target: the file that they become.
        suffix: of their files.
        writer: of one segment.
        job: all that the frames depend on, for JSON; None: nothing is taken over or left behind.

    Raises:
        UserError: another process is at it.
    """
    folder = target.with_name(f".{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    with only_process(folder, f"{target} is being written by another process; wait, or give another name with -o"):
        _prepare(folder, job)
        segments = Segments(folder, suffix, writer)
        is_kept = False
        try:
            yield segments
        except BaseException as error:
            segments.drop(error)
            is_kept = bool(segments.done and job is not None and not isinstance(error, UserError))
            with resumable("run the same command again to go on with the video") if is_kept else nullcontext():
                raise
        finally:
            if not is_kept:
                shutil.rmtree(folder, ignore_errors=True)


def _prepare(folder: Path, job: Mapping[str, Any] | None) -> None:
    """Make the folder of a job, without what is there of another one."""
    wanted = json.dumps(job, sort_keys=True, default=str)
    note = folder / _JOB
    if job is None or not note.is_file() or note.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
    for rest in folder.glob(".*"):  # of a killed process
        rest.unlink()
    folder.mkdir(exist_ok=True)
    with atomic_path(note) as temporary:
        temporary.write_text(wanted, encoding="utf-8")


def packets(
    segments: Segments, times: Sequence[int], base: Any, last: int | None, *, by_decoding: bool
) -> Iterator[Any]:
    """The packets of all segments as those of one stream.

    Args:
        times: when each frame is shown, ascending, in steps of `base` seconds.
        last: how long the last one is.
        by_decoding: in MP4 a frame lasts until the next is decoded: so the last that is decoded has the rest.
    """
    records = list(segments.records())
    ranks = [{time: rank for rank, time in enumerate(sorted(record["order"]))} for record in records]
    lag = max(
        (place - rank[time] for rank, record in zip(ranks, records, strict=True)
         for place, time in enumerate(record["order"])), default=0
    )  # fmt: skip
    steps = [after - before for before, after in pairwise(times)]
    steps.append(last or (steps[-1] if steps else 0))
    begin = 0
    for path, rank, record in zip(segments.paths, ranks, records, strict=True):
        with open_container(path, format="nut") as container:
            found = (packet for packet in container.demux(video=0) if packet.size)
            for place, (packet, coded) in enumerate(zip(found, record["order"], strict=True), begin):
                shown = begin + rank[coded]
                packet.time_base, packet.pts, packet.duration = base, times[shown], steps[shown]
                packet.dts = times[place - lag] if place >= lag else times[0] - (lag - place) * max(steps[0], 1)
                if by_decoding and place == len(times) - 1:
                    begun = times[0] - lag * max(steps[0], 1)  # the first time of decoding
                    packet.duration = times[-1] + steps[-1] - times[0] - (packet.dts - begun)
                yield packet
        begin += record["length"]
