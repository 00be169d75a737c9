"""Files whose packets are not the frames that they promise: dropped, cut off, begun in the middle."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from powerqe.utils.errors import UserError
from powerqe.utils.video.container import count_packets
from powerqe.utils.video.video_file import open_video_file, video_file_writer


def film(path: Path, codec: str, numbers, keys: int = 8, **options: str) -> Path:
    """Frames of 25 a second with some numbers left out; a texture moves to the right."""
    texture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8), (5, 5), 0)
    with av.open(str(path), "w") as file:
        video = file.add_stream(codec, rate=25, options=options)
        context = video.codec_context
        video.width, video.height, video.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        context.gop_size, context.time_base = keys, Fraction(1, 25)
        for number in numbers:
            av_frame = av.VideoFrame.from_ndarray(np.roll(texture, number, 1), "gray").reformat(format=video.pix_fmt)
            av_frame.pts, av_frame.time_base = number, Fraction(1, 25)
            file.mux(video.encode(av_frame))
        file.mux(video.encode(None))
    return path


def read(path: Path, *, exact: bool = True) -> list[tuple[bytes, float | None]]:
    """The frames, and when they are shown, in seconds; their number is known beforehand, if they have times."""
    clip = open_video_file(path)
    base = clip.metadata.time_base
    found = [(frame.y.tobytes(), None if time is None else float(time * base)) for frame, time in clip.frames()]
    assert clip.count == count_packets(path)
    assert clip.count == len(found) or (not exact and clip.count > len(found))
    return found


@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4"])
def test_frames_that_were_dropped_leave_gaps(tmp_path, codec):
    numbers = [0, 2, 3, 4, 8, 9, 10]
    path = film(tmp_path / "a.avi", codec, numbers)
    with av.open(str(path)) as file:
        assert file.streams.video[0].frames == 11
    assert [second for _, second in read(path)] == [number / 25 for number in numbers]
    assert "4 of its 11 frames" in " ".join(open_video_file(path).notes)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"idx1") * 2 // 3])
    with pytest.raises(UserError, match=r"a\.avi .*(cut off|damaged)"):
        read(path)


@pytest.mark.parametrize(("codec", "options"), [
    ("libx264", {}), ("libx264", {"x264-params": "open-gop=1:bframes=3"}),
    ("mpeg2video", {"sc_threshold": "1000000000"}),
    ("libx265", {"x265-params": "open-gop=1:log-level=none:keyint=8:min-keyint=8"}),
])  # fmt: skip
@pytest.mark.parametrize("suffix", [".ts", ".raw"])
def test_a_recording_begins_anywhere(tmp_path, codec, options, suffix):
    raw = {"libx264": ".h264", "libx265": ".hevc", "mpeg2video": ".m2v"}[codec]
    path = film(tmp_path / f"a{raw if suffix == '.raw' else suffix}", codec, range(24), **options)
    whole = read(path)
    assert len(whole) == 24
    assert open_video_file(path).notes == ()
    with av.open(str(path)) as file:
        starts = [packet.pos for packet in file.demux(video=0) if packet.size and packet.pos is not None]
    path.write_bytes(path.read_bytes()[starts[2] :])
    found = read(path, exact=suffix == ".ts")
    assert [frame for frame, _ in found] == [frame for frame, _ in whole[-len(found) :]]
    assert 14 <= len(found) <= 17
    assert suffix == ".raw" or found == whole[-len(found) :]
    assert "its first" in " ".join(open_video_file(path).notes)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_the_result_of_a_recording_begins_at_0(tmp_path, suffix):
    source, target = film(tmp_path / "a.ts", "libx264", range(6)), tmp_path / f"b{suffix}"
    clip = open_video_file(source)
    assert clip.metadata.start > 0
    with video_file_writer(target, clip.geometry, clip) as writer:
        for frame, time in clip.frames():
            writer.write(frame, time)
    assert any("its start at 0." in words for words in writer.left_out)
    assert [second for _, second in read(target)] == pytest.approx([number / 25 for number in range(6)], abs=1e-3)


def test_matroska_that_is_cut_off(tmp_path):
    path = film(tmp_path / "a.mkv", "libx264", range(12))
    assert open_video_file(path).notes == ()
    with av.open(str(path)) as file:
        starts = [packet.pos for packet in file.demux(video=0) if packet.size]
    path.write_bytes(path.read_bytes()[: starts[8] + 5])
    assert "8 of about 12 frames" in " ".join(open_video_file(path).notes)
    assert len(read(path)) == 8


def test_uneven_times_are_no_damage(tmp_path):
    path = film(tmp_path / "a.mkv", "libx264", [0, 1, 2, 9, 10, 11, 30])
    assert open_video_file(path).notes == ()
    assert len(read(path)) == 7


def test_damage_after_a_late_beginning_is_still_an_error(tmp_path):
    path = film(tmp_path / "a.ts", "libx264", range(32), **{"x264-params": "bframes=0"})
    with av.open(str(path)) as file:
        starts = [packet.pos for packet in file.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    data[starts[20] + 188 : starts[20] + 3 * 188] = bytes(2 * 188)
    path.write_bytes(data[starts[2] :])
    with pytest.raises(UserError, match=r"a\.ts"):
        read(path)
