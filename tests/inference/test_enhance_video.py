"""Videos: the pixels of test.py, what stays of a file, which weights, and everything that goes wrong."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.stream import VideoStream

from powerqe.dataset.windows import Sliding
from powerqe.evaluation import tester
from powerqe.inference.enhance_files import Models, enhance_files
from powerqe.inference.enhance_video import _at_once, compression_info, enhance_video
from powerqe.inference.inference_options import InferenceOptions
from powerqe.inference.input_files import EnhanceJob, check_crf, find_jobs
from powerqe.inference.model import Model
from powerqe.net.weights import spec
from powerqe.utils.errors import UserError
from powerqe.utils.image.photo import read_photo
from powerqe.utils.options.tree import Options, merge
from powerqe.utils.ranks import Ranks
from powerqe.utils.video.colors import Color
from powerqe.utils.video.container import VideoReader, VideoWriter
from powerqe.utils.video.frame_records import frames_path
from powerqe.utils.video.pixels import eight_bits
from powerqe.utils.video.video_file import open_video_file
from powerqe.utils.video.yuv import Frame, Geometry, YUVReader, YUVWriter

pytestmark = pytest.mark.slow

ALPHA, BETA = "Alpha_48x32_9", "Beta_32x24_6"
FOURTH = {"type": "PeakFrames", "source": "period", "period": [1, 0, 0, 0]}
ALONE = Ranks(0, 0, 1, torch.device("cpu"))


@pytest.fixture
def here(videos, monkeypatch) -> Path:
    monkeypatch.chdir(videos)
    return videos


@pytest.fixture
def go(here, weights, inference_options):
    """Enhances files; gives the results."""

    def go(*inputs, network="luma", output=None, period=None, applied=(), **options):
        results = []
        models = Models(network and weights(network), inference_options(**dict(applied)), period)
        enhance_files(find_jobs(inputs, output and Path(output)), models, results.append, **options)
        return results

    return go


def decoded(path) -> list[Frame]:
    if Path(path).suffix == ".yuv":
        reader = YUVReader(path)
        return [reader[number] for number in range(len(reader))]
    with VideoReader(path, odd=True, rgb=True) as video:
        return list(video)


def same(left, right) -> bool:
    return len(left) == len(right) and all(all(map(np.array_equal, *pair)) for pair in zip(left, right, strict=True))


def wrapped(raw: str, path: str, **more) -> None:
    """A raw video as a video file."""
    frames = decoded(raw)
    height, width = frames[0].y.shape
    with VideoWriter(path, Geometry(width, height), **more) as writer:
        for frame in frames:
            writer.write(frame)


@pytest.mark.parametrize(
    ("network", "data"),
    [
        ("stdf", {"window": {"type": "Sliding", "radius": 1}}),
        ("mfqe", {"window": FOURTH}),
        ("mfqe", {"window": {"type": "PeakFrames", "source": "qp"}}),
        ("luma", {}),
        ("rgb", {"color": "rgb"}),
    ],
)
def test_pixels_are_those_of_the_tester(go, video_tree, weights, network, data):
    path = weights(network)
    tree = {"network": spec(Path(path)), "dataset": {"test": {"clips": data}},
            "test": {"ckp_load_path": path, "protocol": None, "criterion": {"PSNR": {}}}}  # fmt: skip
    tester.test(Options.model_validate(merge(video_tree, tree)), ALONE)
    wrapped(f"qp37/{BETA}.yuv", "beta.mkv")
    period = 4 if data.get("window") == FOURTH else None
    results = go("qp37", network=network, period=period)
    assert not any(result.error for result in results)
    for name in (ALPHA, BETA):
        expected = Path(f"exp/tiny-qp37/test_video_enhanced/clips/{name}.yuv").read_bytes()
        assert Path(f"enhanced/{name}.yuv").read_bytes() == expected
        assert expected != Path(f"qp37/{name}.yuv").read_bytes()
    if period or network != "mfqe":
        (result,) = go("beta.mkv", network=network, period=period)
        assert not result.error
        assert same(decoded("enhanced/beta.mkv"), decoded(f"enhanced/{BETA}.yuv"))


def test_frames_that_are_computed_at_once_are_in_order(go, monkeypatch):
    """By bf16 on a CPU, each with its core."""
    counted, threads = [], torch.get_num_threads()
    monkeypatch.setattr(
        "powerqe.inference.enhance_video._at_once", lambda *given: counted.append(_at_once(*given)) or counted[-1]
    )
    try:
        for cores in (1, 3):
            torch.set_num_threads(cores)
            (result,) = go(
                f"qp37/{ALPHA}.yuv", output=f"{cores}/{ALPHA}.yuv", network="rgb", applied={"precision": "bf16"}
            )
            assert not result.error
    finally:
        torch.set_num_threads(threads)
    assert counted == [1, 3]
    for one, other in zip(decoded(f"1/{ALPHA}.yuv"), decoded(f"3/{ALPHA}.yuv"), strict=True):
        assert np.abs(one.y.astype(int) - other.y).max() <= 1


ROTATES = hasattr(VideoStream, "set_display_rotation")  # PyAV 14 writes no rotation


def film(path: str, frames, sound: bool = True) -> list[int]:
    """As a phone makes it: uneven times, AAC, turned, colors and the shape of pixels noted. Gives the times."""
    times = [600 * number + 150 * (number % 3) for number in range(len(frames))]
    with av.open(path, "w") as file:
        video = file.add_stream("libx264", rate=30, options={"crf": "35"})
        context = video.codec_context
        context.width, context.height, context.pix_fmt, context.time_base = 64, 48, "yuv420p", Fraction(1, 18000)
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 2, 1, 1, 1
        context.sample_aspect_ratio = Fraction(4, 3)
        if ROTATES:
            video.set_display_rotation(-90)
        audio = file.add_stream("aac", rate=48000, layout="mono") if sound else None
        file.metadata["title"] = "Sine"
        for frame, time in zip(frames, times, strict=True):
            planes = np.concatenate([plane.ravel() for plane in frame]).reshape(72, 64)
            av_frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            av_frame.pts, av_frame.time_base = time, context.time_base
            file.mux(video.encode(av_frame))
        file.mux(video.encode(None))
        if audio is not None:
            wave = np.sin(np.arange(24000) * 440 * 2 * np.pi / 48000).astype(np.float32)[None]
            samples = av.AudioFrame.from_ndarray(wave, "fltp", layout="mono")
            samples.sample_rate, samples.pts = 48000, 0
            file.mux(audio.encode(samples))
            file.mux(audio.encode(None))
    return times


def packets(path: str) -> list[bytes]:
    """The sound, as it is in the file."""
    with av.open(path) as file:
        return [bytes(packet) for packet in file.demux(audio=0)]


@pytest.mark.parametrize(("suffix", "crf"), [(".mp4", None), (".mkv", None), (".mp4", 20), (".mkv", 20)])
def test_all_but_the_pixels_stays(go, frames, suffix, crf):
    times = film("film.mov", frames(Geometry(64, 48), 8))
    (result,) = go("film.mov", output=f"out{suffix}", crf=crf, compare=True)
    assert not result.error
    assert "8 frames, " in result.summary
    is_ffv1 = suffix == ".mkv" and crf is None
    assert ("without its shape of pixels, 4:3, which HEVC alone keeps" in result.summary) == is_ffv1
    assert packets(f"out{suffix}") == packets("film.mov")
    before, after = open_video_file("film.mov"), open_video_file(f"out{suffix}")
    assert (after.geometry, after.color, after.count) == (before.geometry, before.color, 8)
    assert before.metadata.aspect == Fraction(4, 3)
    assert (after.metadata.aspect, after.metadata.matrix) == (
        None if is_ffv1 else Fraction(4, 3),
        before.metadata.matrix,
    )
    assert (before.metadata.matrix is not None) == ROTATES
    with av.open(f"out{suffix}") as file:
        assert file.metadata["title"] == "Sine"
        shown = [av_frame.pts * av_frame.time_base for av_frame in file.decode(video=0)]
    expected = [Fraction(time - times[0], 18000) for time in times]
    assert [float(time - shown[0]) for time in shown] == pytest.approx(list(map(float, expected)), abs=1.1e-3)
    drawn = read_photo(f"out{suffix}.compare.png").pixels
    assert drawn.std() > 10
    size = Path(f"out{suffix}").stat().st_size
    assert size < 20_000 if crf else size > 5_000


def test_a_raw_file_has_no_sound_and_no_rate(go, frames):
    film("film.mp4", frames(Geometry(64, 48), 3))
    (result,) = go("film.mp4", output="a.yuv")
    assert "without its aac sound" in result.summary
    assert ("rotation" in result.summary) == ROTATES
    assert YUVReader("a.yuv", Geometry(64, 48))[2].y.shape == (48, 64)
    (result,) = go(f"qp37/{BETA}.yuv", output="b.mp4")
    assert "32x24, 6 frames, luma" in result.summary
    assert "25 frames/s, as raw files" in result.summary
    assert open_video_file("b.mp4").rate == 25


def test_containers(here):
    for name in ("a.mp4", "b.MKV", "c.mov", "d.webm", "e_8x8_1.yuv", "f.jpg"):
        (here / "in").mkdir(exist_ok=True)
        (here / "in" / name).touch()
    found = [job.target.name for job in find_jobs(["in"], None, "jpeg")]
    assert found == ["a.mp4", "b.mkv", "c.mkv", "d.mkv", "e_8x8_1.yuv", "f.jpg"]
    with pytest.raises(UserError, match=r"x\.png: in/a\.mp4"):
        find_jobs(["in/a.mp4"], Path("x.png"))
    with pytest.raises(UserError, match=r"x\.mp4: in/f\.jpg"):
        find_jobs(["in/f.jpg"], Path("x.mp4"))
    with pytest.raises(UserError, match=r"x\.webm.*\.mp4, \.mkv, \.yuv.*\.webm"):
        find_jobs(["in/a.mp4"], Path("x.webm"))
    with pytest.raises(UserError, match=r"--crf: enhanced/e_8x8_1\.yuv"):
        check_crf(find_jobs(["in"], None), 20)
    check_crf(find_jobs(["in/e_8x8_1.yuv"], Path("e.mp4")), 20)


@pytest.mark.parametrize(
    ("pixels", "size", "said"),
    [
        ("yuv444p", (30, 20), ""),
        ("yuv420p", (31, 21), "yuv420p became 4:4:4 with 8 bits"),
        ("yuv444p12le", (30, 20), "yuv444p12le became 4:4:4 with 10 bits"),
        ("gbrp12le", (30, 20), "gbrp12le became RGB with 10 bits"),
        ("bgr0", (31, 21), ""),
        ("gbrp10le", (30, 20), ""),
        ("yuv422p", (30, 20), ""),
        ("gray", (30, 20), ""),
        ("yuv420p10le", (30, 20), ""),
    ],
)
@pytest.mark.parametrize("network", ["luma", "rgb"])
def test_other_kinds_of_pixels(go, image, pixels, size, said, network):
    width, height = size
    with av.open("a.mkv", "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        for number in range(3):
            av_frame = av.VideoFrame.from_ndarray(image(height, width, seed=number), "rgb24").reformat(format=pixels)
            file.mux(stream.encode(av_frame))
        file.mux(stream.encode(None))
    (result,) = go("a.mkv", network=network)
    assert said in result.summary
    assert ("became" in result.summary) == bool(said)
    assert "rounded" not in result.summary
    before, after = open_video_file("a.mkv"), open_video_file("enhanced/a.mkv")
    is_deep = before.geometry.depth == 10
    assert (after.geometry, after.color.is_rgb) == (before.geometry, before.color.is_rgb)
    one, other = decoded("a.mkv")[1], decoded("enhanced/a.mkv")[1]
    if network == "luma" and not after.color.is_rgb:
        assert np.array_equal(one.u, other.u)
        scale = 4 if is_deep else 1
        assert 0 < np.abs(one.y.astype(int) - other.y).max() <= 100 * scale
    assert np.corrcoef(eight_bits(one.y).ravel(), eight_bits(other.y).ravel())[0, 1] > 0.8


def test_weights_that_enlarge(go, weights, inference_options):
    (result,) = go(f"qp37/{BETA}.yuv", network="twice", output="big.mkv")
    assert not result.error
    assert open_video_file("big.mkv").geometry == Geometry(64, 48)
    (result,) = go(f"qp37/{BETA}.yuv", network="twice")
    assert "64x48" in result.error
    assert not Path("enhanced").exists() or not list(Path("enhanced").iterdir())


def test_shipped_weights_by_what_is_known(go):
    clip = f"qp37/{BETA}.yuv"
    (plain,) = go(clip, network=None)
    assert "stdf-sample-qp37" in plain.summary
    assert "(its quality is not known: weights for QP 37; weights for luma" in plain.summary
    file = frames_path(clip)
    file.write_text(file.read_text().replace('"pattern"', '"qp": 37,\n "pattern"'))
    (told,) = go(clip, network=None, force=True, period=3)
    assert "mfqe-sample-qp37" in told.summary
    assert "QP 37" not in told.summary
    file.unlink()
    (named,) = go(clip, network="mfqe", force=True)
    assert named.error.startswith(f"{clip}: mfqe needs to know the frames of peak quality: from {BETA}.frames.json")
    assert "--pqf-period N" in named.error


def test_coding(here):
    clip = open_video_file(f"qp37/{ALPHA}.yuv")
    coding = compression_info(clip)
    assert coding.qp is None
    assert coding.peaks.tolist() == [0, 2, 5, 7]
    assert compression_info(clip, 4).peaks.tolist() == [0, 4, 8]
    file = frames_path(f"qp37/{ALPHA}.yuv")
    file.write_text(file.read_text().replace('"pattern"', '"qp": 32,\n "pattern"'))
    assert compression_info(clip).qp == 32
    file.write_bytes(frames_path(f"qp37/{BETA}.yuv").read_bytes())
    with pytest.raises(UserError, match=r"6 frames.*9"):
        compression_info(clip)


@pytest.mark.parametrize(("options", "network"), [
    ({"self_ensemble": True}, "stdf"), ({"precision": "bf16"}, "stdf"), ({"qf": 20.0}, "fbcnn"), ({"tile": 64}, "luma"),
])  # fmt: skip
def test_ways_to_apply_a_network(go, options, network):
    (plain,) = go(f"qp37/{BETA}.yuv", network=network)
    (result,) = go(f"qp37/{BETA}.yuv", network=network, applied=options, output="other")
    assert not plain.error
    assert not result.error
    one, other = (decoded(f"{folder}/{BETA}.yuv") for folder in ("enhanced", "other"))
    assert same(one, other) == ("tile" in options)
    difference = np.stack([a.y.astype(int) - b.y for a, b in zip(one, other, strict=True)])
    assert np.abs(difference).mean() < 20


def test_large_frames_of_networks_that_follow_motion_are_seen_in_tiles(go, sequence):
    path = sequence(width=448, height=320, count=1)
    for number, (name, bound) in enumerate({"whole": 1 << 32, "tiles": 24 << 20}.items()):
        (result,) = go(str(path), network="stdf", output=name, applied={"memory": bound})
        assert ("in tiles of " in result.summary) == ("near what whole images give" in result.summary) == bool(number)
    one, other = (decoded(f"{folder}/{path.name}")[0].y.astype(int) for folder in ("whole", "tiles"))
    assert np.abs(one - other).mean() < 0.5
    assert np.abs(decoded(path)[0].y - one).mean() > 0.5


def test_bad_videos_hinder_no_other_file(go, here, jpeg, weights):
    (here / "in").mkdir()
    wrapped(f"qp37/{ALPHA}.yuv", "in/b.mp4")
    data = Path("in/b.mp4").read_bytes()
    Path("in/a.mp4").write_bytes(data[: len(data) // 2])
    Path("in/c.mkv").write_bytes(b"")
    Path("in/d.jpg").write_bytes(jpeg(channels=1))
    Path("in/e.yuv").write_bytes(b"x")
    Path("in/f_8x8_2.yuv").write_bytes(b"x")
    Path("in/g.jpg").write_bytes(jpeg(channels=3))
    results = {result.job.source.name: result for result in go("in")}
    assert list(results) == ["a.mp4", "b.mp4", "c.mkv", "d.jpg", "e.yuv", "f_8x8_2.yuv", "g.jpg"]
    assert [name for name, result in results.items() if not result.error] == ["b.mp4", "d.jpg", "g.jpg"]
    assert "rename it to <Name>_<W>x<H>_<Frames>.yuv" in results["e.yuv"].error
    assert sorted(path.name for path in Path("enhanced").iterdir()) == ["b.mp4", "d.png", "g.png"]


def test_damage_in_the_middle_leaves_nothing(go, frames):
    wrapped(f"qp37/{ALPHA}.yuv", "a.mp4")
    data = bytearray(Path("a.mp4").read_bytes())
    data[len(data) * 2 // 3 : len(data) * 2 // 3 + 400] = bytes(400)
    Path("a.mp4").write_bytes(data)
    (result,) = go("a.mp4")
    assert "a.mp4" in result.error
    assert not list(Path("enhanced").iterdir())


@pytest.mark.parametrize("target", ["a.mp4", "a.mkv", "a.yuv"])
def test_an_interruption_leaves_nothing(here, weights, inference_options, target):
    seen = []

    def interrupt():
        seen.append(0)
        if len(seen) == 4:
            raise KeyboardInterrupt

    model = Model(weights("luma"), inference_options())
    with pytest.raises(KeyboardInterrupt):
        enhance_video(open_video_file(f"qp37/{ALPHA}.yuv"), model, Path("out") / target, on_frame=interrupt)
    assert list(Path("out").iterdir()) == []


def test_results_that_are_there_stay(go):
    Path("enhanced").mkdir()
    Path(f"enhanced/{BETA}.yuv").touch()
    (result,) = go(f"qp37/{BETA}.yuv")
    assert "--force" in result.error
    (result,) = go(f"qp37/{BETA}.yuv", force=True)
    assert not result.error


def test_mistakes(go, here, weights, inference_options):
    (result,) = go(f"qp37/{BETA}.yuv", network="qgcn")
    assert "qgcn" in result.error
    (result,) = go(f"qp37/{BETA}.yuv", network=None, applied={"qf": 20.0})
    assert "quality factor" in result.error
    models = Models(weights("stdf"), inference_options())
    with pytest.raises(UserError, match=r"STDF \(stdf\) is for videos; choose weights for images"):
        models.check([EnhanceJob(Path("a.jpg"), Path("b.png"))])
    models.check([EnhanceJob(Path("a.jpg"), Path("b.png")), EnhanceJob(Path("a.mp4"), Path("b.mp4"))])


def test_a_long_video_is_never_in_memory(here, weights, inference_options, monkeypatch):
    """Frames that are read and not yet written stay few."""
    model = Model(weights("stdf"), inference_options())
    clip = open_video_file(f"qp37/{ALPHA}.yuv")
    read, most = [], []
    original = type(clip).frames
    monkeypatch.setattr(
        type(clip), "frames", lambda self: (read.append(0) or each for each in list(original(self)) * 9)
    )
    written = []

    def on_frame():
        written.append(0)
        most.append(len(read) - len(written))

    result = enhance_video(clip, model, Path("a.yuv"), on_frame=on_frame)
    assert result.count == len(read) == 81
    assert max(most) <= 4


@pytest.mark.slow
def test_the_script(run, pairs, weights, sequence):
    """As a user calls it."""
    path = sequence(count=3)
    network = weights("luma")
    options = ("--weights", network, "--device", "cpu", "--memory", "0.5")
    done = run("enhance.py", path, "lq/0.png", "--compare", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [str(path), "lq/0.png"]
    names = sorted(each.name for each in (pairs / "enhanced").iterdir())
    assert names == ["0.compare.png", "0.png", path.name, f"{path.name}.compare.png"]


def test_colors_of_the_full_range_are_kept(go, frames):
    """Black is 0 there: taken for the studio range it would be cut off."""
    with VideoWriter("a.mkv", Geometry(64, 48), color=Color(2, 1, 1, 1)) as writer:
        for frame in frames(Geometry(64, 48), 2):
            ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
            writer.write(frame._replace(y=ramp, u=np.full_like(frame.u, 128), v=np.full_like(frame.v, 128)))
    (result,) = go("a.mkv", network="rgb")
    assert not result.error
    before, after = decoded("a.mkv")[0].y.astype(int), decoded("enhanced/a.mkv")[0].y.astype(int)
    assert len(np.unique(after[:, :5])) > 3
    assert np.corrcoef(before[:, :5].ravel(), after[:, :5].ravel())[0, 1] > 0.5


class Unchanged:
    """What is used of a model, which changes nothing."""

    name, needs_tables, needs_peaks, takes_clips, window = "unchanged", False, False, False, Sliding(radius=0)
    network, options = torch.nn.Identity(), InferenceOptions("cpu")

    def __init__(self, channels: int) -> None:
        self.channels = channels

    def __call__(self, batch):
        self.seen = batch["lq"].clone()
        assert self.seen.shape[1] == self.channels
        return batch["lq"], None


@pytest.mark.parametrize("pixels", ["gray", "gray10le", "yuv420p", "yuv420p10le", "yuv422p", "yuv422p10le", "yuv444p",
                                    "yuv444p10le", "bgr0", "gbrp10le"])  # fmt: skip
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_network_that_changes_nothing_changes_no_plane(tmp_path, pixels, channels, suffix):
    color = Color(0 if pixels == "bgr0" else 1, 0 if pixels == "bgr0" else 9, 9, 16)
    random = np.random.default_rng(0)
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 66, 48, pixels
        context = stream.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = color[:4]
        for number in range(2):
            av_frame = av.VideoFrame(66, 48, pixels)
            for plane in av_frame.planes:
                type, top = ("<u2", 1024) if "10" in pixels else ("u1", 256)
                samples = random.integers(0, top, plane.buffer_size // np.dtype(type).itemsize)
                plane.update(samples.astype(type).tobytes())
            av_frame.pts = number
            file.mux(stream.encode(av_frame))
        file.mux(stream.encode(None))
    source, target = open_video_file(tmp_path / "a.mkv"), tmp_path / f"out{suffix}"
    assert source.notes == ()
    enhance_video(source, Unchanged(channels), target)
    made = open_video_file(target)
    assert (made.geometry, made.color) == (source.geometry, source.color)
    assert same(decoded(source.path), decoded(target))


@pytest.mark.parametrize(("name", "size"), [("Ten_32x16_3", 4608), ("Short_32x16_5", 2304)])
def test_raw_videos_of_other_frames_than_promised(go, name, size):
    Path(f"{name}.yuv").write_bytes(bytes(size))
    (result,) = go(f"{name}.yuv")
    assert f"{name}.yuv" in result.error
    assert ("Ten_32x16_3_10bit.yuv" if name.startswith("Ten") else "Short_32x16_3.yuv") in result.error


@pytest.mark.parametrize("network", ["luma", "rgb"])
def test_raw_videos_of_ten_bits(go, frames, network):
    geometry = Geometry(32, 24, "420", 10)
    with YUVWriter("Ten_32x24_3_10bit.yuv", geometry) as writer:
        for frame in frames(geometry, 3):
            writer.write(frame)
    (result,) = go("Ten_32x24_3_10bit.yuv", network=network)
    assert not result.error
    before, after = decoded("Ten_32x24_3_10bit.yuv"), decoded("enhanced/Ten_32x24_3_10bit.yuv")
    assert len(after) == 3
    assert np.corrcoef(before[1].y.ravel(), after[1].y.ravel())[0, 1] > 0.8
    assert (after[1].y % 4).any()
    (result,) = go("Ten_32x24_3_10bit.yuv", network=network, output="eight_32x24_3.yuv")
    assert "10 bits were rounded to 8" in result.summary
    assert len(decoded("eight_32x24_3.yuv")) == 3


def test_rgb_becomes_a_raw_video_of_the_studio_range(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 8, 6, "bgr0"
        white = av.VideoFrame.from_ndarray(np.full((6, 8, 3), 255, np.uint8), "rgb24")
        file.mux(stream.encode(white.reformat(format="bgr0")))
        file.mux(stream.encode(None))
    enhance_video(open_video_file(tmp_path / "a.mkv"), Unchanged(1), tmp_path / "a_8x6_1_444.yuv")
    (frame,) = decoded(tmp_path / "a_8x6_1_444.yuv")
    assert [int(plane[0, 0]) for plane in frame] == [235, 128, 128]


@pytest.mark.parametrize(
    ("color", "red"), [(Color(1, 1), (63, 102, 240)), (Color(1, 6), (81, 90, 240)), (Color(2, 9), (67, 92, 255))]
)
def test_networks_and_comparisons_get_the_colors_of_the_file(tmp_path, color, red):
    geometry = Geometry(64, 48)
    with VideoWriter(tmp_path / "a.mkv", geometry, color=color) as writer:
        writer.write(
            Frame(*(np.full(shape, value, np.uint8) for shape, value in zip(geometry.shapes, red, strict=True)))
        )
    model = Unchanged(3)
    done = enhance_video(open_video_file(tmp_path / "a.mkv"), model, tmp_path / "b.mkv")
    for rgb in (model.seen[0, :, 9, 9].numpy() * 255, done.before.pixels[9, 9], done.after.pixels[9, 9]):
        assert np.abs(rgb.astype(float) - (255, 0, 0)).max() <= 3
