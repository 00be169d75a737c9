"""Testing on videos: scores, files, two networks, going on after an interruption, memory, mistakes."""

import csv
import json
import re
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import nn

from powerqe.evaluation import tester, video_tester
from powerqe.evaluation.video_curves import draw_curves
from powerqe.net import save_weights
from powerqe.net.weights import Entry
from powerqe.utils.errors import UserError
from powerqe.utils.files import sha256_of
from powerqe.utils.options.components import build
from powerqe.utils.options.tree import Options, merge
from powerqe.utils.ranks import Ranks
from powerqe.utils.video.container import VideoReader
from powerqe.utils.video.frame_records import frames_path, read_record, write_record
from powerqe.utils.video.yuv import Geometry, YUVReader

pytestmark = pytest.mark.slow

ALONE = Ranks(0, 0, 1, torch.device("cpu"))
ALPHA, BETA = "Alpha_48x32_9", "Beta_32x24_6"
FRAMES = {ALPHA: 9, BETA: 6}
ENHANCED = Path("exp/tiny-qp37/test_video_enhanced/clips")
CLIP = {"type": "WeightedFrames", "frames": 3}
SLIDING = {"type": "Sliding", "radius": 1}
TIMES = ("ms", "fps")


@pytest.fixture(autouse=True)
def drawn(monkeypatch) -> list[tuple]:
    """Drawing takes longer than all the rest: what would have been drawn."""
    drawn = []
    monkeypatch.setattr(video_tester, "draw_curves", lambda *arguments: drawn.append(arguments))
    return drawn


@pytest.fixture
def options(video_tree, videos, monkeypatch) -> Options:
    """Options of a DnCNN with random weights."""
    monkeypatch.chdir(videos)
    return prepared(video_tree)


@pytest.fixture
def clip_options(video_tree, weighted_frames, videos, monkeypatch) -> Options:
    """Options of a network that makes the mean of three frames."""
    monkeypatch.chdir(videos)
    video_tree["network"] = CLIP
    video_tree["dataset"]["test"]["clips"]["window"] = SLIDING
    return prepared(video_tree, strength=1.0)


def prepared(tree: dict, path: str = "w.safetensors", strength: float | None = None, seed: int = 0) -> Options:
    """The options, and weights for them in a file."""
    options = Options.model_validate(tree)
    torch.manual_seed(seed)
    network = build(options.network)
    if strength is not None:
        nn.init.constant_(network.strength, strength)
    save_weights(network, Path(path), {})
    return options


def changed(options: Options, **changes) -> Options:
    return Options.model_validate(merge(options.to_dict(), changes))


def lumas(path: Path | str, stem: str) -> np.ndarray:
    """(T, H, W) of a video in a folder."""
    reader = YUVReader(Path(path) / f"{stem}.yuv")
    return np.stack([reader.luma(t) for t in range(len(reader))]).astype(np.float64)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a - b) ** 2)))


def table(name: str, but: tuple[str, ...] = ()) -> list[dict[str, str]]:
    with open(f"exp/tiny-qp37/{name}.csv") as file:
        return [{key: value for key, value in row.items() if key not in but} for row in csv.DictReader(file)]


def report() -> dict:
    return json.loads(Path("exp/tiny-qp37/results.json").read_text())


def test_scores_are_those_of_the_written_video_and_chroma_is_that_of_the_compressed_one(options):
    tester.test(options, ALONE)
    rows = table("frames")
    for stem in FRAMES:
        clean, damaged, enhanced = (lumas(folder, stem) for folder in ("gt", "qp37", ENHANCED))
        mine = [row for row in rows if row["sequence"] in stem]
        assert len(mine) == len(enhanced) == FRAMES[stem]
        for t, row in enumerate(mine):
            assert row["poc"] == str(t)
            assert float(row["psnr_lq"]) == pytest.approx(psnr(damaged[t], clean[t]), abs=1e-5)
            assert float(row["psnr"]) == pytest.approx(psnr(enhanced[t], clean[t]), abs=1e-5)
            assert 0 < abs(float(row["psnr_float"]) - float(row["psnr"])) < 0.2
            assert float(row["ms"]) > 0
        compressed, written = YUVReader(f"qp37/{stem}.yuv"), YUVReader(ENHANCED / f"{stem}.yuv")
        for t in range(FRAMES[stem]):
            assert all(np.array_equal(compressed[t][plane], written[t][plane]) for plane in (1, 2))
    coded = read_record(frames_path(f"qp37/{ALPHA}.yuv"))[1]
    assert [(row["type"], row["qp"], row["bits"]) for row in rows[:9]] == [
        (f.type, str(f.qp), str(f.bits)) for f in coded
    ]
    assert report()["videos"][0]["bits"] == sum(frame.bits for frame in coded)
    assert report()["videos"][0]["codec"]["pattern"] == "test"


def test_the_report_lists_what_was_tested(options):
    found = tester.test(options, ALONE)
    data = report()
    assert data["network"]["type"] == "DnCNN"
    assert data["parameters"] == sum(parameter.numel() for parameter in build(options.network).parameters())
    assert re.fullmatch("[0-9a-f]{64}", data["weights"]["all"]["sha256"])
    assert data["metrics"]["PSNR-float"]["convention"] == "Y, unclamped"
    summary = Path("exp/tiny-qp37/summary.md").read_text()
    assert "| - | Alpha_48x32 | 9 |" in summary
    assert "**mean of all frames** | 15 |" in summary
    text = found.to_terminal()
    assert "SSIM: Y, unclamped, 7x7 window" in text
    assert len({len(line) for line in text.splitlines()[1:5]}) == 1


def test_windows_of_frames_reach_the_network_and_end_frames_are_repeated(clip_options):
    tester.test(clip_options, ALONE)
    for stem, count in FRAMES.items():
        damaged, enhanced = lumas("qp37", stem), lumas(ENHANCED, stem)
        for t in range(count):
            window = [damaged[min(max(near, 0), count - 1)] for near in (t - 1, t, t + 1)]
            assert np.abs(enhanced[t] - np.mean(window, axis=0)).max() <= 0.5 + 1e-4


def test_an_rgb_network_writes_all_planes(video_tree, videos, monkeypatch):
    monkeypatch.chdir(videos)
    video_tree["dataset"]["test"]["clips"]["color"] = "rgb"
    video_tree["network"] |= {"in_channels": 3, "out_channels": 3}
    options = prepared(video_tree)
    network = build(options.network)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    save_weights(network, videos / "w.safetensors", {})  # it only copies
    tester.test(options, ALONE)
    compressed, written = YUVReader(f"qp37/{BETA}.yuv"), YUVReader(ENHANCED / f"{BETA}.yuv")
    for t in range(FRAMES[BETA]):
        assert all(map(np.array_equal, compressed[t], written[t]))
    assert report()["metrics"]["PSNR"]["convention"] == "Y, uint8"


def test_without_ground_truth_it_just_enhances(options, drawn):
    blind = changed(options, dataset={"test": {"clips": {"gt": None}}})
    found = tester.test(blind, ALONE)
    assert lumas(ENHANCED, ALPHA).shape == (9, 32, 48)
    assert "n/a" in found.to_terminal()
    assert report()["videos"][0]["result"]["PSNR"] is None
    assert found.results.notes == []
    draw_curves(*drawn[0])
    assert not Path("exp/tiny-qp37/curves").exists()


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_video_files_hold_the_same_frames(options, suffix, monkeypatch):
    tester.test(options, ALONE)
    raw = {stem: YUVReader(ENHANCED / f"{stem}.yuv") for stem in FRAMES}
    tester.test(changed(options, test={"video_format": suffix}), ALONE)
    for stem, frames in raw.items():
        with VideoReader(ENHANCED / f"{stem}.{suffix}") as video:
            decoded = list(video)
        assert len(decoded) == len(frames)
        for t, frame in enumerate(decoded):
            assert all(map(np.array_equal, frame, frames[t]))
    assert count_frames(monkeypatch, 0) == []
    tester.test(changed(options, test={"video_format": suffix}), ALONE)  # is finished
    assert not list(Path("exp/tiny-qp37/.video_test").rglob("*.yuv"))


def test_videos_of_single_images_become_raw_files(options, videos):
    """Folders of gray frames of an odd size: neutral chroma, 4:4:4, and a name that says the size."""
    for folder in ("gt", "lq"):
        for t in range(3):
            path = videos / f"frames/{folder}/walk/{t}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.random.default_rng(t).integers(0, 256, (21, 16), dtype=np.uint8))
    data = {"gt": str(videos / "frames/gt"), "lq": str(videos / "frames/lq")}
    tester.test(changed(options, dataset={"test": {"clips": data}}), ALONE)
    (path,) = ENHANCED.iterdir()
    assert path.name == "walk_16x21_3.yuv"
    frames = YUVReader(path, Geometry(16, 21, "444"))
    assert len(frames) == 3
    assert (frames[2].u == 128).all()
    assert {row["is_peak"] for row in table("frames")} == {""}
    assert report()["videos"][0]["bits"] is None


def test_without_metrics_it_just_enhances(options):
    found = tester.test(
        changed(options, test={"protocol": None, "criterion": {"PSNR": None, "PSNR-float": None, "SSIM": None}}), ALONE
    )
    assert found.metrics.names == []
    assert report()["metrics"] == {}
    assert lumas(ENHANCED, BETA).shape == (6, 24, 32)


def test_frames_are_saved_only_if_set(options):
    tester.test(changed(options, test={"if_save_im": False}), ALONE)
    assert not Path("exp/tiny-qp37/test_video_enhanced").exists()
    assert not list(Path("exp").rglob("*.yuv"))
    assert len(table("frames")) == 15


def test_a_curve_for_each_video(options, drawn):
    found = tester.test(options, ALONE)
    assert drawn == [(found, Path("exp/tiny-qp37/curves"))]
    draw_curves(*drawn[0])
    blue, red = colors("Alpha_48x32")
    assert blue > 500  # the enhanced curve, and what it adds
    assert red > 100  # PQFs
    assert colors("Beta_32x24")[0] > 500
    found.videos[0].frames[:] = [frame._replace(peak=-1) for frame in found.videos[0].frames]
    draw_curves(*drawn[0])
    more_blue, no_red = colors("Alpha_48x32")
    assert more_blue > blue
    assert no_red == 0


def colors(name: str) -> tuple[int, int]:
    """Blue and red pixels of a curve."""
    image = cv2.imread(f"exp/tiny-qp37/curves/clips/{name}-qp37.png").astype(int)
    blue, red = ((image[..., channel] - image[..., 2 - channel] > 90).sum() for channel in (0, 2))
    return int(blue), int(red)


# ----------------------------------------------------------------------- PQFs

PEAKS = [0, 2, 5, 7]  # of the QPs of the fixture


def test_pqfs_by_qp_if_the_data_set_has_no_labels(options):
    tester.test(options, ALONE)
    rows = table("frames")
    assert [int(row["poc"]) for row in rows[:9] if row["is_peak"] == "1"] == PEAKS
    gains = [float(row["psnr"]) - float(row["psnr_lq"]) for row in rows[:9]]
    figures = report()["videos"][0]["fluctuation"]
    assert figures["delta_peaks"] == pytest.approx(np.mean([gains[t] for t in PEAKS]), abs=1e-5)
    assert figures["delta_others"] == pytest.approx(np.mean([gains[t] for t in range(9) if t not in PEAKS]), abs=1e-5)
    assert report()["videos"][0]["peaks"] == 4


@pytest.mark.parametrize("ending", [".safetensors", ""])
def test_pqfs_have_their_own_weights(clip_options, ending):
    window = {"type": "PeakFrames"}
    tree = changed(clip_options, dataset={"test": {"clips": {"window": window}}}).to_dict()
    prepared(tree, "others.safetensors", strength=0.0)
    prepared(tree, "peaks.safetensors", strength=1.0)
    if not ending:  # by name
        Path("weights").mkdir()
        listed = [
            entry(Path(f"{name}.safetensors").rename(f"weights/{name}.safetensors")) for name in ("others", "peaks")
        ]
        Path("weights/index.json").write_text(f"[{', '.join(each.model_dump_json() for each in listed)}]")
    test = {"ckp_load_path": f"others{ending}", "peaks_ckp_load_path": f"peaks{ending}"}
    tester.test(changed(Options.model_validate(tree), test=test), ALONE)
    damaged, enhanced = lumas("qp37", ALPHA), lumas(ENHANCED, ALPHA)
    neighbors = {0: (0, 0, 2), 2: (0, 2, 5), 5: (2, 5, 7), 7: (5, 7, 7)}
    for t in range(9):
        expected = np.mean([damaged[near] for near in neighbors.get(t, (t,))], axis=0)
        assert np.abs(enhanced[t] - expected).max() <= 0.5 + 1e-4
    assert set(report()["weights"]) == {"others", "peaks"}


def entry(path: Path) -> Entry:
    return Entry(task="video", color="y", name=path.stem, method="STDF", parameters=1, training={"data": ""},
                 file=path.name, bytes=1, sha256=sha256_of(path), license="MIT")  # fmt: skip


# ----------------------------------------------------------------------- going on


class StopError(Exception):
    pass


def count_frames(monkeypatch, stop_after: int | None = None) -> list[int]:
    """The frames that are judged from now on; raises `StopError` in the place of the next one after so many."""
    judged, judge = [], video_tester.judge

    def counted(batch, *arguments):
        if len(judged) == stop_after:
            raise StopError
        judged.append(int(batch["frame"]))
        return judge(batch, *arguments)

    monkeypatch.setattr(video_tester, "judge", counted)
    return judged


def products() -> dict[str, object]:
    """All that a test leaves, but for what the clock says."""
    root = Path("exp/tiny-qp37")
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.yuv")}
    text = re.sub(r'"(seconds|date)": [^,]+', "", (root / "results.json").read_text())
    return {**files, "frames": table("frames", TIMES), "sequences": table("sequences", TIMES), "report": text}


@pytest.mark.parametrize("stop_after", [0, 8, 9, 11])
def test_a_stopped_test_goes_on_and_gives_the_same_files(options, monkeypatch, caplog, stop_after):
    tester.test(options, ALONE)
    whole = products()
    Path("exp/tiny-qp37").rename("exp/whole")
    with monkeypatch.context() as patch:
        count_frames(patch, stop_after)
        with pytest.raises(StopError):
            tester.test(options, ALONE)
    names = {path.name for path in ENHANCED.glob("*")} if ENHANCED.exists() else set()
    assert names == ({f"{ALPHA}.yuv"} if stop_after >= 9 else set())
    rest = count_frames(monkeypatch)
    with caplog.at_level("INFO", logger="powerqe"):
        tester.test(options, ALONE)
    assert len(rest) == 15 - stop_after
    assert products() == whole
    assert (f"{stop_after} of 15 frames are reused" in caplog.text) == (stop_after > 0)
    assert sorted(path.suffix for path in Path("exp/tiny-qp37/.video_test").rglob("*.*")) == [".jsonl"] * 2


def test_a_finished_test_is_not_done_again(options, monkeypatch):
    tester.test(options, ALONE)
    whole = products()
    assert count_frames(monkeypatch, 0) == []
    tester.test(options, ALONE)
    assert products() == whole


@pytest.mark.parametrize(
    "change",
    [
        {"test": {"if_continue": False}},
        {"test": {"criterion": {"SSIM": {"window": "gaussian11"}}}},
        {"test": {"self_ensemble": True}},
        {"dataset": {"test": {"clips": {"max_frames": 6}}}},
        {"network": {"share_weights": False}},
    ],
)
def test_another_test_begins_anew(options, monkeypatch, change, caplog):
    tester.test(options, ALONE)
    judged = count_frames(monkeypatch)
    tester.test(changed(options, **change), ALONE)
    assert len(judged) == (12 if "dataset" in change else 15)
    assert "already" not in caplog.text


def test_other_weights_data_or_code_begin_anew(options, video_tree, monkeypatch, caplog):
    tester.test(options, ALONE)
    judged = count_frames(monkeypatch)
    prepared(video_tree, seed=1)
    with caplog.at_level("INFO", logger="powerqe"):
        tester.test(options, ALONE)
    assert len(judged) == 15
    assert "Alpha_48x32: 9 frames of an earlier test are not used" in caplog.text
    path = Path(f"gt/{BETA}.yuv")
    path.write_bytes(path.read_bytes()[::-1])
    tester.test(options, ALONE)
    assert len(judged) == 15 + 6
    monkeypatch.setattr(video_tester, "code_hash", lambda *_: "another")
    tester.test(options, ALONE)
    assert len(judged) == 15 + 6 + 15


def test_other_labels_of_pqfs_begin_anew(options, videos, monkeypatch):
    for stem, count in FRAMES.items():
        (videos / f"qp37/{stem}.txt").write_text("1 0 " * (count // 2 + 1))
    window = {"type": "Sliding", "source": "file", "pattern": "{stem}.txt"}
    options = changed(options, dataset={"test": {"clips": {"window": window}}})
    tester.test(options, ALONE)
    (videos / f"qp37/{ALPHA}.txt").write_text("0 1 " * 5)
    judged = count_frames(monkeypatch)
    tester.test(options, ALONE)
    assert judged == list(range(9))
    assert [row["is_peak"] for row in table("frames")[:4]] == ["0", "1", "0", "1"]


def test_what_was_lost_is_done_again(options, monkeypatch):
    tester.test(options, ALONE)
    whole = products()
    judged = count_frames(monkeypatch)
    (ENHANCED / f"{BETA}.yuv").unlink()
    (lines,) = Path("exp/tiny-qp37/.video_test").rglob("Alpha*.jsonl")
    lines.write_bytes(lines.read_bytes()[:-200])  # in the middle of a line; the raw frames are gone with it
    tester.test(options, ALONE)
    assert judged == [*range(9), *range(6)]
    assert products() == whole


def test_two_processes_do_not_test_the_same_video(options, monkeypatch):
    monkeypatch.setattr(video_tester, "judge", lambda *_: tester.test(options, ALONE))
    with pytest.raises(UserError, match="is being tested by process"):
        tester.test(options, ALONE)


# ----------------------------------------------------------------------- ranks, memory, ways to apply a network


def test_memory_does_not_grow_with_the_video(clip_options, monkeypatch):
    alive, most = weakref.WeakSet(), []
    collate = video_tester.collate

    def watched(samples):
        batch = collate(samples)
        alive.add(batch["lq"])
        most.append(len(alive))
        return batch

    monkeypatch.setattr(video_tester, "collate", watched)
    tester.test(clip_options, ALONE)
    assert len(most) == 15
    assert max(most) <= 2


@pytest.mark.slow
def test_two_ranks_give_the_files_of_one(run, video_tree, videos, monkeypatch):
    monkeypatch.chdir(videos)
    prepared(video_tree)
    Path("tiny.yml").write_text(yaml.safe_dump({"defaults": video_tree, "cases": {"c": {}}}))
    found = run("test.py", "--opt", "tiny.yml", ranks=2)
    assert found.returncode == 0, found.stderr
    assert "all sequences" in found.stdout
    two = products()
    assert Path("exp/tiny-qp37/curves/clips/Beta_32x24-qp37.png").is_file()
    Path("exp/tiny-qp37").rename("exp/two")
    tester.test(Options.model_validate(video_tree), ALONE)
    found = products()
    assert found == two


@pytest.mark.parametrize("applied", [{"tile": {"size": 16}}, {"self_ensemble": True}])
def test_tiles_and_self_ensemble_of_windows(clip_options, weighted_frames, monkeypatch, applied):
    tester.test(clip_options, ALONE)
    whole, seen = lumas(ENHANCED, ALPHA), []
    forward = weighted_frames.forward
    monkeypatch.setattr(weighted_frames, "forward", lambda self, x: seen.append(tuple(x.shape)) or forward(self, x))
    tester.test(changed(clip_options, test=applied), ALONE)
    assert np.array_equal(lumas(ENHANCED, ALPHA), whole)  # what this network does knows no direction and no edge
    assert (1, 3, 1, 32, 48) not in seen if "tile" in applied else (1, 3, 1, 48, 32) in seen


def test_the_clock_starts_after_the_first_frame_of_each_size(clip_options, weighted_frames, monkeypatch):
    calls = []
    forward = weighted_frames.forward
    monkeypatch.setattr(weighted_frames, "forward", lambda self, x: calls.append(x.shape) or forward(self, x))
    tester.test(clip_options, ALONE)
    assert len(calls) == 15 + 2


# ----------------------------------------------------------------------- mistakes


def refused(options: Options, match: str) -> None:
    with pytest.raises(UserError, match=match) as error:
        tester.test(options, ALONE)
    assert "\n" not in str(error.value)


def test_mistakes(options, videos):
    images = {"type": "PairedImages", "gt": None, "lq": str(videos / "gt")}
    refused(changed(options, test={"criterion": {"FID": {}}}), "FID judges sets of images, not frames of videos")
    peaks = {"peaks_ckp_load_path": "w.safetensors"}
    refused(changed(options, test=peaks), "peaks_ckp_load_path: the data set has no PQF labels")
    refused(changed(options, test={"peaks_ckp_load_path": "nowhere.pt"}), "nowhere.pt")
    path = frames_path(f"qp37/{ALPHA}.yuv")
    record, frames = read_record(path)
    write_record(path, record, frames[:5])
    refused(options, "describes 5 frames, but .*Alpha_48x32_9.yuv has 9")
    (videos / "images").mkdir()
    cv2.imwrite(str(videos / "images/0.png"), np.zeros((8, 8, 3), np.uint8))
    images["lq"] = str(videos / "images")
    refused(changed(options, dataset={"test": {"images": images}}), "clips of videos and images of images")
    only = options.to_dict()
    only["dataset"]["test"] = {"images": images}
    only["test"] |= peaks
    refused(Options.model_validate(only), "only videos have PQFs")


def test_a_network_of_another_size_cannot_be_saved(video_tree, videos, monkeypatch):
    monkeypatch.chdir(videos)
    video_tree["network"] = {"type": "EDSR", "scale": 2, "num_features": 4, "num_blocks": 1}
    video_tree["dataset"]["test"]["clips"] |= {"color": "rgb"}
    video_tree["dataset"]["test"]["clips"] |= {"gt": None}
    refused(prepared(video_tree), "makes 96x64 pixels with 3 channels of a video of 48x32")
