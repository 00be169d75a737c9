"""What a video file has besides its frames is kept, or it is said that it is not."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext

from powerqe.utils.video.video_file import open_video_file, video_file_writer

COVER = cv2.imencode(".png", np.full((8, 8, 3), 200, np.uint8))[1].tobytes()
HAS_ORDER = hasattr(VideoCodecContext, "field_order")  # of PyAV 18
HAS_CHAPTERS, ATTACHES = hasattr(OutputContainer, "set_chapters"), hasattr(OutputContainer, "add_attachment")


def add_video(file, codec: str = "libx264", pixels: str = "yuv420p", **options: str):
    stream = file.add_stream(codec, rate=25, options=options)
    stream.width, stream.height, stream.pix_fmt = 96, 96, pixels
    return stream


def put(file, stream, count: int = 4) -> None:
    for number in range(count):
        gray = np.full((96, 96, 3), 40 + 10 * number, np.uint8)
        av_frame = av.VideoFrame.from_ndarray(gray, "rgb24").reformat(format=stream.pix_fmt)
        av_frame.pts, av_frame.time_base = number, Fraction(1, 25)
        file.mux(stream.encode(av_frame))
    file.mux(stream.encode(None))


@pytest.fixture
def again(tmp_path) -> Callable[..., tuple[Path, str]]:
    """Writes the frames of a file again; gives the result, and all that is said."""

    def again(path: Path, suffix: str, crf: float | None = None) -> tuple[Path, str]:
        clip = open_video_file(path)
        target = tmp_path / f"result{suffix}"
        with video_file_writer(target, clip.geometry, clip, crf) as writer:
            for frame, time in clip.frames():
                writer.write(frame, time)
        return target, "; ".join([*clip.notes, *writer.left_out])

    return again


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("order", ["tff", "bff"])
def test_fields(tmp_path, again, suffix, order):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        put(file, add_video(file, **{"x264-params": f"{order}=1:interlaced=1"}))
    target, said = again(path, suffix)
    assert "interlaced: " in said
    assert ("interlaced flag" in said) != HAS_ORDER
    if HAS_ORDER:
        with av.open(str(target)) as file:
            assert file.streams.video[0].codec_context.field_order == {"tff": 2, "bff": 3}[order]


@pytest.mark.parametrize(("suffix", "crf"), [(".mp4", None), (".mkv", 30), (".mkv", None), (".yuv", None)])
def test_hdr10(tmp_path, again, suffix, crf):
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        parameters = f"log-level=none:master-display={display}:max-cll=1000,400"
        put(file, add_video(file, "libx265", "yuv420p10le", **{"x265-params": parameters}))
    expected = open_video_file(path).metadata.hdr10
    assert expected == (f"master-display={display}", "max-cll=1000,400")
    target, said = again(path, suffix, crf)
    is_kept = suffix == ".mp4" or crf is not None
    assert ("HDR10" in said) != is_kept
    if is_kept:
        assert open_video_file(target).metadata.hdr10 == expected


def test_attachments(tmp_path, again):
    if not ATTACHES:
        pytest.skip("PyAV before 17 writes none")
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        video = add_video(file)
        file.add_attachment("font.ttf", "font/ttf", b"letters")
        file.add_attachment("cover.png", "image/png", COVER)
        put(file, video)
    target, said = again(path, ".mkv")
    assert said == ""
    with av.open(str(target)) as file:
        fonts = [stream for stream in file.streams if stream.type == "attachment"]
        assert [(font.name, font.data) for font in fonts] == [("font.ttf", b"letters")]
        (cover,) = [packet for packet in file.demux(file.streams.video[1]) if packet.size]
        assert bytes(cover) == COVER
    target, said = again(path, ".mp4")
    assert "attachment font.ttf" in said
    assert "cover" not in said
    with av.open(str(target)) as file:
        assert [int(stream.disposition) & 1024 for stream in file.streams.video] == [0, 1024]


@pytest.mark.parametrize(("source", "suffix"), [("a.mp4", ".mp4"), ("a.mkv", ".mkv"), ("a.mov", ".mkv")])
def test_an_image_that_comes_first_is_not_the_film(tmp_path, again, source, suffix):
    path = tmp_path / source
    with av.open(str(path), "w") as file:
        first, film = add_video(file, "mjpeg", "yuvj420p"), add_video(file)
        first.width = 64
        put(file, first, 1)
        put(file, film)
    clip = open_video_file(path)
    assert (clip.geometry.width, clip.count) == (96, 4)
    target, said = again(path, suffix)
    assert said == ""
    with av.open(str(target)) as file:
        assert [(stream.width, sum(packet.size > 0 for packet in av.open(str(target)).demux(video=place)))
                for place, stream in enumerate(file.streams.video)] == [(96, 4), (64, 1)]  # fmt: skip


def test_an_image_alone_is_the_film(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        put(file, add_video(file), 1)
    assert open_video_file(path).count == 1


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_further_video_with_its_flags(tmp_path, again, suffix):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        film, other = add_video(file), add_video(file, bf="2")
        film.metadata["language"], other.metadata["language"] = "eng", "deu"
        film.disposition, other.disposition = 1, 8
        put(file, film)
        put(file, other, 12)
    target, said = again(path, suffix)
    assert said == ""
    with av.open(str(path)) as file:
        expected = sorted(packet.pts for packet in file.demux(video=1) if packet.size)
    with av.open(str(target)) as file:
        tags = [(stream.metadata["language"], getattr(stream.disposition, "value", stream.disposition))
                for stream in file.streams.video]  # fmt: skip
        assert tags == [("eng", 1), ("deu", 8)]
        found = [packet for packet in file.demux(video=1) if packet.size]
        times = sorted(float(packet.pts * packet.time_base) for packet in found)
    assert times == pytest.approx([time / 1000 for time in expected], abs=1e-3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_chapters(tmp_path, again, suffix):
    if not HAS_CHAPTERS:
        pytest.skip("PyAV before 17 has none")
    path = tmp_path / "a.mp4"
    chapters = [{"id": number, "start": 40 * number, "end": 40 * number + 40, "time_base": Fraction(1, 1000),
                 "metadata": {"title": f"Part {number}"}} for number in (0, 1)]  # fmt: skip
    with av.open(str(path), "w") as file:
        video = add_video(file)
        file.set_chapters(chapters)
        put(file, video)
    target, said = again(path, suffix)
    assert said == ""
    with av.open(str(target)) as file:
        found = [(each["start"] * each["time_base"], each["metadata"]["title"]) for each in file.chapters()]
    assert found == [(0, "Part 0"), (Fraction(1, 25), "Part 1")]
    assert "its chapters" in again(path, ".yuv")[1]


@pytest.mark.parametrize("pixels", ["bgra", "yuva420p"])
def test_transparency(tmp_path, again, pixels):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        put(file, add_video(file, "ffv1", pixels))
    assert "transparency" in again(path, ".mkv")[1]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("count", [3, 12])  # the last that the result decodes is not the last that it shows, or is
def test_how_long_the_last_frame_is(tmp_path, again, suffix, count):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        video = add_video(file, **{"x264-params": "bframes=0"})
        packets = []
        for number in range(count):
            moving = np.roll(np.tile(np.arange(20, 212, 2, dtype=np.uint8), (144, 1)), 9 * number, axis=1)
            av_frame = av.VideoFrame.from_ndarray(moving, "yuv420p")
            av_frame.pts, av_frame.time_base = number, Fraction(1, 25)
            packets += video.encode(av_frame)
        packets += video.encode(None)
        packets[-1].duration = round(Fraction(20, 25) / packets[-1].time_base)
        file.mux(packets)
    target, _ = again(path, suffix)
    durations = []
    for each in (path, target):
        with av.open(str(each)) as file:
            durations.append(file.duration)
    assert durations[0] == pytest.approx(40_000 * count + 760_000, abs=1000)
    assert durations[1] == pytest.approx(durations[0], abs=1000)


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_tags_that_are_no_utf8_keep_their_bytes(tmp_path, again, suffix):
    path, latin = tmp_path / f"a{suffix}", {"metadata_errors": "surrogateescape"}
    with av.open(str(path), "w", **latin) as file:
        file.metadata["title"] = "caf\udce9"
        put(file, add_video(file, "mpeg4"))
    target, _ = again(path, ".mkv")
    with av.open(str(target), **latin) as file:
        assert file.metadata["title"] == "caf\udce9"
