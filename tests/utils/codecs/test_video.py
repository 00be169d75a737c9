"""Sequences through real encoders: what is decoded, what is known of the frames, and whether it repeats."""

import hashlib
import pickle
import sys
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from powerqe.utils.codecs import x265_zones
from powerqe.utils.codecs.video import LIBRARIES, LibraryCodec
from powerqe.utils.codecs.video_libraries import code
from powerqe.utils.codecs.x265_zones import zone_shift, zones
from powerqe.utils.errors import UserError
from powerqe.utils.video.yuv import Geometry, YUVReader


def compress(codec: LibraryCodec, path: Path, quality: int, count: int | None = None, **geometry):
    """The frames' description, the decoded frames and the stream."""
    name = YUVReader(path).geometry if not geometry else Geometry(**geometry)
    source, folder = YUVReader(path, name), path.parent
    frames, version = codec.compress(source, count or len(source), quality, folder / "out.yuv", folder / "out.bin")
    assert version.endswith(f"PyAV {av.__version__}")
    return frames, YUVReader(folder / "out.yuv", source.geometry), (folder / "out.bin").read_bytes()


def psnr(a: np.ndarray, b: np.ndarray, peak: int = 255) -> float:
    return 10 * np.log10(peak**2 / np.mean((a.astype(float) - b) ** 2))


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_description_fits_the_frames(sequence, name):
    path = sequence(width=128, height=64)
    frames, decoded, stream = compress(LibraryCodec(name), path, 35)
    source = YUVReader(path)
    assert [frame.poc for frame in frames] == list(range(10))
    assert [frame.type for frame in frames] == ["I"] + ["P"] * 9
    assert {frame.qp for frame in frames} == {35}
    assert sum(frame.bits for frame in frames) == 8 * len(stream)
    for frame in frames:
        assert frame.psnr_y == pytest.approx(psnr(decoded.luma(frame.poc), source.luma(frame.poc)), abs=1e-9)
        assert frame.psnr_y > 24


@pytest.mark.parametrize("name", LIBRARIES)
def test_another_program_decodes_the_stream_to_the_same(sequence, name):
    _, decoded, stream = compress(LibraryCodec(name), sequence(width=128, height=64), 35)
    form = {"hevc": "hevc", "h264": "h264", "av1": "obu"}[name]
    with av.open(BytesIO(stream), format=form) as container:
        frames = [frame.to_ndarray() for frame in container.decode(video=0)]
    assert len(frames) == len(decoded)
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame[:64], decoded.luma(index))


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_same_frames_make_the_same_stream(sequence, name):
    path = sequence(width=128, height=64)
    first, second = (compress(LibraryCodec(name), path, 35) for _ in range(2))
    assert hashlib.sha256(first[2]).digest() == hashlib.sha256(second[2]).digest()
    assert first[0] == second[0]


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_qp_is_the_quality(sequence, name):
    path = sequence(width=128, height=64)
    (coarse, *_), (fine, *_) = (compress(LibraryCodec(name), path, qp) for qp in (45, 25))
    for low, high in zip(coarse, fine, strict=True):
        assert high.psnr_y > low.psnr_y + 3
        assert high.bits > 1.5 * low.bits


@pytest.mark.parametrize(("pattern", "peaks"), [("ldp-hm18", [0, 8, 16]), ("ldp-hm16", [0, 4, 8, 12, 16])])
def test_a_hierarchy_shows_in_bits_and_psnr(sequence, pattern, peaks):
    path = sequence(count=18, width=128, height=128)
    frames, *_ = compress(LibraryCodec("hevc", pattern=pattern), path, 26)
    best = [frame for frame in frames if frame.poc in peaks]
    for frame in best[1:]:
        before, after = frames[frame.poc - 1], frames[frame.poc + 1]
        assert frame.psnr_y > max(before.psnr_y, after.psnr_y) + 0.3
        assert frame.qp < min(before.qp, after.qp)
    other = [frame for frame in frames[2:] if frame.poc not in peaks]  # the first after the I picture is special
    assert np.mean([frame.bits for frame in best[1:]]) > 1.1 * np.mean([frame.bits for frame in other])
    flat, *_ = compress(LibraryCodec("hevc"), path, 26)
    spread = [np.std([frame.psnr_y for frame in some[1:]]) for some in (frames, flat)]
    assert spread[0] > 2 * spread[1]


def test_qps_end_at_those_of_the_codec(sequence):
    frames, *_ = compress(LibraryCodec("hevc", pattern="ldp-hm18"), sequence(), 51)
    assert [frame.qp for frame in frames] == [50] + [51] * 9
    frames, *_ = compress(LibraryCodec("hevc", pattern="ldp-hm18"), sequence(), 0)
    assert frames[0].qp == 0


@pytest.mark.parametrize("name", ["hevc", "h264"])
@pytest.mark.parametrize(("chroma", "depth"), [("444", 8), ("420", 10), ("444", 10)])
def test_other_samples(sequence, name, chroma, depth):
    geometry = {"width": 66, "height": 34, "chroma": chroma, "depth": depth}
    path = sequence(count=3, **geometry)
    frames, decoded, _ = compress(LibraryCodec(name), path, 20, **geometry)
    source = YUVReader(path, Geometry(**geometry))
    for index in range(3):
        for made, given in zip(decoded[index], source[index], strict=True):
            assert psnr(made, given, (1 << depth) - 1) > 35
        assert frames[index].psnr_y == pytest.approx(
            psnr(decoded.luma(index), source.luma(index), (1 << depth) - 1), abs=1e-9
        )


def test_only_the_first_frames(sequence):
    path = sequence()
    frames, decoded, _ = compress(LibraryCodec("hevc"), path, 37, count=4)
    assert (len(frames), len(decoded)) == (4, 4)
    assert frames == compress(LibraryCodec("hevc"), path, 37)[0][:4]


def hashes_match(stream: bytes) -> bool:
    """Whether a decoder reconstructs what the encoder did: the images' MD5 sums in the stream (SEI) tell."""
    with av.open(BytesIO(stream), format="hevc") as container:
        decoder = container.streams.video[0].codec_context
        decoder.options = {"err_detect": "crccheck+explode"}
        try:
            return sum(1 for _ in container.decode(video=0)) > 0
        except av.InvalidDataError:
            return False


@pytest.mark.parametrize("size", [(130, 66), (66, 64), (64, 64), (64, 130), (34, 34), (32, 48), (32, 16), (18, 18)])
def test_decoded_frames_are_those_of_the_encoder(sequence, size, monkeypatch):
    """Of images one coding tree unit wide they are not, if x265 may choose the size of the units."""
    monkeypatch.setitem(LIBRARIES["hevc"].settings, "hash", 1)
    path = sequence(width=size[0], height=size[1], count=6)
    streams = [compress(LibraryCodec("hevc", pattern="ldp-hm18"), path, 37)[2] for _ in range(2)]
    assert streams[0] == streams[1]
    assert hashes_match(streams[0])
    damaged = bytearray(streams[0])
    damaged[len(damaged) // 2] ^= 1
    assert not hashes_match(bytes(damaged))


def test_what_is_too_small_or_unknown_to_the_encoder(sequence):
    with pytest.raises(UserError, match=r"x265.*16x16"):
        compress(LibraryCodec("hevc"), sequence(width=16, height=16), 37)
    flat = sequence(width=130, height=2)
    with pytest.raises(UserError, match=rf"{flat}.*130x2"):
        compress(LibraryCodec("hevc"), flat, 37)
    assert not (flat.parent / "out.yuv").exists()
    with pytest.raises(UserError, match=r"svtav1.*yuv444p.*4:2:0"):
        compress(LibraryCodec("av1"), sequence(chroma="444"), 37, width=64, height=48, chroma="444")


def test_parameters_are_complete(sequence):
    geometry = Geometry(128, 64, "420", 10)
    text = LibraryCodec("hevc", "slow", "ldp-hm16").parameters(37, geometry, 3)
    assert text.startswith("-c:v libx265 -pix_fmt yuv420p10le -r 30 -preset slow -x265-params qp=37:ipratio=1:")
    assert text.endswith(f":zones={zones([37, 40, 39], zone_shift())}")
    assert "ctu=" not in text
    assert "ctu=32" in LibraryCodec("hevc").parameters(37, Geometry(64, 64), 3)
    assert LibraryCodec("av1").parameters(50, Geometry(64, 64), 3).startswith("-c:v libsvtav1 ")


def test_the_version_is_that_of_the_stream(sequence):
    source = YUVReader(sequence(width=128, height=64))  # SVT-AV1 2 takes nothing smaller
    for name, start in {"hevc": "x265 (build ", "h264": "x264 core ", "av1": "svtav1, "}.items():
        version = LibraryCodec(name).compress(source, 1, 37, *(source.path.with_name(part) for part in "ab"))[1]
        assert version.startswith(start)
        assert version.count(", ") == 2


def test_zones_are_counted_as_found(sequence):
    """With the shift the one good frame is where it should be, and only there."""
    codec, path = LIBRARIES["hevc"], sequence(width=128, height=64)
    source = YUVReader(path)

    def quality(qps: list[int]) -> np.ndarray:
        settings = {"qp": 40, **codec.settings, "zones": zones(qps, zone_shift())}
        coded = code(codec, "medium", settings, (source[i] for i in range(10)), source.geometry, BytesIO())
        return np.array([frame.bits for frame in coded])

    for target in (0, 3, 9):
        more = quality([10 if index == target else 40 for index in range(10)]) / quality([40] * 10)
        assert more.argmax() == target
        assert more[target] > 4


@pytest.mark.parametrize(("zones", "better"), [("99,99,q=10", 0), ("1,12,q=10", 12)])
def test_zones_without_effect_are_an_error(monkeypatch, zones, better):
    """As with an encoder that ignores them, or lets one count for all frames."""
    monkeypatch.setattr(x265_zones, "zones", lambda *_: zones)
    zone_shift.cache_clear()
    with pytest.raises(UserError, match=rf"QP.*12 frames, {better}"):
        zone_shift()


def test_codecs_go_to_worker_processes():
    codec = LibraryCodec("hevc", pattern="ldp-hm18")
    again = pickle.loads(pickle.dumps(codec))
    assert again.parameters(37, Geometry(64, 64), 9) == codec.parameters(37, Geometry(64, 64), 9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vp8",), r"unknown.*'vp8'.*h264, av1"),
        (("hevc", "quick"), r"unknown.*'quick'"),
        (("av1", "medium"), r"unknown.*'medium'.*av1.*0, 1"),
        (("hevc", None, "ldb"), "unknown pattern 'ldb'"),
        (("h264", None, "ldp-hm16"), r"h264.*QP.*ldp-hm16"),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(UserError, match=message):
        LibraryCodec(*arguments)


def test_without_the_library(monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"hevc", "libx264"})
    with pytest.raises(UserError, match=r"x265.*PyAV"):
        LibraryCodec("hevc")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"av1.*PyAV"):
        LibraryCodec("av1")


def test_a_qp_for_each_of_many_frames(sequence):
    path = sequence(count=600, height=32)
    frames, *_ = compress(LibraryCodec("hevc", "ultrafast", "ldp-hm18"), path, 37)
    assert len(frames) == 600
    assert frames[592].psnr_y > max(frames[591].psnr_y, frames[593].psnr_y)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_handful_of_frames_is_in_memory(sequence, name):
    source = YUVReader(sequence(width=128, height=64, count=60))
    taken, most = 0, 0

    def frames():
        nonlocal taken
        for taken in range(60):
            yield source[taken]

    library = LIBRARIES[name]
    for index, _ in enumerate(
        code(library, library.preset, {"qp": 40, **library.settings}, frames(), source.geometry, BytesIO())
    ):
        most = max(most, taken - index)
    assert most < 5
