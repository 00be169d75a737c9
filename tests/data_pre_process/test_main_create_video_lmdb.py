"""From a folder of videos to an LMDB store, of ours and in the layout of STDF-PyTorch."""

import itertools
import os
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest

from powerqe.data_pre_process.main_create_video_lmdb import main
from powerqe.dataset import Draw
from powerqe.dataset import stdf_groups as groups
from powerqe.dataset.clips import VideoClips
from powerqe.dataset.store import open_store
from powerqe.dataset.videos import open_videos
from powerqe.utils.errors import UserError
from powerqe.utils.image.io import write_image
from powerqe.utils.video.yuv import Frame, Geometry, YUVReader, YUVWriter

VIDEOS = {"a_24x16": 15, "b_16x8": 7, "c_16x8": 6, "d_16x8": 8}  # the third has no whole group


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """raw/ and qp37/ with four videos."""
    random = np.random.default_rng(0)
    for folder in ("raw", "qp37"):
        for name, count in VIDEOS.items():
            geometry = Geometry(*map(int, name.partition("_")[2].split("x")))
            with YUVWriter(tmp_path / f"{folder}/{name}_{count}.yuv", geometry) as writer:
                for _ in range(count):
                    writer.write(Frame(*(random.integers(0, 256, shape, np.uint8) for shape in geometry.shapes)))
    return tmp_path


def create(data: Path, *arguments: str) -> int:
    return main([*arguments, "--data-root", str(data), "--quiet", "--nworker", "2"])


def create_groups(data: Path, *more: str) -> tuple[Path, Path]:
    """Both stores in STDF's layout."""
    for folder, name, own in (("raw", "gt", ("--gt",)), ("qp37", "lq", ())):
        assert create(data, folder, "--layout", "stdf", "--store", f"train_{name}.lmdb", *own, *more) == 0
    return data / "train_gt.lmdb", data / "train_lq.lmdb"


def content(store: Path) -> dict[str, bytes]:
    """All keys and values, as LMDB itself says."""
    with lmdb.open(str(store), readonly=True, lock=False) as environment, environment.begin() as transaction:
        return {key.decode(): bytes(value) for key, value in transaction.cursor()}


# --------------------------------------------------------------------------- STDF's layout


def test_groups_of_seven(data):
    stores = create_groups(data)
    numbers = {"001": ("a_24x16_15", 2), "002": ("b_16x8_7", 1), "004": ("d_16x8_8", 1)}
    for store, folder, places in zip(stores, ("raw", "qp37"), ((4,), range(1, 8)), strict=True):
        records = content(store)
        lines = []
        for number, (stem, count) in numbers.items():
            reader = YUVReader(data / f"{folder}/{stem}.yuv")
            for group, place in itertools.product(range(1, count + 1), places):
                key = f"{number}/{group:03d}/im{place}.png"
                image = cv2.imdecode(np.frombuffer(records.pop(key), np.uint8), cv2.IMREAD_UNCHANGED)
                np.testing.assert_array_equal(image, reader.luma(7 * (group - 1) + place - 1))
                lines.append(f"{key} ({image.shape[0]},{image.shape[1]},1) 1")
        assert records == {}
        assert (store / "meta_info.txt").read_text().splitlines() == lines
    assert sorted(path.name for path in data.iterdir()) == ["qp37", "raw", "train_gt.lmdb", "train_lq.lmdb"]


def test_png_files_of_level_1(data):
    image = np.repeat(np.random.default_rng(0).integers(0, 256, (64, 8, 1), np.uint8), 8, axis=1)
    for number in range(1, 8):
        write_image(data / f"frames/v/im{number}.png", image)
    assert create(data, "frames", "--layout", "stdf") == 0
    expected = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    assert content(data / "frames.lmdb")["001/001/im5.png"] == expected


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_training_on_groups(data, radius):
    gt, lq = create_groups(data)
    window = {"type": "Sliding", "radius": radius}
    dataset = VideoClips(gt=str(gt), lq=str(lq), window=window, patch=8)
    assert [sequence.name for sequence in dataset.sequences] == ["001_001", "001_002", "002_001", "004_001"]
    assert len(dataset) == 4
    raw = VideoClips(gt=str(data / "raw"), lq=str(data / "qp37"), window=window, patch=8)
    for index, same in enumerate((3, 10, 18, 31)):  # the middle of each group
        sample, expected = dataset[index], raw[same]
        assert sample["frame"] == 3
        np.testing.assert_array_equal(sample["lq"], expected["lq"])
        np.testing.assert_array_equal(sample["gt"], expected["gt"])
        np.testing.assert_array_equal(dataset[Draw(index, 7)]["lq"], raw[Draw(same, 7)]["lq"])
    with pytest.raises(UserError, match=r"radius: 4 reaches.*be 3"):
        VideoClips(gt=str(gt), lq=str(lq), window={"type": "Sliding", "radius": 4})


def test_at_most_300_frames(data):
    videos = open_videos(data / "raw")
    videos.count = lambda name: 2000
    frames = groups.group_frames(videos, ["a_24x16"] * 1000, max_frames=300, targets=True)
    assert len(frames) == 42_000
    assert frames[41] == ("001/042/im4.png", "a_24x16", 290)
    assert frames[-1].key == "1000/042/im4.png"  # four digits where they are needed


def test_longer_videos_are_cut_unless_one_asks_for_more(data):
    (data / "long").mkdir()
    (data / "long/v_2x2_308.yuv").write_bytes(bytes(308 * 6))
    for more, count in (((), 42), (("--max-frames", "1000"), 44)):
        assert create(data, "long", "--layout", "stdf", "--gt", *more) == 0
        assert len(content(data / "long.lmdb")) == count


def test_max_frames_and_list(data):
    (data / "list.txt").write_text("d_16x8_8\na\n")
    gt, _ = create_groups(data, "--max-frames", "7", "--list", str(data / "list.txt"))
    assert sorted(content(gt)) == ["001/001/im4.png", "002/001/im4.png"]
    assert (gt / "meta_info.txt").read_text().startswith("001/001/im4.png (8,16,1) 1\n")


def test_an_interrupted_run_goes_on(data, monkeypatch, capsys):
    encoded = []

    def encode(image, **options):
        if len(encoded) == 17:
            raise UserError("stopped")
        encoded.append(image.tobytes())
        return original(image, **options)

    original = groups.encode_image
    monkeypatch.setattr(groups, "encode_image", encode)
    monkeypatch.setattr(groups, "BATCH_BYTES", 1)
    arguments = ("qp37", "--layout", "stdf")
    assert main([*arguments, "--data-root", str(data), "--quiet", "--nworker", "1"]) == 2
    assert "stopped" in capsys.readouterr().err
    assert not (data / "qp37.lmdb").exists()
    monkeypatch.setattr(
        groups, "encode_image", lambda image, **options: encoded.append(1) or original(image, **options)
    )
    before = len(encoded)
    assert create(data, *arguments) == 0
    assert len(encoded) - before < 28 - 10  # the frames that were committed are not encoded again
    again = content(data / "qp37.lmdb")
    assert create(data, *arguments, "--force", "--store", "whole.lmdb") == 0
    assert again == content(data / "whole.lmdb")
    index = (data / "whole.lmdb/meta_info.txt").read_text()
    assert (data / "qp37.lmdb/meta_info.txt").read_text() == index
    assert not list(data.glob(".*"))


def test_an_interrupted_run_with_other_videos_begins_anew(data, monkeypatch):
    monkeypatch.setattr(groups, "atomic_folder", None)  # fails when all frames are written
    for count, more in ((28, ()), (4, ("--gt",))):
        with pytest.raises(TypeError):
            create(data, "qp37", "--layout", "stdf", *more)
        assert len(content(data / ".qp37.lmdb.part")) == count
    monkeypatch.undo()
    path = data / "qp37/a_24x16_15.yuv"
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(1, 1))
    assert create(data, "qp37", "--layout", "stdf", "--gt") == 0
    records = content(data / "qp37.lmdb")
    assert len(records) == 4
    image = cv2.imdecode(np.frombuffer(records["001/001/im4.png"], np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(image, YUVReader(path).luma(3))


def test_few_frames_are_in_memory_at_once(data, monkeypatch):
    videos = open_videos(data / "qp37")
    frames = groups.group_frames(videos, videos.names(), max_frames=300, targets=False)
    read = 0

    def counted(name, frame):
        nonlocal read
        read += 1
        return original(name, frame)

    original = videos.read
    videos.read = counted
    for written, _ in enumerate(groups._encoded(videos, frames, 2)):
        assert read - written <= 5
    assert read == len(frames) == 28


def test_the_map_grows(data):
    videos = open_videos(data / "qp37")
    frames = groups.group_frames(videos, videos.names(), max_frames=300, targets=False)
    groups.write_groups(data / "small.lmdb", videos, frames, map_size=1 << 14)
    assert len(content(data / "small.lmdb")) == 28


# --------------------------------------------------------------------------- our layout


@pytest.mark.parametrize("more", [(), ("--codec", "png"), ("--color", "rgb")])
def test_our_store_gives_the_samples_of_the_files(data, more):
    for folder in ("raw", "qp37"):
        assert create(data, folder, *more) == 0
    color = "rgb" if "rgb" in more else "y"
    window = {"type": "Sliding", "radius": 1}
    stores = VideoClips(gt=str(data / "raw.lmdb"), lq=str(data / "qp37.lmdb"), window=window, color=color, patch=8)
    files = VideoClips(gt=str(data / "raw"), lq=str(data / "qp37"), window=window, color=color, patch=8)
    assert len(stores) == len(files) == 36
    for request in (0, 14, 15, 35, Draw(3, 1), Draw(30, 2)):
        sample, expected = stores[request], files[request]
        assert sample["name"] == expected["name"]
        np.testing.assert_array_equal(sample["lq"], expected["lq"])
        np.testing.assert_array_equal(sample["gt"], expected["gt"])


def test_frames_keep_their_names(data):
    for number in range(1, 12):
        write_image(data / f"frames/00001/0001/im{number}.png", np.full((4, 4, 1), number, np.uint8))
    assert create(data, "frames", "--max-frames", "10") == 0
    store = open_store(data / "frames.lmdb")
    assert sorted(store.stems()) == sorted(f"00001/0001/im{number}" for number in range(1, 11))
    assert store["00001/0001/im10"][0, 0, 0] == 10


@pytest.mark.parametrize("layout", ["powerqe", "stdf"])
def test_a_store_is_made_again_only_when_it_must(data, layout, capsys):
    def made(*more: str) -> bool:
        before = file.stat().st_ino if file.exists() else None
        assert main(["qp37", "--layout", layout, "--data-root", str(data), *more]) == 0
        return "exists already" not in capsys.readouterr().out or file.stat().st_ino != before

    file = data / "qp37.lmdb/data.mdb"
    assert made()
    assert not made()
    assert made("--force")
    assert made("--max-frames", "7")
    assert made(*(("--color", "rgb") if layout == "powerqe" else ("--gt",)))
    assert made()
    later = file.stat().st_mtime_ns + 10**9
    os.utime(data / "qp37/d_16x8_8.yuv", ns=(later, later))
    assert made()


def test_a_store_is_no_source(data, capsys):
    assert create(data, "qp37") == 0
    assert create(data, "qp37.lmdb") == 2
    assert "qp37.lmdb" in capsys.readouterr().err


def test_files_of_one_size_and_ten_bits(data):
    geometry = Geometry(16, 8, "444", 10)
    with YUVWriter(data / "vimeo/00001_0001.yuv", geometry) as writer:
        for number in range(7):
            writer.write(Frame(*(np.full(shape, 4 * number, np.uint16) for shape in geometry.shapes)))
    more = ("--chroma", "444", "--depth", "10", "--size", "16x8")
    assert create(data, "vimeo", *more) == 0
    assert open_store(data / "vimeo.lmdb")["00001_0001/00006"].tolist() == np.full((8, 16, 1), 6).tolist()
