"""Clips of videos: all sources give the same samples, which are crops of the frames; memory; mistakes."""

import pickle
import pkgutil
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from powerqe.dataset import DATASETS, Draw
from powerqe.dataset.clips import VideoClips
from powerqe.dataset.loader import collate, eval_batches, make_loader, to_device, train_batches
from powerqe.dataset.sampler import TrainSampler
from powerqe.dataset.store import write_store
from powerqe.dataset.videos import Recent
from powerqe.utils.errors import UserError
from powerqe.utils.image.io import read_image, write_image
from powerqe.utils.image.orientation import oriented
from powerqe.utils.options.components import validate_component
from powerqe.utils.options.tree import TrainData
from powerqe.utils.video.colors import ColorSpace
from powerqe.utils.video.frame_records import FrameInfo, write_record
from powerqe.utils.video.pixels import FramePixels
from powerqe.utils.video.yuv import Frame, Geometry, YUVReader, YUVWriter

CPU = torch.device("cpu")
SOURCES = ["raw", "frames", "store raw", "store png"]
VIDEOS = {"Alpha_32x24": 7, "RaceHorses_24x16": 5, "RaceHorses_32x16": 9}
"""Name to number of frames."""


def to_rgb(frame: Frame) -> np.ndarray:
    height, width = frame.y.shape
    return FramePixels(3, Geometry(width, height, "444" if frame.u.shape == frame.y.shape else "420")).seen(frame)


def noise(name: str, damage: int = 0) -> list[Frame]:
    """The 4:2:0 frames of a video; `damage` gives others."""
    width, height = map(int, name.rpartition("_")[2].split("x"))
    random = np.random.default_rng([damage, *name.encode()])
    shapes = Geometry(width, height).shapes
    return [Frame(*(random.integers(0, 256, shape, np.uint8) for shape in shapes)) for _ in range(VIDEOS[name])]


def write_raw(path: Path, frames: Sequence[Frame], chroma: str = "420", depth: int = 8) -> Path:
    height, width = frames[0].y.shape
    with YUVWriter(path, Geometry(width, height, chroma, depth)) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """gt/ and qp37/ with raw files of `VIDEOS`."""
    return fill(tmp_path)


def fill(root: Path) -> Path:
    for folder, damage in (("gt", 0), ("qp37", 1)):
        for name, count in VIDEOS.items():
            write_raw(root / f"{folder}/{name}_{count}.yuv", noise(name, damage))
    return root


def make_frames(color: str, damage: int) -> dict[str, np.ndarray]:
    """The frames of all videos by `<video>/im<number>`, gray or RGB."""
    return {
        f"{name}/im{number}": to_rgb(frame) if color == "rgb" else frame.y[..., None]
        for name in VIDEOS
        for number, frame in enumerate(noise(name, damage), 1)
    }


def as_frames(root: Path, color: str) -> None:
    for folder, damage in (("gt", 0), ("qp37", 1)):
        for stem, image in make_frames(color, damage).items():
            write_image(root / f"frames_{color}/{folder}/{stem}.png", image)


def as_stores(root: Path, color: str, codec: str) -> None:
    for folder, damage in (("gt", 0), ("qp37", 1)):
        write_store(root / f"{codec}_{color}/{folder}.lmdb", make_frames(color, damage).items(), codec)


def sources(root: Path, kind: str, color: str) -> tuple[str, str]:
    """gt and lq of all videos; made if need be."""
    if kind == "raw":
        return str(root / "gt"), str(root / "qp37")
    if kind == "frames":
        folder = root / f"frames_{color}"
        if not folder.exists():
            as_frames(root, color)
        return str(folder / "gt"), str(folder / "qp37")
    codec = kind.split()[1]
    folder = root / f"{codec}_{color}"
    if not folder.exists():
        as_stores(root, color, codec)
    return str(folder / "gt.lmdb"), str(folder / "qp37.lmdb")


def clips(root: Path, kind: str = "raw", color: str = "y", gt: bool = True, **options) -> VideoClips:
    clean, damaged = sources(root, kind, color)
    if isinstance(radius := options.pop("radius", None), int):
        options["window"] = {"type": "Sliding", "radius": radius}
    return VideoClips(gt=clean if gt else None, lq=damaged, color=color, **options)


def whole(name: str, damage: int, color: str) -> list[np.ndarray]:
    """The frames of a video, converted by hand."""
    return [to_rgb(frame) if color == "rgb" else frame.y[..., None] for frame in noise(name, damage)]


def same(first, second) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


# --------------------------------------------------------------------------- whole frames


@pytest.mark.parametrize("color", ["y", "rgb"])
@pytest.mark.parametrize("kind", SOURCES)
def test_every_frame_of_every_video_with_its_window(videos, kind, color):
    dataset = clips(videos, kind, color, radius=2, patch=8, flip=True, rotate=True, reverse=True)
    assert len(dataset) == sum(VIDEOS.values())
    index = 0
    for sequence, (name, count) in zip(dataset.sequences, sorted(VIDEOS.items()), strict=True):
        lq, gt = whole(name, 1, color), whole(name, 0, color)
        assert (sequence.name, sequence.length, sequence.indices) == (name, count, range(index, index + count))
        assert (sequence.height, sequence.width) == lq[0].shape[:2]
        for frame in range(count):
            sample = dataset[index]
            window = [min(max(t, 0), count - 1) for t in range(frame - 2, frame + 3)]
            np.testing.assert_array_equal(sample["lq"], np.stack([lq[t] for t in window]))
            np.testing.assert_array_equal(sample["gt"], gt[frame])
            assert sample["lq"].dtype == sample["gt"].dtype == np.uint8
            assert sample["name"] == f"{name}-{frame:05d}"
            assert (sample["sequence"], sample["frame"], sample["peak"]) == (name, frame, -1)
            assert (sample["group"], sample["quality"]) == ("qp37", 37)
            index += 1
    for outside in (-1, index):
        with pytest.raises(IndexError):
            dataset[outside]


def test_one_frame_is_an_image(videos):
    dataset = clips(videos)
    assert dataset[0]["lq"].shape == dataset[0]["gt"].shape == (24, 32, 1)
    batch = next(eval_batches(dataset))
    assert batch["lq"].shape == batch["gt"].shape == (1, 1, 24, 32)


def test_without_ground_truth(videos):
    dataset = clips(videos, gt=False, radius=1, patch=8)
    for request in (0, Draw(0, 1)):
        assert "gt" not in dataset[request]
    assert dataset.sequences[0].gt is None


# --------------------------------------------------------------------------- training


@settings(deadline=None, max_examples=30)
@given(
    index=st.integers(0, sum(VIDEOS.values()) - 1),
    seed=st.integers(0, 2**64 - 1),
    color=st.sampled_from(["y", "rgb"]),
    patch=st.integers(1, 16),
    radius=st.integers(0, 3),
)
def test_a_training_sample_is_one_crop_turned_alike(index, seed, color, patch, radius, tmp_path_factory):
    root = tmp_path_factory.getbasetemp() / "shared"
    if not root.exists():
        fill(root)
    options = {"radius": radius, "patch": patch, "flip": True, "rotate": True, "reverse": True}
    dataset = clips(root, "raw", color, **options)
    sample, uncut = dataset[Draw(index, seed)], clips(root, "raw", color, radius=radius)[index]
    found = set()
    height, width = uncut["gt"].shape[:2]
    for top in range(height - patch + 1):
        for left in range(width - patch + 1):
            crop = uncut["gt"][top : top + patch, left : left + patch]
            for symmetry in range(8):
                if np.array_equal(oriented(crop, symmetry), sample["gt"]):
                    found.add((top, left, symmetry))
    assert found
    frames = uncut["lq"][None] if radius == 0 else uncut["lq"]
    turned = [
        np.stack([oriented(frame[top : top + patch, left : left + patch], symmetry) for frame in frames])[::step]
        for top, left, symmetry in found
        for step in (1, -1)
    ]
    assert any(np.array_equal(clip if radius else clip[0], sample["lq"]) for clip in turned)
    assert sample["lq"].flags.c_contiguous
    assert sample["gt"].flags.c_contiguous
    for kind in SOURCES[1:]:
        other = clips(root, kind, color, **options)[Draw(index, seed)]
        assert same(other, sample)


def test_time_runs_backwards_in_half_of_the_samples(videos):
    forwards = clips(videos, radius=1)[3]["lq"]
    dataset = clips(videos, radius=1, reverse=True)
    backwards = [np.array_equal(dataset[Draw(3, seed)]["lq"], forwards[::-1]) for seed in range(100)]
    assert 30 < sum(backwards) < 70
    assert all(back or np.array_equal(dataset[Draw(3, seed)]["lq"], forwards) for seed, back in enumerate(backwards))
    assert not any(np.array_equal(clips(videos, radius=1)[Draw(3, s)]["lq"], forwards[::-1]) for s in range(20))


def test_weighting(videos):
    def share(weighting: str) -> dict[str, int]:
        dataset = clips(videos, weighting=weighting)
        draws = [draw for batch in islice(TrainSampler(len(dataset), 3, enlarge_ratio=50), 350) for draw in batch]
        samples = [dataset[draw] for draw in draws]
        if weighting == "sequences":
            assert {(s["sequence"], s["frame"]) for s in samples} == {(n, t) for n in VIDEOS for t in range(VIDEOS[n])}
        names = [sample["sequence"] for sample in samples]
        return {name: names.count(name) for name in VIDEOS}

    assert share("frames") == {name: 50 * count for name, count in VIDEOS.items()}
    assert set(share("sequences").values()) == {350}


def options(root: Path, **changes):
    spec = {"type": "VideoClips", "gt": str(root / "gt"), "lq": str(root / "qp37"), "patch": 8, "flip": True}
    spec |= {"window": {"type": "Sliding", "radius": 1}, "rotate": True, "reverse": True}
    spec |= {"bs_pg": 4, "nworker_pg": 0, "enlarge_ratio": 2}
    return validate_component("dataset", spec | changes, TrainData)


def train(root: Path, count: int, **changes):
    component = options(root, **changes)
    return list(
        islice(train_batches(DATASETS["VideoClips"](**component.arguments), component, seed=3, device=CPU), count)
    )


def assert_same_batches(first, second):
    for a, b in zip(first, second, strict=True):
        assert a["name"] == b["name"]
        assert all(torch.equal(a[key], b[key]) for key in ("lq", "gt", "frame", "peak", "quality"))


def test_batches_with_and_without_workers(videos):
    batches = train(videos, 6)
    assert batches[0]["lq"].shape == (4, 3, 1, 8, 8)
    assert batches[0]["gt"].shape == (4, 1, 8, 8)
    assert batches[0]["lq"].dtype == torch.float32
    assert batches[0]["lq"].is_contiguous()
    assert batches[0]["lq"].max() > 0.9
    assert batches[0]["frame"].dtype == batches[0]["peak"].dtype == torch.int64
    assert [f"{s}-{t:05d}" for s, t in zip(batches[0]["sequence"], batches[0]["frame"], strict=True)] == batches[0][
        "name"
    ]
    assert_same_batches(batches, train(videos, 6, nworker_pg=2))


@pytest.mark.slow
def test_spawned_workers_read_the_same(videos):
    component = options(videos)
    dataset = DATASETS["VideoClips"](**component.arguments)
    dataset[0]  # files are open in this process already
    loader = make_loader(dataset, TrainSampler(len(dataset), 4, seed=3, enlarge_ratio=2), 1, context="spawn")
    assert_same_batches([to_device(batch, CPU) for batch in islice(loader, 3)], train(videos, 3))


@pytest.mark.parametrize("color", ["y", "rgb"])
@pytest.mark.parametrize("kind", SOURCES)
def test_a_copy_for_another_process_is_small_and_reads_the_same(videos, kind, color):
    dataset = clips(videos, kind, color, radius=1, patch=8)
    fresh = len(pickle.dumps(dataset))
    expected = [dataset[request] for request in (0, 9, Draw(4, 1))]
    copy = pickle.dumps(dataset)
    assert len(copy) == fresh  # no open file, no frame
    assert all(map(same, [pickle.loads(copy)[request] for request in (0, 9, Draw(4, 1))], expected))


def test_clips_in_the_memory_format_of_images(videos):
    batch = to_device(collate([clips(videos, radius=1)[0]]), CPU, torch.channels_last)
    assert batch["lq"].shape == (1, 3, 1, 24, 32)
    assert batch["lq"].is_contiguous()


# --------------------------------------------------------------------------- windows


def test_peak_frames(videos):
    window = {"type": "PeakFrames", "source": "period", "period": [1, 0, 0], "role": "others"}
    dataset = clips(videos, window=window)
    assert [list(sequence.frames) for sequence in dataset.sequences] == [[1, 2, 4, 5], [1, 2, 4], [1, 2, 4, 5, 7, 8]]
    assert len(dataset) == 13
    sample = dataset[5]  # frame 2 of RaceHorses_24x16: between the peaks 0 and 3
    lq = whole("RaceHorses_24x16", 1, "y")
    np.testing.assert_array_equal(sample["lq"], np.stack([lq[0], lq[2], lq[3]]))
    assert (sample["name"], sample["frame"], sample["peak"]) == ("RaceHorses_24x16-00002", 2, 0)
    assert clips(videos, window=window | {"role": "peaks"})[1]["peak"] == 1
    drawn = {dataset[Draw(index, 3)]["name"] for index in range(13)}
    assert drawn == {dataset[index]["name"] for index in range(13)}


@pytest.mark.parametrize("color", ["y", "rgb"])
def test_peaks_of_the_psnr_computed_from_the_videos(videos, color):
    dataset = clips(videos, color=color, window={"type": "PeakFrames", "source": "psnr"})
    for sequence in dataset.sequences:
        lq, gt = (np.stack(whole(sequence.name, damage, "y")).astype(float) for damage in (1, 0))
        mse = ((lq - gt) ** 2).mean(axis=(1, 2, 3))
        padded = np.concatenate([[np.inf], mse, [np.inf]])
        assert list(sequence.marked.peaks) == [t for t in range(len(mse)) if mse[t] < min(padded[t], padded[t + 2])]


def test_a_video_without_samples_is_passed_over(videos):
    dataset = clips(videos, window={"type": "Sliding", "radius": 3, "inside": True}, weighting="sequences")
    assert [(s.name, list(s.frames)) for s in dataset.sequences] == [
        ("Alpha_32x24", [3]),
        ("RaceHorses_32x16", [3, 4, 5]),
    ]
    assert [dataset[index]["name"] for index in range(4)][1] == "RaceHorses_32x16-00003"
    assert {dataset[Draw(index, 1)]["sequence"] for index in range(4)} == {"Alpha_32x24", "RaceHorses_32x16"}
    with pytest.raises(UserError, match=r"qp37.*false"):
        clips(videos, window={"type": "Sliding", "radius": 5, "inside": True})


# --------------------------------------------------------------------------- which videos and frames


def test_what_a_test_of_videos_needs(videos):
    dataset = clips(videos, radius=1)
    sequence = dataset.sequences[1]
    assert sequence.lq == videos / "qp37/RaceHorses_24x16_5.yuv"
    assert sequence.gt == videos / "gt/RaceHorses_24x16_5.yuv"
    assert sequence.enhanced_pixels(1).geometry == Geometry(24, 16)
    found = dataset.planes(sequence.indices[3])
    assert all(map(np.array_equal, found, noise(sequence.name, 1)[3]))
    folders = clips(videos, "frames", radius=1)
    assert folders.planes(3) is None
    assert folders.sequences[1].enhanced_pixels(1).geometry == Geometry(24, 16)
    assert folders.sequences[1].lq == videos / "frames_y/qp37/RaceHorses_24x16"


def test_first_frames_only(videos):
    for path in videos.glob("qp37/*.yuv"):  # cut as the toolbox of MFQE cuts
        name = path.stem.rpartition("_")[0]
        write_raw(path, noise(name, 1)[:5])
    dataset = clips(videos, max_frames=5, radius=2)
    assert [sequence.length for sequence in dataset.sequences] == [5, 5, 5]
    np.testing.assert_array_equal(dataset[4]["lq"][4], whole("Alpha_32x24", 1, "y")[4])  # the end is repeated
    assert [s.length for s in clips(videos, "frames", max_frames=6, gt=False).sequences] == [6, 5, 6]
    with pytest.raises(UserError, match=r"Alpha_32x24_7\.yuv has 5 frames.*promises 7.*Alpha_32x24_5\.yuv"):
        clips(videos, max_frames=6)


def test_slice_and_list(videos):
    (videos / "list.txt").write_text("# mine\nRaceHorses_32x16\n\nAlpha 7 (24,32,1)\n")
    listed = str(videos / "list.txt")
    for kind in SOURCES:
        assert [s.name for s in clips(videos, kind, slice=(1, 3)).sequences] == sorted(VIDEOS)[1:]
        assert [s.name for s in clips(videos, "raw", list=listed).sequences] == ["RaceHorses_32x16", "Alpha_32x24"]
        assert [s.name for s in clips(videos, "raw", list=listed, slice=(1, 2)).sequences] == ["Alpha_32x24"]
    (videos / "list.txt").write_text("RaceHorses_24x16_300\n")  # another number of frames
    dataset = clips(videos, list=listed)
    assert [sequence.name for sequence in dataset.sequences] == ["RaceHorses_24x16"]
    (videos / "qp37/Alpha_32x24_7.yuv").unlink()  # not in the list, not missed
    assert same(clips(videos, list=listed)[2], dataset[2])


@pytest.fixture
def septuplets(tmp_path) -> Path:
    """sequences/ and qp37/ with three clips of seven frames as Vimeo-90K names them, and raw/ and sep_trainlist.txt."""
    for number, clip in enumerate(("00001/0001", "00001/0002", "00002/0001")):
        planes = np.random.default_rng(number).integers(0, 256, (2, 7, 8, 16, 3), np.uint8)
        for frame in range(7):
            write_image(tmp_path / f"sequences/{clip}/im{frame + 1}.png", planes[0, frame])
            write_image(tmp_path / f"qp37/{clip}/im{frame + 1}.png", planes[1, frame])
        frames = [Frame(*np.moveaxis(frame, 2, 0)) for frame in planes[1]]
        write_raw(tmp_path / f"raw/{clip.replace('/', '_')}.yuv", frames, "444")
    (tmp_path / "sep_trainlist.txt").write_text("00002/0001\n00001/0001\n\n")
    return tmp_path


def vimeo(root: Path, lq: str = "qp37", **options) -> VideoClips:
    listed = str(root / "sep_trainlist.txt")
    return VideoClips(gt=str(root / "sequences"), lq=str(root / lq), color="rgb", list=listed, **options)


def test_septuplets(septuplets):
    dataset = vimeo(septuplets, window={"type": "Sliding", "radius": 3, "inside": True})
    assert [sequence.name for sequence in dataset.sequences] == ["00002_0001", "00001_0001"]
    sample = dataset[1]
    assert sample["name"] == "00001_0001-00003"
    for number, frame in enumerate(sample["lq"], 1):
        np.testing.assert_array_equal(frame, read_image(septuplets / f"qp37/00001/0001/im{number}.png"))
    np.testing.assert_array_equal(sample["gt"], read_image(septuplets / "sequences/00001/0001/im4.png"))
    raw = vimeo(septuplets, "raw", size=(16, 8), chroma="444")
    assert [sequence.name for sequence in raw.sequences] == ["00002_0001", "00001_0001"]
    frame = YUVReader(septuplets / "raw/00001_0001.yuv", Geometry(16, 8, "444"))[2]
    np.testing.assert_array_equal(raw[9]["lq"], to_rgb(frame))


def test_folders_outside_of_the_list_are_not_looked_at(septuplets):
    (septuplets / "qp37/00001/0002/im9.png").write_bytes(b"")
    (septuplets / "qp37/00001/0002/im9.jpg").write_bytes(b"")  # two frames of one name
    assert len(vimeo(septuplets)) == 14


def test_only_the_middle_frame_is_clean(septuplets):
    for path in septuplets.glob("sequences/*/*/im[1-35-7].png"):
        path.unlink()
    dataset = vimeo(septuplets, window={"type": "Sliding", "radius": 2}, patch=4)
    assert len(dataset) == 2
    sample = dataset[1]
    assert sample["frame"] == 3
    np.testing.assert_array_equal(sample["gt"], read_image(septuplets / "sequences/00001/0001/im4.png"))
    np.testing.assert_array_equal(sample["lq"][4], read_image(septuplets / "qp37/00001/0001/im6.png"))
    assert dataset[Draw(1, 3)]["gt"].shape == (4, 4, 3)
    with pytest.raises(UserError, match=r"frame 4.*7.*4 reaches"):
        vimeo(septuplets, window={"type": "Sliding", "radius": 4})


def test_frames_are_counted_by_number(tmp_path):
    for number in range(1, 13):
        write_image(tmp_path / f"qp37/a/{number}.png", np.full((4, 4, 1), number, np.uint8))
    dataset = VideoClips(gt=None, lq=str(tmp_path / "qp37"))
    assert [int(dataset[index]["lq"][0, 0, 0]) for index in range(12)] == list(range(1, 13))


@pytest.mark.parametrize("color", ["y", "rgb"])
def test_ten_bits_are_rounded(tmp_path, color):
    random = np.random.default_rng(0)
    ten = Frame(*(random.integers(0, 1024, shape, np.uint16) for shape in Geometry(8, 6).shapes))
    ten.y[0, :4] = (1, 2, 1021, 1023)
    eight = Frame(*(np.minimum(np.floor(plane / 4 + 0.5), 255).astype(np.uint8) for plane in ten))
    write_raw(tmp_path / "qp37/a_8x6_1.yuv", [ten], depth=10)
    dataset = VideoClips(gt=None, lq=str(tmp_path / "qp37"), depth=10, color=color)
    np.testing.assert_array_equal(dataset[0]["lq"], to_rgb(eight) if color == "rgb" else eight.y[..., None])
    assert all(map(np.array_equal, dataset.planes(0), ten))


def test_odd_sides_without_subsampling(tmp_path):
    random = np.random.default_rng(0)
    frame = Frame(*(random.integers(0, 256, (7, 9), np.uint8) for _ in range(3)))
    write_raw(tmp_path / "qp37/a_9x7_1.yuv", [frame], "444")
    dataset = VideoClips(gt=None, lq=str(tmp_path / "qp37"), chroma="444", color="rgb", patch=3)
    whole = dataset[0]["lq"]
    np.testing.assert_array_equal(whole, to_rgb(frame))
    crops = {whole[top : top + 3, left : left + 3].tobytes() for top in range(5) for left in range(7)}
    assert {dataset[Draw(0, seed)]["lq"].tobytes() for seed in range(400)} == crops


# --------------------------------------------------------------------------- memory


def test_what_was_used_last_is_kept():
    made = []
    recent = Recent(lambda key: made.append(key) or key, 2)
    assert [recent(key) for key in "abacab"] == list("abacab")
    assert made == list("abcb")


@pytest.mark.parametrize(("kind", "color"), [("frames", "y"), ("store png", "rgb"), ("raw", "rgb")])
def test_windows_that_slide_decode_each_frame_once(videos, kind, color, monkeypatch):
    decoded = []
    place = {"frames": "powerqe.dataset.videos.read_image", "raw": "powerqe.utils.video.pixels.FramePixels.seen"}.get(
        kind, "powerqe.dataset.store.decode_image"
    )
    original = pkgutil.resolve_name(place)
    dataset = clips(videos, kind, color, radius=2)
    monkeypatch.setattr(place, lambda *args, **options: decoded.append(1) or original(*args, **options))
    for index in range(len(dataset)):
        dataset[index]
    assert len(decoded) == 2 * sum(VIDEOS.values())  # lq and gt
    assert len(dataset._lq._stored._values if kind != "raw" else dataset._lq._rgb._values) <= 6


def test_a_crop_reads_its_own_rows_only(videos, monkeypatch):
    converted, original = [], ColorSpace.to_rgb
    monkeypatch.setattr(
        "powerqe.utils.video.colors.ColorSpace.to_rgb",
        lambda space, frame: converted.append(frame.y.shape) or original(space, frame),
    )
    clips(videos, "raw", "rgb", radius=1, patch=4)[Draw(0, 1)]
    assert len(converted) == 4
    assert all(height <= 10 and width <= 10 for height, width in converted)


def test_few_files_are_open_at_once(tmp_path):
    for number in range(30):
        write_raw(
            tmp_path / f"qp37/v{number}_8x8_2.yuv", [Frame(*(np.zeros(s, np.uint8) for s in Geometry(8, 8).shapes))] * 2
        )
    dataset = VideoClips(gt=None, lq=str(tmp_path / "qp37"))

    def maps() -> int:
        return Path("/proc/self/maps").read_text().count(str(tmp_path))

    assert maps() == 0  # nothing is open before it is asked for
    for index in range(60):
        dataset[index]
    assert maps() == 8


# --------------------------------------------------------------------------- bad input


def test_a_raw_file_that_is_cut_off_or_of_another_size(videos):
    path = videos / "qp37/Alpha_32x24_7.yuv"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(UserError, match=r"Alpha_32x24_7\.yuv.*8,063.*6 frames.*1,152.*1,151"):
        clips(videos)
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"Alpha_32x24_7\.yuv has 0 bytes"):
        clips(videos)
    path.write_bytes(content)
    path.rename(videos / "qp37/Alpha_34x24_7.yuv")
    with pytest.raises(UserError, match=r"Alpha_34x24_7\.yuv.*8,064"):
        clips(videos)
    (videos / "qp37/Alpha_34x24_7.yuv").rename(videos / "qp37/Alpha_33x24_7.yuv")
    with pytest.raises(UserError, match=r"Alpha_33x24_7\.yuv: 33x24.*4:2:0"):
        clips(videos)
    (videos / "qp37/Alpha_33x24_7.yuv").rename(videos / "qp37/Alpha.yuv")
    with pytest.raises(UserError, match=r"Alpha\.yuv"):
        clips(videos)


def test_missing_partners(videos):
    (videos / "qp37/RaceHorses_24x16_5.yuv").rename(videos / "elsewhere.yuv")
    with pytest.raises(UserError, match=r"1.*3 videos.*2.*qp37: RaceHorses_24x16"):
        clips(videos)
    for name in ("v", "w", "x", "y"):
        write_raw(videos / f"qp37/{name}_32x24_7.yuv", noise("Alpha_32x24"))
    with pytest.raises(UserError, match=r"4.*6 videos.*qp37.*3.*v_32x24"):
        clips(videos)


def test_two_videos_of_one_name(videos):
    write_raw(videos / "qp37/Alpha_32x24_6.yuv", noise("Alpha_32x24")[:6])
    with pytest.raises(UserError, match=r"qp37.*Alpha_32x24"):
        clips(videos)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"list\.txt"),
        (b"\n# nothing\n", r"list\.txt"),
        (b"Alpha_32x24\nAlpha_32x24\n", r"list\.txt.*Alpha_32x24 twice"),
        (b"Alpha\nAlpha_32x24\n", r"list\.txt.*Alpha_32x24 twice"),
        (b"Alphx_32x24\n", r"Alphx_32x24.*qp37.*Alpha_32x24"),
        (b"RaceHorses\n", r"RaceHorses_24x16.*RaceHorses_32x16"),
        (b"\xff\xfe\n", r"list\.txt"),
    ],
)
def test_broken_list(videos, content, message):
    if content is not None:
        (videos / "list.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        clips(videos, list=str(videos / "list.txt"))


def test_listed_folders_that_are_not_there(septuplets):
    (septuplets / "sep_trainlist.txt").write_text("00001/0001\n00003/0001\n")
    with pytest.raises(UserError, match=r"00003/0001.*qp37.*00001_0001"):
        vimeo(septuplets)
    (septuplets / "sep_trainlist.txt").write_text("00003/0001\n")
    with pytest.raises(UserError, match=r"no video in .*qp37"):
        vimeo(septuplets)


def test_no_videos(videos):
    (videos / "empty").mkdir()
    write_image(videos / "images/1.png", np.zeros((4, 4, 3), np.uint8))
    write_store(videos / "images.lmdb", [("1", np.zeros((4, 4, 3), np.uint8))])
    for folder, message in (
        ("nothing", "no folder of videos .*nothing"),
        ("empty", r"no video in .*empty; it needs \*\.yuv files, or folders of frames"),
        ("images", "images holds images; expected folders of frames"),
        ("images.lmdb", r"images\.lmdb holds the image 1; .*<sequence>/<frame>"),
    ):
        with pytest.raises(UserError, match=message):
            VideoClips(gt=None, lq=str(videos / folder))


def test_slice_outside(videos):
    with pytest.raises(UserError, match=r"slice: \[1, 4\].*3 videos.*qp37"):
        clips(videos, slice=(1, 4))


def test_frames_that_do_not_fit(septuplets):
    write_image(septuplets / "qp37/00001/0001/im3.png", np.zeros((8, 14, 3), np.uint8))
    dataset = vimeo(septuplets, window={"type": "Sliding", "radius": 1})
    for request in (8, 9, 10, Draw(8, 1)):
        with pytest.raises(UserError, match=r"frame 2.*qp37\[00001/0001\].*14x8.*16x8"):
            dataset[request]
    assert dataset[7]["lq"].shape == (3, 8, 16, 3)
    alone = VideoClips(gt=None, lq=str(septuplets / "qp37"), color="rgb", window={"type": "Sliding", "radius": 1})
    with pytest.raises(UserError, match=r"frame 2.*14x8.*frame 1.*16x8"):
        alone[1]
    with pytest.raises(UserError, match=r"16x8.*9"):
        vimeo(septuplets, patch=9)[Draw(0, 1)]
    write_image(septuplets / "qp37/00001/0001/im3.png", np.zeros((8, 16, 1), np.uint8))
    gray = vimeo(septuplets)
    with pytest.raises(UserError, match=r"8-bit gray.*8-bit RGB"):
        gray[9]


def test_frames_of_other_names_or_numbers(septuplets):
    (septuplets / "qp37/00001/0001/im3.png").rename(septuplets / "qp37/00001/0001/im8.png")
    with pytest.raises(UserError, match=r"frame 2.*im4.*qp37\[00001/0001\].*im3"):
        vimeo(septuplets)
    (septuplets / "qp37/00001/0001/im8.png").unlink()
    with pytest.raises(UserError, match=r"00001/0001\].*6 frames.*sequences\[00001/0001\] 7"):
        vimeo(septuplets)
    for path in septuplets.glob("sequences/00001/0001/im[1-24-7].png"):
        path.unlink()
    with pytest.raises(UserError, match=r"has no frame im3, the one that gt has"):
        vimeo(septuplets)


def test_a_video_of_one_quality_has_no_peaks(videos):
    for name, count in VIDEOS.items():
        frames = [FrameInfo(poc, "P", 37, 100, 30.0) for poc in range(count)]
        write_record(videos / f"qp37/{name}_{count}.frames.json", {}, frames)
    with pytest.raises(UserError, match=r"qp37/Alpha_32x24_7\.yuv: none.*7 frames"):
        clips(videos, window={"type": "PeakFrames"})


def test_as_a_component(videos):
    spec = {"type": "VideoClips", "gt": None, "lq": str(videos / "qp37")}
    for wrong in ({"window": {"type": "Slidin"}}, {"patch": 0}, {"chroma": 420}, {"depth": 9}, {"size": [8]}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            validate_component("dataset", spec | wrong)
