"""Videos to raw sequences and back, as a user does it."""

import os
from pathlib import Path

import numpy as np
import pytest

from powerqe.data_pre_process import convert_video
from powerqe.data_pre_process.main_convert_video import main
from powerqe.data_pre_process.main_create_video_lmdb import main as create_lmdb
from powerqe.dataset.clips import VideoClips
from powerqe.dataset.store import open_store
from powerqe.utils.video.colors import Color
from powerqe.utils.video.container import VideoReader, VideoWriter
from powerqe.utils.video.planes import shrink
from powerqe.utils.video.yuv import Frame, Geometry, YUVReader

RAW = ["one_64x48_10.yuv", "two_48x34_6_444_10bit.yuv"]


@pytest.fixture
def videos(tmp_path: Path, frames) -> Path:
    """A data folder with video/one.mkv (64x48, 10 frames) and video/two.mp4 (48x34 in 4:4:4 with 10 bit, 6 frames)."""
    for name, geometry, count in (("one.mkv", Geometry(64, 48), 10), ("two.mp4", Geometry(48, 34, "444", 10), 6)):
        with VideoWriter(tmp_path / "video" / name, geometry) as writer:
            for frame in frames(geometry, count):
                writer.write(frame)
    return tmp_path


def convert(data: Path, *arguments: object) -> int:
    return main([*(str(argument) for argument in arguments), "--data-root", str(data), "--nworker", "1"])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_becomes_sequences_and_again_videos(videos, frames, capsys):
    assert convert(videos, "video", "raw") == 0
    assert capsys.readouterr().out == f"{videos / 'raw'}: 2 videos written, 0 existed already\n"
    assert names(videos / "raw") == RAW
    assert convert(videos, "raw", "again", "--to", "mkv", "--fps", "50") == 0
    assert names(videos / "again") == ["one_64x48_10.mkv", "two_48x34_6.mkv"]
    for name, geometry in (("one_64x48_10.mkv", Geometry(64, 48)), ("two_48x34_6.mkv", Geometry(48, 34, "444", 10))):
        with VideoReader(videos / "again" / name) as video:
            assert (video.geometry, video.rate) == (geometry, 50)
            read = list(video)
        given = frames(geometry, len(read))
        pairs = [pair for frames in zip(read, given, strict=True) for pair in zip(*frames, strict=True)]
        assert all(np.array_equal(*pair) for pair in pairs)
    assert convert(videos, "again", "back") == 0  # the name goes there and back
    assert names(videos / "back") == RAW


@pytest.mark.parametrize("source", ["video/one.mkv", "raw/one_64x48_10.yuv"])
def test_part_size_and_frames(videos, frames, source):
    assert convert(videos, "video/one.mkv", "raw") == 0
    options = ["--crop", "40x36+8+4", "--down", "2", "--start", "3", "--max-frames", "5"]
    assert convert(videos, source, "small", *options) == 0
    reader = YUVReader(videos / "small/one_20x18_5.yuv")
    given = frames(Geometry(64, 48), 10)
    for index in range(5):
        whole = given[3 + index]
        part = whole._replace(y=whole.y[4:40, 8:48], u=whole.u[2:20, 4:24], v=whole.v[2:20, 4:24])
        for made, expected in zip(reader[index], shrink(part, 2, "area", 8), strict=True):
            np.testing.assert_array_equal(made, expected)
    assert convert(videos, source, "bicubic", *options, "--method", "bicubic") == 0
    assert (YUVReader(videos / "bicubic/one_20x18_5.yuv").luma(0) != reader.luma(0)).any()


def test_the_last_frames_may_be_fewer(videos, capsys):
    for done in ("1 videos written, 0 existed already", "0 videos written, 1 existed already"):
        assert convert(videos, "video/one.mkv", "raw", "--start", "8", "--max-frames", "5") == 0
        assert done in capsys.readouterr().out
    assert names(videos / "raw") == ["one_64x48_2.yuv"]
    assert len(YUVReader(videos / "raw/one_64x48_2.yuv")) == 2


def test_the_name_has_the_frames_that_there_are(videos, monkeypatch):
    """Whatever the number of packets is."""
    monkeypatch.setattr(convert_video, "count_packets", lambda path: 12)
    assert convert(videos, "video/one.mkv", "raw") == 0
    assert names(videos / "raw") == ["one_64x48_10.yuv"]


def test_only_missing_and_outdated_files_are_made(videos, capsys):
    assert convert(videos, "video", "raw", "--max-frames", "4") == 0
    made = videos / "raw/one_64x48_4.yuv"
    before = made.stat().st_mtime_ns
    (videos / "raw/two_48x34_4_444_10bit.yuv").unlink()
    assert convert(videos, "video", "raw", "--max-frames", "4") == 0
    assert "1 videos written, 1 existed already" in capsys.readouterr().out
    assert made.stat().st_mtime_ns == before
    os.utime(videos / "video/one.mkv", ns=(0, before + 10**9))
    assert convert(videos, "video", "raw", "--max-frames", "4") == 0
    assert made.stat().st_mtime_ns > before


def test_a_conversion_is_reported(videos, capsys):
    assert convert(videos, "video/two.mp4", "raw", "--chroma", "420", "--depth", "8") == 0
    made = videos / "raw/two_48x34_6.yuv"
    assert f"{videos / 'video/two.mp4'}: yuv444p10le is converted to 4:2:0 with 8 bit\n" in capsys.readouterr().out
    assert len(YUVReader(made)) == 6


def test_bad_videos_are_named_and_hinder_no_other(videos, capsys):
    whole = (videos / "video/two.mp4").read_bytes()
    (videos / "video/cut.mp4").write_bytes(whole[: len(whole) // 2])
    (videos / "video/text.mp4").write_bytes(b"no video")
    assert convert(videos, "video", "raw") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: 2 of 4 videos failed: ")
    assert error.count("\n") == 1
    assert "cut.mp4" in error
    assert names(videos / "raw") == RAW


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["video/three.mp4", "raw"], "three.mp4: No such file or directory; check the path"),
        (["video", "raw", "--crop", "8x8"], "found '8x8', expected a part of the frame"),
        (["video/one.mkv", "raw", "--crop", "64x48+2+0"], "one.mkv: no part 64x48+2+0 in frames of 64x48"),
        (["video/one.mkv", "raw", "--down", "40"], "64x48 pixels cannot be reduced 40 times"),
        (["video/one.mkv", "raw", "--start", "10"], "one.mkv has no frame 10; use a smaller --start"),
        (["video/two.mp4", "raw", "--crop", "47x33+0+0", "--chroma", "420"], "all four numbers must be even"),
        (["video/one.mkv", "raw", "--to", "avi"], "invalid choice: 'avi'"),
        (["empty", "raw"], "no video in "),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(videos, capsys, arguments, message):
    (videos / "empty").mkdir()
    assert convert(videos, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (videos / "raw").exists() or names(videos / "raw") == []


def test_names_that_collide(videos, capsys):
    (videos / "video/one.mp4").write_bytes((videos / "video/one.mkv").read_bytes())
    assert convert(videos, "video", "raw") == 2
    assert "one.mkv and " in (error := capsys.readouterr().err)
    assert "one.mp4" in error
    assert convert(videos, "video/one.mkv", "raw") == 0
    assert convert(videos, "raw", "raw") == 2
    assert "one_64x48_10.yuv" in capsys.readouterr().err
    with VideoReader(videos / "video/one.mkv") as video:
        assert len(list(video)) == 10


@pytest.mark.parametrize(
    ("color", "size", "down", "name"),
    [
        (Color(), (64, 48), "1", "c_64x48_2.yuv"),
        (Color(1, 6, 6, 6), (64, 48), "1", "c_64x48_2.yuv"),
        (Color(2, 6), (64, 48), "1", "c_64x48_2_full.yuv"),
        (Color(1, 9, 9, 16), (64, 48), "1", "c_64x48_2_bt2020.yuv"),
        (Color(), (1280, 32), "1", "c_1280x32_2.yuv"),
        (Color(), (1280, 32), "2", "c_640x16_2_bt709.yuv"),
    ],
)
def test_colors_are_noted_where_they_are_not_usual(tmp_path, color, size, down, name):
    geometry = Geometry(*size)
    with VideoWriter(tmp_path / "c.mkv", geometry, color=color) as writer:
        for _ in range(2):
            writer.write(Frame(*(np.full(shape, 90, np.uint8) for shape in geometry.shapes)))
    assert convert(tmp_path, "c.mkv", "raw", "--down", down) == 0
    assert names(tmp_path / "raw") == [name]
    assert convert(tmp_path, f"raw/{name}", "again", "--to", "mkv") == 0
    with VideoReader(next((tmp_path / "again").iterdir())) as video:
        assert (video.color.range == 2) == (color.range == 2)
        assert video.color.matrix(*video.geometry[:2]) == color.matrix(*size)


def test_rgb_becomes_the_studio_range_that_it_is_said_to_have(tmp_path):
    """White is 235, not 255 read as 1.15 times white."""
    geometry = Geometry(64, 48, "444")
    planes = Frame(*(np.full((48, 64), value, np.uint8) for value in (255, 255, 255)))
    red = Frame(*(np.full((48, 64), value, np.uint8) for value in (0, 0, 255)))  # green, blue, red
    for suffix in ("mkv", "mp4"):
        with VideoWriter(tmp_path / f"c.{suffix}", geometry, color=Color(2, 0)) as writer:
            writer.write(planes)
            writer.write(red)
        assert convert(tmp_path, f"c.{suffix}", suffix) == 0
        reader = YUVReader(tmp_path / suffix / "c_64x48_2_444.yuv")
        assert [int(plane[0, 0]) for number in (0, 1) for plane in reader[number]] == [235, 128, 128, 81, 90, 240]


def test_ten_bits_are_marked_and_read_as_such(videos):
    assert convert(videos, "video/two.mp4", "raw", "--chroma", "420") == 0
    path = videos / "raw/two_48x34_6_10bit.yuv"
    assert YUVReader(path).geometry == Geometry(48, 34, "420", 10)
    clips = VideoClips(gt=None, lq=str(path.parent))
    assert (len(clips), clips.sequences[0].name) == (6, "two_48x34")
    assert clips.sequences[0].enhanced_stem == "two_48x34_6"
    assert abs(4 * int(clips[0]["lq"][5, 7, 0]) - int(YUVReader(path)[0].y[5, 7])) <= 2
    assert create_lmdb(["raw", "--data-root", str(videos), "--nworker", "1"]) == 0
    assert np.array_equal(open_store(videos / "raw.lmdb")["two_48x34_6_10bit/00000"], clips[0]["lq"])
