"""Video files and raw sequences into each other, with parts and sizes changed on the way."""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from powerqe.data_pre_process.driver import FileJob, check_names, is_up_to_date
from powerqe.utils.errors import UserError
from powerqe.utils.image.crop import CropBox
from powerqe.utils.video.colors import Color, marked, named_color
from powerqe.utils.video.container import VideoReader, VideoWriter, count_packets
from powerqe.utils.video.planes import Method, check_crop, crop, shrink, shrunk_geometry
from powerqe.utils.video.suffixes import SUFFIXES, is_video
from powerqe.utils.video.yuv import Chroma, Depth, Frame, Geometry, YUVName, YUVReader, YUVWriter, parse_name


class _Opened(NamedTuple):
    frames: Iterable[Frame]
    geometry: Geometry
    rate: Fraction
    color: Color


@dataclass(frozen=True)
class Conversion:
    """How every video is converted.

    suffix: of the result. crop: part of the frames that is kept, before scaling. down, method: see
    `powerqe.utils.video.planes.shrink`. start, max_frames: which frames. chroma, depth: of .yuv files whose names do
    not say it, and what videos are converted to; None: see `powerqe.utils.video.yuv`, and what the videos have. fps:
    of .yuv files.
    """

    suffix: str = ".yuv"
    crop: CropBox | None = None
    down: int = 1
    method: Method = "area"
    start: int = 0
    max_frames: int | None = None
    chroma: Chroma | None = None
    depth: Depth | None = None
    fps: int = 25

    def jobs(self, source: Path, target: Path) -> list[FileJob]:
        """One job for each video: the file `source`, or those of the folder.

        Raises:
            UserError: nothing there, or two videos that would get the same name.
        """
        jobs = []
        for path in _videos(source):
            made, done = self._plan(path, target)
            jobs.append(FileJob(path, made, partial(self._make, path, made), done, True))
        check_names(jobs)
        return jobs

    def remarks(self, jobs: Iterable[FileJob]) -> list[str]:
        """Remarks for the user: which videos get another chroma subsampling or bit depth, or lack frames."""
        return [remark for job in jobs if not job.done for remark in self._remark(job.source)]

    def _remark(self, path: Path) -> list[str]:
        if path.suffix == ".yuv":
            return []
        try:
            with VideoReader(path, self.chroma, self.depth, self.crop) as video:
                to = f"{video.geometry.subsampling} with {video.geometry.depth} bit"
                remarks = [f"{video.converted} is converted to {to}"] if video.converted else []
                return [f"{path}: {remark}" for remark in (*remarks, *video.survey().notes)]
        except UserError:
            return []  # reported when the video is converted

    def _plan(self, path: Path, folder: Path) -> tuple[Path, bool]:
        """The result of a video, and whether it exists already."""
        try:
            with self._open(path) as opened:
                pass
            count = count_packets(path) if path.suffix != ".yuv" else len(self._raw(path))
        except UserError:  # reported when the video is converted
            return folder / path.with_suffix(self.suffix).name, False
        stop = count if self.max_frames is None else min(count, self.start + self.max_frames)
        target = self._target(path, folder, opened, max(stop - self.start, 0))
        return target, is_up_to_date(target, path)

    def _target(self, path: Path, folder: Path, opened: _Opened, count: int) -> Path:
        try:
            name = parse_name(path).name
        except UserError:
            name = path.stem
        geometry = self._geometry(opened.geometry, path)
        made = YUVName(name, geometry.width, geometry.height, count)
        if self.suffix == ".yuv":  # other files have it inside
            made = marked(made._replace(**geometry._asdict()), opened.color, opened.geometry)
        return folder / Path(str(made)).with_suffix(self.suffix)

    def _geometry(self, geometry: Geometry, path: Path) -> Geometry:
        return geometry if self.down == 1 else shrunk_geometry(geometry, self.down, path)

    def _make(self, path: Path, target: Path) -> None:
        stop = None if self.max_frames is None else self.start + self.max_frames
        count = 0
        with self._open(path) as opened:
            geometry = self._geometry(opened.geometry, path)
            writer = (
                YUVWriter(target, geometry)
                if self.suffix == ".yuv"
                else VideoWriter(target, geometry, opened.rate, opened.color.resized(opened.geometry, geometry))
            )
            with writer:
                for frame in islice(opened.frames, self.start, stop):
                    writer.write(frame if self.down == 1 else shrink(frame, self.down, self.method, geometry.depth))
                    count += 1
                if not count:
                    raise UserError(f"{path} has no frame {self.start}; use a smaller --start")
        counted = self._target(path, target.parent, opened, count)
        if counted != target:  # packets are no frames in rare streams
            os.replace(target, counted)

    @contextmanager
    def _open(self, path: Path) -> Iterator[_Opened]:
        if path.suffix != ".yuv":
            with VideoReader(path, self.chroma, self.depth, self.crop) as video:
                yield _Opened(video, video.geometry, video.rate, video.color)
            return
        reader = self._raw(path)
        geometry, color, box = reader.geometry, named_color(path), self.crop
        frames: Iterable[Frame] = (reader[index] for index in range(len(reader)))
        if box is not None:
            whole = geometry
            check_crop(box, whole, path)
            frames = (crop(frame, box, whole.chroma) for frame in frames)
            geometry = whole._replace(width=box.width, height=box.height)
            color = color.resized(whole, geometry)
        yield _Opened(frames, geometry, Fraction(self.fps), color)

    def _raw(self, path: Path) -> YUVReader:
        return YUVReader(path, chroma=self.chroma, depth=self.depth)


def _videos(source: Path) -> list[Path]:
    if not source.is_dir():
        if not source.exists():
            raise UserError(f"cannot read {source}: {os.strerror(errno.ENOENT)}; check the path")
        return [source]
    found = sorted(path for path in source.iterdir() if is_video(path) and not path.name.startswith("."))
    if not found:
        raise UserError(f"no video in {source}; it needs files *.yuv *{' *'.join(SUFFIXES)}")
    return found
