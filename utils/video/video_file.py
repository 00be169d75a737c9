"""Video files of any kind and raw ones: frames one by one, their metadata, and back."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path
from powerqe.utils.video.colors import Color, marked, named_color
from powerqe.utils.video.container import PRESET, VideoReader, VideoWriter
from powerqe.utils.video.container_metadata import ContainerMetadata
from powerqe.utils.video.packets import Clock
from powerqe.utils.video.pyav import pyav
from powerqe.utils.video.segments import Segments, open_segments, packets
from powerqe.utils.video.suffixes import RAW, is_raw
from powerqe.utils.video.yuv import Depth, Frame, Geometry, YUVName, YUVReader, YUVWriter, count_frames, parse_name

RAW_RATE = 25
"""Frames per second of a video file that is made of a raw one."""
_UNKNOWN = Color()


@dataclass(frozen=True)
class VideoFile:
    """A video file before its frames are read.

    Attributes:
        path: of the file.
        geometry: of its frames.
        count: how many they are; of odd streams (fields, hidden frames) about that many.
        rate: frames per second; None for raw files.
        color: of the frames, as noted in the file or in the name of a raw one.
        metadata: further metadata of the file.
        notes: what had to be changed to get these frames, for the user.
    """

    path: Path
    geometry: Geometry
    count: int
    rate: Fraction | None = None
    color: Color = _UNKNOWN
    metadata: ContainerMetadata = field(default_factory=ContainerMetadata)
    notes: tuple[str, ...] = ()

    def frames(self) -> Iterator[tuple[Frame, int | None]]:
        """The frames, and when each is shown in steps of `metadata.time_base`, None if unknown.

        Raises:
            UserError: the file is damaged.
        """
        if is_raw(self.path):
            reader = YUVReader(self.path, self.geometry)
            yield from ((reader[number], None) for number in range(len(reader)))
            return
        with VideoReader(self.path, odd=True, rgb=self.color.is_rgb) as video:
            yield from video.timed()


def open_video_file(path: str | os.PathLike[str], *, rgb: bool = True) -> VideoFile:
    """What there is to know of a video; its first frame is decoded for that.

    Args:
        rgb: leave RGB as it is; else it becomes YCbCr.

    Raises:
        UserError: no such file, no video, a damaged one, or a raw one of unknown geometry.
    """
    path = Path(path)
    if is_raw(path):
        reader = YUVReader(path)
        return VideoFile(path, reader.geometry, len(reader), color=named_color(path))
    with VideoReader(path, odd=True, rgb=rgb) as video:
        if next(iter(video), None) is None:
            raise UserError(f"{path} has no frame")
        notes = []
        if video.converted is not None:
            kind = "RGB" if video.color.is_rgb else video.geometry.subsampling
            notes.append(f"{video.converted} became {kind} with {video.geometry.depth} bits")
    with VideoReader(path, odd=True) as whole:
        count, remarks, last = whole.survey()
    if video.metadata.field_order is not None:
        notes.append("interlaced: the two fields of a frame are enhanced as one image")
    metadata = video.metadata._replace(last=last)
    return VideoFile(path, video.geometry, count, video.rate, video.color, metadata, (*notes, *remarks))


class VideoFileWriter:
    """Writes the frames of a video, see `video_file_writer`.

    Attributes:
        done: frames that are there from an interrupted run; they are not written again.
        left_out: what the file cannot keep, in words; complete when it is closed.
    """

    def __init__(self, segments: Segments, clock: Clock, geometry: Geometry) -> None:
        self._segments, self._clock, self._geometry = segments, clock, geometry
        self.done = segments.done
        self.times: list[int] = []
        self.left_out: list[str] = []

    def write(self, frame: Frame | None, time: int | None) -> None:
        """Append a frame; None: the next of those that are there.

        Args:
            time: when it is shown, see `VideoFile.frames`.
        """
        self.times.append(self._clock.tick(time))
        if len(self.times) > self.done:
            assert frame is not None
            self._segments.write(frame)

    def frame(self, number: int) -> Frame:
        """One of the frames that are there."""
        path, place = self._segments.place(number)
        if is_raw(path):
            return YUVReader(path, self._geometry)[place]
        with VideoReader(path, odd=True, rgb=True) as video:
            return next(islice(video, place, None))


@contextmanager
def video_file_writer(
    path: str | os.PathLike[str],
    geometry: Geometry,
    source: VideoFile,
    crf: float | None = None,
    job: Mapping[str, Any] | None = None,
) -> Iterator[VideoFileWriter]:
    """Writes a video with other frames than `source` and all else of it; the file appears when the block succeeds.

    Args:
        path: its suffix, one of `VIDEO_TARGETS`, decides.
        geometry: of the frames.
        crf: see `VideoWriter`; not for raw files.
        job: what the frames depend on besides, so that an interrupted run can be continued; None: it cannot.

    Raises:
        UserError: frames that the format cannot hold, or a raw file with another size in its name.
    """
    path = Path(path)
    rate, metadata = source.rate or Fraction(RAW_RATE), source.metadata
    base = metadata.time_base or 1 / rate
    color = source.color.resized(source.geometry, geometry)
    whole = partial(VideoWriter, geometry=geometry, rate=rate, color=color, crf=crf)
    if is_raw(path):
        left_out = [*metadata.words(), *_check_name(path, geometry, source)]
        suffix, part = RAW, partial(YUVWriter, geometry=geometry)
    else:
        of_frames = ContainerMetadata(aspect=metadata.aspect, hdr10=metadata.hdr10)
        suffix, part = ".nut", partial(whole, metadata=of_frames, kind=path.suffix.lower())
    if job is not None:
        job = {**job, **_description(source), "geometry": geometry, "crf": crf}
    with open_segments(path, suffix, part, job) as segments:
        writer = VideoFileWriter(segments, Clock(rate, base), geometry)
        yield writer
        segments.finish()
        if is_raw(path):
            writer.left_out += [f"its {name}" for name in left_out]
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                for segment in segments.paths:
                    with segment.open("rb") as frames:
                        shutil.copyfileobj(frames, file, 1 << 20)
            return
        times = [time - round(metadata.start / base) for time in writer.times]
        with whole(path, metadata=metadata) as video:
            is_mp4 = path.suffix.lower() == ".mp4"
            for packet in packets(segments, times, base, metadata.last, by_decoding=is_mp4):
                video.put(packet)
        writer.left_out += video.left_out


def _description(source: VideoFile) -> dict[str, Any]:
    """What tells a file, and how it is decoded and encoded, from others."""
    found = source.path.stat()
    file = [str(source.path.resolve()), found.st_size, found.st_mtime_ns]
    return {"file": file, "av": pyav("videos").__version__, "preset": PRESET}


def named_depth(path: str | os.PathLike[str]) -> Depth:
    """The bits of a raw file that is to be written, by its name; without geometry there, 8."""
    try:
        return parse_name(path).depth
    except UserError:
        return 8


def rename_raw(raw: Path, path: Path, geometry: Geometry) -> None:
    """Give a raw video its final name, in the format of its suffix; the raw file is removed.

    Args:
        path: see `video_file_writer`; video files are without loss.
        geometry: of the frames.

    Raises:
        UserError: no encoder for the format, or none of such frames.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_raw(path):
        os.replace(raw, path)
        return
    source = VideoFile(raw, geometry, count_frames(raw, geometry), color=named_color(path))
    with video_file_writer(path, geometry, source) as video:
        for frame, time in source.frames():
            video.write(frame, time)
    raw.unlink()


def _check_name(path: str | os.PathLike[str], geometry: Geometry, source: VideoFile) -> list[str]:
    """What the name of a raw file does not say of the colors; raises `UserError` if it says other samples."""
    try:
        name = parse_name(path)
    except UserError:  # a name without geometry
        name = YUVName(Path(path).stem, *geometry[:2], source.count, *geometry[2:])
    if name.geometry != geometry:
        right = name._replace(**geometry._asdict())
        raise UserError(
            f"{path}: the frames have {geometry.width}x{geometry.height} pixels in {geometry.subsampling} with "
            f"{geometry.depth} bit, not those of this name; give the result another one with -o, such as {right}"
        )
    right = marked(name, source.color, source.geometry)
    return [] if right == name else [f"colors, which a name such as {right} would tell"]
