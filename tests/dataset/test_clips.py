"""Clips of videos: all sources give the same samples, which are crops of the frames; memory; mistakes."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset import DATASETS, Draw
from dataset.clips import VideoClips
from dataset.loader import collate, eval_batches, make_loader, to_device, train_batches
from dataset.sampler import TrainSampler
from dataset.store import write_store
from utils.components import validate_component
from utils.image_io import oriented, write_image
from utils.options import TrainData
from utils.yuv import Frame, Geometry, YUVWriter, to_rgb

CPU = torch.device("cpu")
SOURCES = ["raw", "frames", "store raw", "store png"]
VIDEOS = {"Alpha_32x24": 7, "RaceHorses_24x16": 5, "RaceHorses_32x16": 9}
"""Name to number of frames."""


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


def pictures(color: str, damage: int) -> dict[str, np.ndarray]:
    """The frames of all videos by `<video>/im<number>`, grey or RGB."""
    return {
        f"{name}/im{number}": to_rgb(frame) if color == "rgb" else frame.y[..., None]
        for name in VIDEOS
        for number, frame in enumerate(noise(name, damage), 1)
    }


def as_frames(root: Path, color: str) -> None:
    for folder, damage in (("gt", 0), ("qp37", 1)):
        for stem, image in pictures(color, damage).items():
            write_image(root / f"frames_{color}/{folder}/{stem}.png", image)


def as_stores(root: Path, color: str, codec: str) -> None:
    for folder, damage in (("gt", 0), ("qp37", 1)):
        write_store(root / f"{codec}_{color}/{folder}.lmdb", pictures(color, damage).items(), codec)


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


@pytest.mark.parametrize("kind", SOURCES)
def test_spawned_workers_read_the_same(videos, kind):
    gt, lq = sources(videos, kind, "y")
    component = options(videos, gt=gt, lq=lq)
    dataset = DATASETS["VideoClips"](**component.arguments)
    dataset[0]  # files are open in this process already
    loader = make_loader(dataset, TrainSampler(len(dataset), 4, seed=3, enlarge_ratio=2), 1, context="spawn")
    assert_same_batches([to_device(batch, CPU) for batch in islice(loader, 3)], train(videos, 3))


def test_clips_in_the_memory_format_of_images(videos):
    batch = to_device(collate([clips(videos, radius=1)[0]]), CPU, torch.channels_last)
    assert batch["lq"].shape == (1, 3, 1, 24, 32)
    assert batch["lq"].is_contiguous()
