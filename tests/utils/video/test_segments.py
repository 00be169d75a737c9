"""Videos written in segments: what a killed process has done stays, and the result does not tell."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from powerqe.utils.errors import UserError
from powerqe.utils.video import segments
from powerqe.utils.video.container import VideoReader, VideoWriter
from powerqe.utils.video.container_metadata import ContainerMetadata
from powerqe.utils.video.video_file import open_video_file, video_file_writer
from powerqe.utils.video.yuv import Frame, Geometry

GEOMETRY, COUNT = Geometry(64, 48), 11
TIMES = [0, 20, 50, 60, 90, 130, 131, 140, 300, 310, 340]
SCRIPT = """
import os, signal, sys
from powerqe.utils.video import segments
from powerqe.utils.video.video_file import open_video_file, video_file_writer
segments.LENGTH = 4
source, target, crf, stop = open_video_file(sys.argv[1]), sys.argv[2], eval(sys.argv[3]), int(sys.argv[4])
with video_file_writer(target, source.geometry, source, crf, {"network": 1}) as writer:
    for number, (frame, time) in enumerate(source.frames()):
        writer.write(frame, time)
        if number == stop:
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def short(monkeypatch) -> None:
    monkeypatch.setattr(segments, "LENGTH", 4)


@pytest.fixture
def film(tmp_path, frames: Callable[..., list[Frame]]) -> Path:
    path = tmp_path / "film.mp4"
    with VideoWriter(path, GEOMETRY, Fraction(30), metadata=ContainerMetadata(Fraction(1, 600))) as writer:
        for frame, time in zip(frames(GEOMETRY, COUNT, noise=20), TIMES, strict=True):
            writer.write(frame, time)
    return path


def write(
    film: Path,
    target: Path,
    crf: float | None = None,
    *,
    job: dict | None,
    stop: int = COUNT,
    error: BaseException | None = None,
) -> int:
    """Frames that were there."""
    source = open_video_file(film)
    with video_file_writer(target, source.geometry, source, crf, job) as writer:
        for number, (frame, time) in enumerate(source.frames()):
            if number == stop:
                raise error or KeyboardInterrupt
            writer.write(frame if number >= writer.done else None, time)
    return writer.done


def content(path: Path) -> list:
    if path.suffix == ".yuv":
        return [path.read_bytes()]
    with VideoReader(path) as video:
        return [(time * video.metadata.time_base, *map(np.ndarray.tobytes, frame)) for frame, time in video.timed()]


def work(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
@pytest.mark.parametrize(("name", "crf"), [("a.mkv", None), ("a.mp4", None), ("a.mp4", 30), ("a.mkv", 30),
                                           ("a_64x48_11.yuv", None)])  # fmt: skip
def test_what_a_killed_process_has_done_stays(tmp_path, film, name, crf):
    once, target = tmp_path / "once" / name, tmp_path / "again" / name
    assert write(film, once, crf, job={}) == 0
    command = [sys.executable, "-c", SCRIPT, str(film), str(target), str(crf), "9"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, check=False, timeout=60, env=environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not target.exists()
    assert write(film, target, crf, job={"network": 1}) == 8
    assert content(target) == content(once)
    assert list(target.parent.iterdir()) == [target]
    if crf is None and name != "a_64x48_11.yuv":
        assert [frame[1:] for frame in content(target)] == [frame[1:] for frame in content(film)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_times_of_frames_are_those_of_the_source(tmp_path, film, suffix):
    target = tmp_path / f"a{suffix}"
    write(film, target, job=None)
    expected = [time / 600 for time in TIMES]
    assert [float(frame[0]) for frame in content(target)] == pytest.approx(expected, abs=6e-4)
    with av.open(str(target)) as file:
        decoding = [packet.dts for packet in file.demux(video=0) if packet.size and packet.dts is not None]
    assert decoding == sorted(set(decoding))


def interrupted(film: Path, target: Path, crf: float | None = None, *, job: dict | None, stop: int = 9) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(film, target, crf, job=job, stop=stop)


def test_another_job_starts_anew(tmp_path, film):
    target = tmp_path / "a.mkv"
    for change in ("job", "crf", "file"):
        interrupted(film, target, job={"network": 1})
        assert work(target).is_dir()
        if change == "file":
            os.utime(film, ns=(0, 0))
        assert write(film, target, 30 if change == "crf" else None, job={"network": 1 + (change == "job")}) == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "film.mp4"]


def test_nothing_stays_that_cannot_be_continued(tmp_path, film):
    target = tmp_path / "a.mkv"
    interrupted(film, target, job={}, stop=3)
    interrupted(film, target, job=None)
    with pytest.raises(UserError, match="damaged"):
        write(film, target, job={}, error=UserError("damaged"), stop=9)
    assert list(tmp_path.iterdir()) == [film]


def test_two_processes_do_not_write_the_same(tmp_path, film):
    target = tmp_path / "a.mkv"
    with video_file_writer(target, GEOMETRY, open_video_file(film), None, {}) as writer:
        writer.write(next(open_video_file(film).frames())[0], 0)
        with pytest.raises(UserError, match=r"a\.mkv.*another process"):
            write(film, target, job={})


def test_a_frame_that_is_done_can_be_seen(tmp_path, film):
    for name in ("a.mp4", "a_64x48_11.yuv"):
        target = tmp_path / name
        interrupted(film, target, job={})
        source = open_video_file(film)
        with video_file_writer(target, GEOMETRY, source, None, {}) as writer:
            given = [frame for frame, _ in source.frames()]
            assert all(np.array_equal(*pair) for pair in zip(writer.frame(6), given[6], strict=True))
            for frame, time in source.frames():
                writer.write(frame, time)
