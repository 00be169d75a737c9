"""Videos of any kind: what is known before their frames, what is written beside them, what cannot be kept."""

import logging
from fractions import Fraction

import av
import numpy as np
import pytest

from powerqe.utils.errors import UserError
from powerqe.utils.video.colors import Color
from powerqe.utils.video.container import VideoReader, VideoWriter
from powerqe.utils.video.container_metadata import ContainerMetadata
from powerqe.utils.video.suffixes import is_raw, is_video
from powerqe.utils.video.video_file import open_video_file, video_file_writer
from powerqe.utils.video.yuv import Geometry, YUVReader

GEOMETRY = Geometry(64, 48)


def with_streams(path, container: str, sound: str | None, seconds: int = 12) -> list[bytes]:
    """A video of one frame a second, with sound; gives the sound."""
    with av.open(str(path), "w", format=container) as file:
        video = file.add_stream("ffv1", rate=1)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = sound and file.add_stream(sound, rate=48000, layout="mono")
        for number in range(seconds):
            gray = np.full((72, 64), 20 * number, np.uint8)
            av_frame = av.VideoFrame.from_ndarray(gray, "yuv420p")
            av_frame.pts, av_frame.time_base = number, Fraction(1)
            file.mux(video.encode(av_frame))
            if audio:
                wave = np.random.default_rng(number).normal(0, 2000, (1, 48000)).astype(np.int16)
                samples = av.AudioFrame.from_ndarray(wave, "s16", layout="mono")
                samples.sample_rate, samples.pts = 48000, 48000 * number
                file.mux(audio.encode(samples))
        file.mux(video.encode(None))
        if audio:
            file.mux(audio.encode(None))
    return packets(path) if sound else []


def packets(path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(audio=0)]


def copied(path, target) -> list[str]:
    """Write the frames of a video again; gives what is left out."""
    clip = open_video_file(path)
    with video_file_writer(target, clip.geometry, clip) as writer:
        for frame, time in clip.frames():
            writer.write(frame, time)
    return writer.left_out


def test_kinds():
    assert is_video("a/B.MP4")
    assert is_video("a.yuv")
    assert is_raw("a.YUV")
    assert not is_video("a.jpg")
    assert not is_raw("a.mp4")


def test_a_raw_file(sequence):
    path = sequence(count=3)
    clip = open_video_file(path)
    assert (clip.geometry, clip.count, clip.rate, clip.color, clip.metadata) == (
        GEOMETRY,
        3,
        None,
        Color(),
        ContainerMetadata(),
    )
    copy = path.with_name("copy_64x48_3.yuv")
    assert copied(path, copy) == []
    assert copy.read_bytes() == path.read_bytes()


def test_a_name_with_another_size_is_refused(sequence):
    path = sequence(count=1)
    with pytest.raises(UserError, match=r"b_32x24_1\.yuv.*64x48"):
        copied(path, path.with_name("b_32x24_1.yuv"))
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("sound", ["aac", "flac", "mp2"])
def test_sound_is_copied_in_sync_with_its_frames(tmp_path, suffix, sound):
    expected = with_streams(tmp_path / "a.mkv", "matroska", sound)
    assert len(expected) > 20
    assert open_video_file(tmp_path / "a.mkv").metadata.others == (f"{sound} sound",)
    target = tmp_path / f"b{suffix}"
    assert copied(tmp_path / "a.mkv", target) == []
    assert packets(target) == expected
    with av.open(str(target)) as file:  # so that players need not look far
        found = sorted((packet for packet in file.demux() if packet.size), key=lambda packet: packet.pos)
        kinds = [(packet.stream.type, float(packet.dts * packet.time_base)) for packet in found]
    seconds = {"video": 0.0, "audio": 0.0}
    for kind, second in kinds:
        seconds[kind] = second
        assert abs(seconds["video"] - seconds["audio"]) <= 3


def test_what_the_format_cannot_hold_is_reported(tmp_path):
    with_streams(tmp_path / "a.avi", "avi", "adpcm_ms", seconds=2)
    for target in ("b.mp4", "b.mkv"):
        assert copied(tmp_path / "a.avi", tmp_path / target) == ["its adpcm_ms sound, which the format cannot hold"]
    assert copied(tmp_path / "a.avi", tmp_path / "b.yuv") == ["its adpcm_ms sound"]
    with av.open(str(tmp_path / "b.mp4")) as file:
        assert [stream.type for stream in file.streams] == ["video"]


def test_times_are_kept_and_made_to_rise(tmp_path, frames):
    metadata = ContainerMetadata(Fraction(1, 600), Fraction(4, 3), (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))
    path = tmp_path / "a.mp4"
    with VideoWriter(path, GEOMETRY, Fraction(30), Color(1, 1, 1, 1), metadata=metadata) as video:
        for frame, time in zip(frames(GEOMETRY, 6), (0, 20, 50, 50, None, 130), strict=True):
            video.write(frame, time)
    with VideoReader(path) as video:
        times = [time * video.metadata.time_base * 600 for _, time in video.timed()]
        assert times == [0, 20, 50, 51, 80, 130]
        can_turn = hasattr(av.video.stream.VideoStream, "set_display_matrix")  # since PyAV 17
        assert video.metadata[1:3] == (metadata.aspect, metadata.matrix if can_turn else None)


def test_odd_sides_become_444_where_that_is_wanted(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 31, 21, "yuv420p"
        luma = np.arange(31 * 21, dtype=np.uint8).reshape(21, 31)
        av_frame = av.VideoFrame.from_ndarray(np.stack([luma] * 3, 2), "rgb24").reformat(format="yuv420p")
        expected = np.frombuffer(av_frame.planes[0], np.uint8).reshape(21, -1)[:, :31]
        file.mux(stream.encode(av_frame))
        file.mux(stream.encode(None))
    clip = open_video_file(tmp_path / "a.mkv")
    assert clip.geometry == Geometry(31, 21, "444")
    assert clip.notes == ("yuv420p became 4:4:4 with 8 bits",)
    ((frame, _),) = clip.frames()
    assert np.array_equal(frame.y, expected)


def test_lossy_files_are_small_and_near(tmp_path, frames):
    sizes, given = [], frames(GEOMETRY, 6)
    for crf in (None, 10, 40):
        path = tmp_path / f"{crf}.mkv"
        with VideoWriter(path, GEOMETRY, crf=crf) as video:
            for frame in given:
                video.write(frame)
        with VideoReader(path) as video:
            errors = [np.abs(a.y.astype(int) - b.y).mean() for a, b in zip(video, given, strict=True)]
        sizes.append(path.stat().st_size)
        assert max(errors) <= {None: 0, 10: 3, 40: 30}[crf]
    assert sizes == sorted(sizes, reverse=True)


def test_no_video(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video at all")
    with pytest.raises(UserError, match=r"a\.mp4.*cut"):
        open_video_file(tmp_path / "a.mp4")
    with pytest.raises(UserError, match="cannot read the video none"):
        open_video_file("none.mp4")


def test_readers_of_raw_files_are_views(sequence):
    """Nothing is read before it is asked for."""
    path = sequence(count=2)
    (first, _), _ = open_video_file(path).frames()
    assert isinstance(first.y, np.memmap)
    assert np.array_equal(first.y, YUVReader(path)[0].y)


def test_messages_of_ffmpeg_do_not_reach_the_terminal():
    assert logging.getLogger("libav").handlers  # without any, `logging` prints them
