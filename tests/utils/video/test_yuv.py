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
    from_rgb,
    neutral_chroma,
    parse_name,
    to_rgb,
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
@given(sides, sides, st.sampled_from(["420", "444"]), st.sampled_from([8, 10]), st.integers(1, 4))
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
    reader = YUVReader(write(tmp_path / str(name), geometry, noise(geometry, 1)))
    assert (reader.geometry, len(reader)) == (geometry, 1)  # shorter than its name says: the file is right


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


def test_colors_of_the_standard():
    """BT.601 studio range: white, black, and the primaries (ITU-R BT.601-7; values as in MATLAB's rgb2ycbcr)."""
    colors = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    expected = [[235, 128, 128], [16, 128, 128], [81, 90, 240], [145, 54, 34], [41, 240, 110]]
    frame = from_rgb(colors[None], "444")
    assert np.stack(frame, axis=2)[0].tolist() == expected
    assert np.abs(to_rgb(frame)[0].astype(int) - colors).max() <= 1  # 219 steps for 255


@settings(deadline=None, max_examples=25)
@given(sides, sides, st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_rgb_comes_back_from_even_color(width, height, red, green, blue):
    image = np.full((height, width, 3), (red, green, blue), np.uint8)
    assert np.abs(to_rgb(from_rgb(image)).astype(int) - image).max() <= 2


def test_chroma_is_the_mean_of_its_pixels_and_interpolated_between_them():
    u = np.array([[100, 140]], np.uint8)
    frame = Frame(np.full((2, 4), 126, np.uint8), u, np.full((1, 2), 128, np.uint8))
    blue = to_rgb(frame)[0, :, 2].astype(int)
    assert blue[0] < blue[1] < blue[2] < blue[3]
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0] = 255, 0, 0
    v = from_rgb(image).v
    assert v.shape == (1, 1)
    assert abs(int(v[0, 0]) - (240 + 3 * 128) / 4) <= 0.5


def test_an_image_of_odd_sides_has_no_420_chroma():
    with pytest.raises(UserError, match="3x2 pixels"):
        from_rgb(np.zeros((2, 3, 3), np.uint8))


def test_neutral_chroma_is_gray():
    u, v = neutral_chroma(Geometry(4, 2))
    gray = to_rgb(Frame(np.full((2, 4), 100, np.uint8), u, v))
    assert np.ptp(gray.reshape(-1, 3)) == 0
    assert neutral_chroma(Geometry(4, 2, "444", 10))[0].tolist() == [[512] * 4] * 2
