"""Compressing a folder of raw sequences: SOURCE/*.yuv -> TARGET/qp<QP>/, the same names, with descriptions.

The number of frames and the samples in the names are those of the results.
"""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from powerqe.data_pre_process.driver import FileJob, is_up_to_date
from powerqe.utils.codecs.video import SequenceCodec
from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path, scratch_folder, sha256_of
from powerqe.utils.video.frame_records import frames_path, read_record, write_record
from powerqe.utils.video.yuv import Chroma, Depth, YUVReader, parse_name, sequence_stem


@dataclass(frozen=True)
class SequenceCompression:
    """What to do with every sequence of a folder.

    max_frames: how many frames of each are coded. chroma, depth: of the sequences whose names do not say it; None: see
    `powerqe.utils.video.yuv`.
    keep_stream: whether the bit stream is kept next to the decoded sequence.
    """

    codec: SequenceCodec
    max_frames: int = 300
    chroma: Chroma | None = None
    depth: Depth | None = None
    keep_stream: bool = False

    def jobs(self, source: Path, target: Path, quality: int) -> list[FileJob]:
        """One job for each sequence of the folder `source`, at one quality.

        Raises:
            UserError: no such folder, no sequence in it, or no such quality.
        """
        name, (low, high) = self.codec.quality_name, self.codec.quality_range
        if not low <= quality <= high:
            raise UserError(f"{name}{quality}: {self.codec.name} has {name} {low} to {high}")
        folder = target / f"{name}{quality}"
        return [
            FileJob(path, made, partial(self._make, path, made, quality), self._is_done(path, made, quality), True)
            for path in list_sequences(source)
            for made in [folder / self._made_name(path)]
        ]

    def _open(self, path: Path) -> YUVReader:
        return YUVReader(path, chroma=self.chroma, depth=self.depth)

    def _made_name(self, path: Path) -> str:
        try:
            reader = self._open(path)
            name = parse_name(path)._replace(frames=self._count(reader), **reader.geometry._asdict())
        except UserError:  # reported when the video is compressed
            return path.name
        return str(name)

    def _count(self, reader: YUVReader) -> int:
        return min(len(reader), self.max_frames)

    def _parameters(self, reader: YUVReader, quality: int) -> str:
        return self.codec.parameters(quality, reader.geometry, self._count(reader))

    def _is_done(self, source: Path, target: Path, quality: int) -> bool:
        """Whether the sequence is there with its description, made of this source in this way."""
        try:
            if not is_up_to_date(target, source):
                return False
            record, frames = read_record(frames_path(target))
            reader, made = self._open(source), YUVReader(target)
            count = self._count(reader)
            return (len(made), len(frames)) == (count, count) and record.get("parameters") == self._parameters(
                reader, quality
            )
        except (UserError, OSError):
            return False  # reported when the video is compressed

    def _make(self, source: Path, target: Path, quality: int) -> None:
        reader = self._open(source)
        with scratch_folder(target) as scratch:
            decoded, stream = scratch / target.name, scratch / "stream"
            frames, version = self.codec.compress(reader, self._count(reader), quality, decoded, stream)
            record = {
                "codec": self.codec.name,
                "encoder": version,
                "parameters": self._parameters(reader, quality),
                "pattern": self.codec.pattern,
                self.codec.quality_name: quality,
                "source": source.name,
                "source_sha256": sha256_of(source),
                "sha256": sha256_of(decoded),
                "stream_sha256": sha256_of(stream),
            }
            for older in _results(target):  # the new description comes last
                frames_path(older).unlink()
                if older != target:
                    older.unlink(missing_ok=True)
            kept = target.with_suffix(self.codec.suffix)
            kept.unlink(missing_ok=True)
            if self.keep_stream:
                _move(stream, kept)
            _move(decoded, target)
        write_record(frames_path(target), record, frames)


def _results(target: Path) -> list[Path]:
    """What was made of the same sequence before, perhaps with another number of frames."""
    stem = sequence_stem(target.stem)
    found = (path for path in target.parent.glob("*.yuv") if frames_path(path).is_file())
    return [path for path in found if sequence_stem(path.stem) == stem]


def list_sequences(folder: Path) -> list[Path]:
    """The raw sequences of a folder, by name.

    Raises:
        UserError: no such folder, or none in it.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".yuv" and not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"cannot read the folder {folder}: {error.strerror}; check the path") from None
    if not paths:
        raise UserError(f"no sequence <Name>_<W>x<H>_<Frames>.yuv in {folder}; `powerqe data convert-video` makes them")
    return paths


def _move(path: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        os.replace(path, temporary)
