"""Video files: lossless round trips, padded lines, conversions, and everything that is not a whole video."""

import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from powerqe.utils.errors import UserError
from powerqe.utils.image.crop import CropBox
from powerqe.utils.video.colors import Color
from powerqe.utils.video.container import VideoReader, VideoWriter, count_packets
from powerqe.utils.video.pyav import FORMATS, from_av_frame, is_held, pixel_format, to_av_frame
from powerqe.utils.video.yuv import Frame, Geometry

Frames = Callable[..., list[Frame]]


def write(path: Path, geometry: Geometry, frames: list[Frame], *more) -> Path:
    with VideoWriter(path, geometry, *more) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def foreign(
    path: Path,
    pixels: str,
    av_frames: list[av.VideoFrame],
    codec: str = "ffv1",
    *,
    movflags: str | None = None,
    **options: str,
) -> Path:
    """Write a video by PyAV alone."""
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = av_frames[0].width, av_frames[0].height, pixels
        for av_frame in [*av_frames, None]:
            container.mux(stream.encode(av_frame))
    return path


def av_frames(pixels: str, size: tuple[int, int] = (64, 48), count: int = 3) -> list[av.VideoFrame]:
    """Of a smooth RGB image."""
    y, x = np.mgrid[: size[1], : size[0]]
    ramps = [np.stack([2 * x + t, 3 * y + t, x + y], 2).clip(0, 255).astype(np.uint8) for t in range(count)]
    return [av.VideoFrame.from_ndarray(ramp, "rgb24").reformat(format=pixels) for ramp in ramps]


def same(left: Frame, right: Frame) -> bool:
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("chroma", ["420", "444"])
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("size", [(66, 34), (64, 64), (32, 48), (130, 18)])
def test_what_is_written_is_read(tmp_path, frames: Frames, suffix, chroma, depth, size):
    geometry, color = Geometry(*size, chroma, depth), Color(1, 1, 1, 1)
    given = frames(geometry, 5)
    path = write(tmp_path / f"a{suffix}", geometry, given, Fraction(30000, 1001), color)
    with VideoReader(path) as video:
        assert (video.geometry, video.rate, video.color, video.converted) == (
            geometry,
            Fraction(30000, 1001),
            color,
            None,
        )
        read = list(video)
    assert len(read) == 5
    assert all(same(*pair) for pair in zip(read, given, strict=True))
    assert count_packets(path) == 5
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "yuv420p10le", "yuv444p10le"])
def test_lines_may_be_longer_than_the_image(pixels, frames: Frames):
    geometry = Geometry(34, 18, *FORMATS[pixels])
    (frame,) = frames(geometry, 1)
    av_frame = to_av_frame(frame, geometry)
    assert pixel_format(geometry) == av_frame.format.name == pixels
    assert all(plane.line_size > plane.width * geometry.dtype.itemsize for plane in av_frame.planes)
    assert same(from_av_frame(av_frame), frame)
    expected = [plane.reshape(-1) for plane in frame]
    if pixels == "yuv420p":  # PyAV's own way, which older releases have for few formats
        np.testing.assert_array_equal(av_frame.to_ndarray().reshape(-1), np.concatenate(expected))
    with pytest.raises(ValueError, match="read-only"):
        from_av_frame(av_frame).y[0, 0] = 0


@pytest.mark.parametrize(
    ("pixels", "chroma", "depth"),
    [
        ("yuv420p12le", "420", 10),
        ("yuv422p12le", "422", 10),
        ("yuv444p12le", "444", 10),
        ("yuv411p", "422", 8),
        ("yuv410p", "420", 8),
        ("yuva420p", "420", 8),
        ("bgr0", "444", 8),
        ("gbrp10le", "444", 10),
        ("gray12le", "400", 10),
    ],
)
def test_other_formats_are_converted_with_a_note(tmp_path, pixels, chroma, depth):
    path = foreign(tmp_path / "a.mkv", pixels, av_frames(pixels))
    with VideoReader(path) as video:
        assert video.geometry == Geometry(64, 48, chroma, depth)
        assert video.converted == pixels
        read = list(video)
    scale = 1 << (depth - 8)
    expected = av_frames("yuvj444p" if chroma == "400" else "yuv444p")
    for frame, av_frame in zip(read, expected, strict=True):
        assert tuple(plane.shape for plane in frame) == video.geometry.shapes
        y = from_av_frame(av_frame).y
        assert np.abs(frame.y / scale - y).mean() < 1.5
    assert video.color.space == (6 if pixels in ("bgr0", "gbrp10le") else 2)


def test_the_user_chooses_what_to_convert_to(tmp_path, frames: Frames):
    geometry = Geometry(64, 48)
    path = write(tmp_path / "a.mkv", geometry, frames(geometry, 2))
    with VideoReader(path, "444", 10) as video:
        assert (video.geometry, video.converted) == (Geometry(64, 48, "444", 10), "yuv420p")
        read = list(video)
    for frame, given in zip(read, frames(geometry, 2), strict=True):
        assert frame.u.shape == (48, 64)
        assert np.abs(frame.y / 4 - given.y).max() <= 1


def test_full_range_is_kept_as_it_is(tmp_path, frames: Frames):
    geometry = Geometry(64, 48)
    given = frames(geometry, 2)
    shown = [av.VideoFrame.from_ndarray(to_av_frame(frame, geometry).to_ndarray(), "yuvj420p") for frame in given]
    path = foreign(tmp_path / "a.mp4", "yuvj420p", shown, "libx264", qp="0")
    with VideoReader(path) as video:
        assert (video.converted, video.color.range) == (None, 2)
        assert all(same(*pair) for pair in zip(video, given, strict=True))


def test_a_part_is_read(tmp_path, frames: Frames):
    geometry = Geometry(64, 48)
    given = frames(geometry, 2)
    path = write(tmp_path / "a.mkv", geometry, given)
    with VideoReader(path, crop=CropBox(6, 4, 10, 20)) as video:
        assert video.geometry == Geometry(20, 10)
        for frame, whole in zip(video, given, strict=True):
            np.testing.assert_array_equal(frame.y, whole.y[6:16, 4:24])
            np.testing.assert_array_equal(frame.v, whole.v[3:8, 2:12])
    with pytest.raises(UserError, match=r"a\.mkv.*20x10\+50\+0"):
        VideoReader(path, crop=CropBox(0, 50, 10, 20))


def test_odd_sides(tmp_path):
    path = foreign(tmp_path / "a.mkv", "yuv420p", av_frames("yuv420p", (63, 49)))
    with pytest.raises(UserError, match=r"a\.mkv: 63x49.*4:2:0"):
        VideoReader(path)
    with VideoReader(path, crop=CropBox(0, 0, 48, 62)) as video:
        assert [frame.u.shape for frame in video] == [(24, 31)] * 3
    with VideoReader(path, "444") as video:
        assert [frame.u.shape for frame in video] == [(49, 63)] * 3


@pytest.fixture
def coded(tmp_path, frames: Frames) -> bytes:
    """An mp4 file of H.264 in which the index comes first, so that one that is cut off can be opened."""
    geometry = Geometry(128, 96)
    shown = [to_av_frame(frame, geometry) for frame in frames(geometry, 30, noise=20)]
    return foreign(tmp_path / "a.mp4", "yuv420p", shown, "libx264", movflags="faststart", qp="20").read_bytes()


def read_all(path: Path) -> int:
    with VideoReader(path) as video:
        return sum(1 for _ in video)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
def test_a_file_that_is_cut_off(tmp_path, coded, part):
    path = tmp_path / "a.mp4"
    assert read_all(path) == 30
    path.write_bytes(coded[: int(part * len(coded))])
    with pytest.raises(UserError, match=rf"{path}.*cut"):
        read_all(path)


def test_a_file_that_is_cut_off_between_frames(tmp_path, coded):
    path = tmp_path / "a.mp4"
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        end = packets[14].pos + packets[14].size
    path.write_bytes(coded[:end])
    with pytest.raises(UserError, match=r"a\.mp4.*cut"):
        read_all(path)


@pytest.mark.parametrize("part", [0.4, 0.7])
def test_damaged_packets(tmp_path, coded, part):
    start, size = int(part * len(coded)), len(coded) // 5
    (tmp_path / "a.mp4").write_bytes(coded[:start] + bytes(size) + coded[start + size :])
    with pytest.raises(UserError, match=r"a\.mp4.*damaged"):
        read_all(tmp_path / "a.mp4")


def test_a_size_that_changes_on_the_way(tmp_path, frames: Frames):
    streams = []
    for size in ((64, 48), (48, 64)):
        shown = av_frames("yuv420p", size)
        streams.append(foreign(tmp_path / "part.h264", "yuv420p", shown, "libx264").read_bytes())
    (tmp_path / "a.h264").write_bytes(b"".join(streams))
    with pytest.raises(UserError, match=r"a\.h264"):
        read_all(tmp_path / "a.h264")


def test_what_is_no_video(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"hello, " * 100)
    with pytest.raises(UserError, match=r"a\.mp4.*cut"):
        VideoReader(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"cannot read the video .*b\.mp4: No such file"):
        VideoReader(tmp_path / "b.mp4")
    with av.open(str(tmp_path / "sound.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(UserError, match=r"sound\.mkv"):
        VideoReader(tmp_path / "sound.mkv")


def test_an_interrupted_writer_leaves_nothing(tmp_path, frames: Frames):
    geometry = Geometry(64, 48)

    def interrupted() -> None:
        with VideoWriter(tmp_path / "a.mp4", geometry) as writer:
            writer.write(frames(geometry, 1)[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_frames_and_files_that_do_not_fit(tmp_path, frames: Frames):
    geometry = Geometry(64, 48)
    with pytest.raises(UserError, match=r"a\.avi.*\.mp4, \.mkv"):
        VideoWriter(tmp_path / "a.avi", geometry)
    with pytest.raises(UserError, match=r"63x48.*4:2:0"):
        VideoWriter(tmp_path / "a.mp4", Geometry(63, 48))
    with pytest.raises(UserError, match=r"x265.*16x16"):
        VideoWriter(tmp_path / "a.mp4", Geometry(16, 16))
    with pytest.raises(UserError, match="130x2"):
        write(tmp_path / "a.mp4", Geometry(130, 2), frames(Geometry(130, 2), 2))
    with pytest.raises(UserError, match="does not fit the video"):
        write(tmp_path / "a.mkv", geometry, frames(Geometry(48, 64), 1))
    assert list(tmp_path.iterdir()) == []


def test_a_build_without_the_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"hevc", "libx264"})
    with pytest.raises(UserError, match=r"\.mp4.*x265.*PyAV"):
        VideoWriter(tmp_path / "a.mp4", Geometry(64, 48))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match="reading videos needs PyAV"):
        VideoReader(tmp_path / "a.mp4")


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("crf", [None, 30])
def test_videos_of_few_frames(tmp_path, frames: Frames, count, crf):
    """Their times were what lay in memory, so that every fifth file or so could not be written."""
    geometry = Geometry(64, 48)
    with VideoWriter(tmp_path / "a.mp4", geometry, crf=crf) as writer:
        for frame in frames(geometry, count):
            writer.write(frame)
    with av.open(str(tmp_path / "a.mp4")) as file:
        times = [float(packet.dts * packet.time_base) for packet in file.demux(video=0) if packet.size]
    assert len(times) == count
    assert all(-0.2 <= time <= 0.12 for time in times)
    assert times == sorted(set(times))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_interrupted_at_the_end_it_leaves_nothing(tmp_path, frames: Frames, monkeypatch, suffix):
    geometry = Geometry(64, 48)

    def interrupted(self, until=None):
        if until is None:
            raise KeyboardInterrupt

    writer = VideoWriter(tmp_path / f"a{suffix}", geometry)
    writer.__enter__()
    writer.write(frames(geometry, 1)[0])
    monkeypatch.setattr(type(writer._companions), "copy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        writer.__exit__(None, None, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("location", [None, 0, 1, 2])
def test_the_place_of_the_chroma_is_kept(tmp_path, frames: Frames, location):
    geometry, color = Geometry(64, 48), Color(1, 1, 1, 1, location)
    given = frames(geometry, 2)
    for suffix in (".mp4", ".mkv"):
        with VideoWriter(tmp_path / f"a{suffix}", geometry, color=color) as writer:
            for frame in given:
                writer.write(frame)
        is_kept = suffix == ".mp4" or not location
        assert bool(writer.left_out) != is_kept
        with VideoReader(tmp_path / f"a{suffix}") as video:
            assert video.color == (color if suffix == ".mp4" else color._replace(location=None))


@pytest.mark.parametrize(
    ("codec", "pixels", "options", "location"),
    [
        ("mjpeg", "yuvj420p", {}, 1),
        ("mpeg1video", "yuv420p", {}, 1),
        ("mpeg2video", "yuv420p", {}, None),
        ("libx264", "yuv420p", {"x264-params": "chromaloc=2"}, 2),
        ("libx264", "yuv420p", {}, None),
    ],
)
def test_codecs_say_where_the_chroma_is(tmp_path, codec, pixels, options, location):
    path = foreign(tmp_path / "a.mkv", pixels, av_frames(pixels), codec, **options)
    with VideoReader(path) as video:
        assert video.color.location == location


@pytest.mark.parametrize("pixels", ["bgr0", "gbrp10le"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_rgb_stays_what_it_is(tmp_path, pixels, suffix):
    """White is white: the full range is neither read nor noted as the studio range."""
    path = foreign(tmp_path / "a.mkv", pixels, av_frames(pixels))
    with VideoReader(path, rgb=True) as video:
        assert (video.converted, video.color.range, video.color.space) == (None, 2, 0)
        read, geometry, color = list(video), video.geometry, video.color
    written = write(tmp_path / f"b{suffix}", geometry, read, Fraction(25), color)
    with av.open(str(path)) as before, av.open(str(written)) as after:
        for one, other in zip(before.decode(video=0), after.decode(video=0), strict=True):
            np.testing.assert_array_equal(one.to_ndarray(format="rgb24"), other.to_ndarray(format="rgb24"))


@pytest.mark.parametrize("pixels", ["nv12", "yuyv422"])
def test_the_same_samples_in_another_order_are_no_conversion(tmp_path, pixels):
    path = foreign(tmp_path / "a.nut", pixels, av_frames(pixels), "rawvideo")
    planar = {"nv12": "yuv420p", "yuyv422": "yuv422p"}[pixels]
    assert is_held(av.VideoFormat("p010le", 64, 48), Geometry(64, 48, "420", 10), rgb=False)
    with VideoReader(path) as video:
        assert video.converted is None
        for frame, av_frame in zip(video, av_frames(pixels), strict=True):
            assert same(frame, from_av_frame(av_frame.reformat(format=planar)))


def test_a_full_range_stays_when_the_chroma_changes(tmp_path, frames: Frames):
    geometry = Geometry(64, 48)
    path = write(tmp_path / "a.mkv", geometry, frames(geometry, 1), Fraction(25), Color(2, 1))
    with VideoReader(path, "444", 10) as video:
        assert video.color.range == 2
        (frame,) = video
    (given,) = frames(geometry, 1)
    np.testing.assert_array_equal(frame.y, np.floor(given.y * (1023 / 255) + 0.5))


def test_lossy_videos_of_narrow_frames_are_written_within_memory(tmp_path):
    """x265 4.2 wrote beyond it; glibc notices when the memory is freed."""
    program = """if True:
        import sys, numpy as np
        from powerqe.utils.video.container import VideoWriter
        from powerqe.utils.video.yuv import Frame, Geometry
        random = np.random.default_rng(0)
        for width, height in ((48, 32), (40, 32), (40, 48), (36, 32)):
            for _ in range(3):
                with VideoWriter(sys.argv[1], Geometry(width, height), crf=20) as writer:
                    for _ in range(12):
                        sizes = ((height, width), *[(height // 2, width // 2)] * 2)
                        writer.write(Frame(*(random.integers(0, 256, size, np.uint8) for size in sizes)))
    """
    checks = {**os.environ, "MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "7"}
    command = [sys.executable, "-c", program, str(tmp_path / "a.mkv")]
    done = subprocess.run(command, env=checks, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-300:]
