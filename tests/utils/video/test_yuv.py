"""Raw planar video: what is written is read, frame by frame, and a file that does not fit is refused."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerqe.utils.errors import UserError
from powerqe.utils.video.yuv import (
    Frame,
    Geometry,
    YUVName,
    YUVReader,
    YUVWriter,
    count_named_frames,
    named_geometry,
    neutral_chroma,
    parse_name,
)

sides = st.integers(1, 9).map(lambda half: 2 * half)


def noise(geometry: Geometry, count: int, seed: int = 0) -> list[Frame]:
    random = np.random.default_rng(seed)
    return [
        Frame(*(random.integers(0, 1 << geometry.depth, shape).astype(geometry.dtype) for shape in geometry.shapes))
        for _ in range(count)
    ]


def write(path: Path, geometry: Geometry, frames: list[Frame]) -> Path:
    with YUVWriter(path, geometry) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def same(left: Frame, right: Frame) -> bool:
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(left, right, strict=True))


@settings(deadline=None, max_examples=25)
@given(sides, sides, st.sampled_from(["400", "420", "422", "444"]), st.sampled_from([8, 10]), st.integers(1, 4))
def test_what_is_written_is_read(tmp_path_factory, width, height, chroma, depth, count):
    geometry = Geometry(width, height, chroma, depth)
    frames = noise(geometry, count)
    path = write(tmp_path_factory.mktemp("yuv") / "a.yuv", geometry, frames)
    reader = YUVReader(path, geometry)
    assert path.stat().st_size == count * geometry.frame_bytes
    assert len(reader) == count
    for index in reversed(range(count)):  # in any order
        assert same(reader[index], frames[index])
        assert np.array_equal(reader.luma(index), frames[index].y)
    with pytest.raises(IndexError):
        reader[count]


def test_the_layout_is_that_of_ffmpeg(tmp_path):
    for format_name, geometry in {
        "yuv420p": Geometry(6, 4),
        "yuv444p": Geometry(6, 4, "444"),
        "yuv420p10le": Geometry(6, 4, "420", 10),
        "yuv444p10le": Geometry(6, 4, "444", 10),
    }.items():
        (frame,) = noise(geometry, 1)
        path = write(tmp_path / "a.yuv", geometry, [frame])
        with av.open(str(path), format="rawvideo", options={"video_size": "6x4", "pixel_format": format_name}) as video:
            (decoded,) = video.decode(video=0)
        planes = [np.frombuffer(plane, geometry.dtype) for plane in decoded.planes]
        for plane, read, shape in zip(frame, planes, geometry.shapes, strict=True):
            lines = read.reshape(shape[0], -1)[:, : shape[1]]  # FFmpeg's lines may be longer
            assert np.array_equal(lines, plane), format_name


def test_the_name_has_size_and_frames(tmp_path):
    name = YUVName("Netflix-Driving_POV", 416, 240, 2)
    assert parse_name(tmp_path / str(name)) == name
    geometry = Geometry(416, 240)
    reader = YUVReader(write(tmp_path / str(name), geometry, noise(geometry, 2)))
    assert (reader.geometry, len(reader)) == (geometry, 2)


def test_frames_are_views_that_cannot_be_changed(tmp_path):
    geometry = Geometry(4, 4)
    reader = YUVReader(write(tmp_path / "a.yuv", geometry, noise(geometry, 2)), geometry)
    with pytest.raises(ValueError, match="read-only"):
        reader.luma(0)[0, 0] = 1


def test_nothing_appears_under_the_name_before_all_is_written(tmp_path):
    geometry = Geometry(4, 4)
    frame = noise(geometry, 1)[0]

    def interrupted() -> None:
        with YUVWriter(tmp_path / "a.yuv", geometry) as writer:
            writer.write(frame)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        interrupted()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("clip.yuv", "<Name>_<W>x<H>_<Frames>.yuv"),
        ("clip_0x4_3.yuv", "rename it"),
        ("clip_5x4_3.yuv", "even sides; crop the video, or store it as 4:4:4"),
        ("clip_4x4_3.yuv", r"24 and 1 left.*cut.*4x4.*4:2:0.*8 bit"),
        ("clip_40x40_3.yuv", r"0 frames.*2,400.*25 left"),
        ("none_4x4_3.yuv", "No such file"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, name, message):
    if not name.startswith("none"):
        (tmp_path / name).write_bytes(bytes(25))
    with pytest.raises(UserError, match=message) as error:
        YUVReader(tmp_path / name)
    assert name in str(error.value)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "clip_4x4_3.yuv").touch()
    with pytest.raises(UserError, match="0 frames"):
        YUVReader(tmp_path / "clip_4x4_3.yuv")


def test_a_frame_of_another_shape_or_depth_is_refused(tmp_path):
    for wrong in (Geometry(6, 4), Geometry(4, 4, "444"), Geometry(4, 4, "420", 10)):
        with pytest.raises(UserError, match="does not fit the video"), YUVWriter(tmp_path / "a", Geometry(4, 4)) as yuv:
            yuv.write(noise(wrong, 1)[0])
    assert not list(tmp_path.iterdir())


def test_neutral_chroma_is_gray():
    assert neutral_chroma(Geometry(4, 2))[0].tolist() == [[128, 128]]
    assert neutral_chroma(Geometry(4, 2, "444", 10))[0].tolist() == [[512] * 4] * 2
    assert neutral_chroma(Geometry(4, 2, "400"))[0].size == 0


@pytest.mark.parametrize(
    "name", ["a_8x4_2", "a_8x4_2_10bit", "b_c_8x4_2_444_10bit_bt2020_full", "a_8x4_2_400", "a_8x4_2_422"]
)
def test_samples_are_marked_in_the_name(tmp_path, name):
    parsed = parse_name(f"{name}.yuv")
    assert str(parsed) == f"{name}.yuv"
    assert (parsed.frames, parsed.geometry.depth) == (2, 10 if "10bit" in name else 8)
    frames = noise(parsed.geometry, 2)
    reader = YUVReader(write(tmp_path / f"{name}.yuv", parsed.geometry, frames))
    assert all(same(reader[number], frame) for number, frame in enumerate(frames))


def test_options_are_for_names_that_say_nothing(tmp_path):
    assert named_geometry("a_8x4_2.yuv", "444", 10) == Geometry(8, 4, "444", 10)
    assert named_geometry("a_8x4_2_10bit.yuv", "422", 10) == Geometry(8, 4, "422", 10)
    for options in ({"depth": 8}, {"chroma": "420"}):
        with pytest.raises(UserError, match=r"a_8x4_2_444_10bit\.yuv"):
            named_geometry("a_8x4_2_444_10bit.yuv", **options)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (48 * 3 * 2, r"6 frames.*promises 3.*10 bit.*a_8x4_3_10bit\.yuv"),
        (64 * 3, r"4 frames.*promises 3.*4:2:2.*a_8x4_3_422\.yuv"),
        (48 * 2, r"2 frames.*promises 3.*cut off.*a_8x4_2\.yuv"),
        (48 * 4, r"4 frames.*promises 3.*a_8x4_4\.yuv"),
    ],
)
def test_frames_that_the_name_does_not_promise(tmp_path, size, said):
    path = tmp_path / "a_8x4_3.yuv"
    path.write_bytes(bytes(size))
    with pytest.raises(UserError, match=said):
        YUVReader(path)
    if size == 48 * 2:  # the first two are enough
        assert count_named_frames(path, Geometry(8, 4), 2) == 2
    assert len(YUVReader(path, Geometry(8, 4))) == size // 48
