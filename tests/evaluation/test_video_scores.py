"""evaluation/video_scores.py: figures of videos, classes, two ways to average."""

import math

import pytest

from powerqe.evaluation.evaluate import Metrics
from powerqe.evaluation.jct_vc import CLASSES, class_of, size_of
from powerqe.evaluation.results import Average, to_json
from powerqe.evaluation.video_progress import FrameScores
from powerqe.evaluation.video_results import VideoReport
from powerqe.evaluation.video_scores import VideoScores, averages, judged, key_of
from powerqe.utils.options.components import validate_component

METRICS = Metrics({"PSNR": validate_component("metric", {"type": "PSNR"})})
INF = math.inf
FACTS = {"network": {"type": "STDF"}, "parameters": 1, "weights": {}}


def video(name: str, before: list[float], after: list[float], peaks: list[int] | None = None, **more) -> VideoScores:
    """A video with these PSNR."""
    width, height = map(int, name.rpartition("_")[2].split("x"))
    rows = [
        FrameScores(t, peaks[t] if peaks else -1, {"PSNR": b}, {"PSNR": a}, 0.5)
        for t, (b, a) in enumerate(zip(before, after, strict=True))
    ]
    return VideoScores("hm", "qp37", name, width, height, 1, f"{name}.yuv", rows, **more)


def test_means_are_over_the_frames_that_are_finite_before_and_after():
    found = judged(video("X_8x8", [30, INF, 32, 34], [31, 40, INF, 36]), METRICS)
    assert (found.baseline["PSNR"], found.result["PSNR"], found.gain("PSNR")) == (32, 33.5, 1.5)
    assert found.left_out["PSNR"] == 2
    assert found.fps == 2
    found = judged(video("X_8x8", [INF, INF], [INF, INF]), METRICS)
    assert math.isnan(found.result["PSNR"])
    assert found.left_out["PSNR"] == 2


def test_fluctuations_before_and_after():
    before, after = [31, 30, 33, 30, 31], [31, 31, 33, 31.5, 31]
    found = judged(video("X_8x8", before, after, peaks=[0, 0, 1, 0, 0]), METRICS).fluctuation
    assert (found["pvd_lq"], found["pvd_at_lq"]) == (3, 1.75)
    assert math.isnan(found["pvd"])  # nothing is a valley any more
    assert found["sd_lq"] == pytest.approx(1.0954, abs=1e-4)
    assert (found["delta_peaks"], found["delta_others"]) == (0, pytest.approx(0.625))
    unknown = judged(video("X_8x8", before, after), METRICS).fluctuation
    assert math.isnan(unknown["delta_peaks"])


def test_classes_of_the_test_set():
    assert len(CLASSES) == 18
    assert class_of("RaceHorses_832x480", 832, 480) == "C"
    assert class_of("RaceHorses_416x240", 416, 240) == "D"
    assert class_of("Traffic", 2560, 1600) == "A"
    assert class_of("Cactus_416x240", 416, 240) == ""
    assert [size_of(letter) for letter in "ABCDE"] == [2, 5, 4, 4, 3]


@pytest.fixture
def videos() -> list[VideoScores]:
    """Both of class A, one of class B, one of none; in the last a frame without loss."""
    return [
        video("Traffic_2560x1600", [30.0, 32.0], [31.0, 33.0], peaks=[1, 0]),
        video("PeopleOnStreet_2560x1600", [30.0] * 6, [33.0] * 6, peaks=[1, 1, 0, 0, 0, 0]),
        video("Kimono_1920x1080", [35.0], [35.5], peaks=[1]),
        video("Mine_64x64", [40.0, INF], [40.0, INF], peaks=[1, 0]),
    ]


def averaged(videos: list[VideoScores]) -> list[Average]:
    return averages([judged(video, METRICS) for video in videos])


def test_classes_sequences_and_frames_are_averaged(videos):
    found = {average.over: average for average in averaged(videos)}
    assert list(found) == ["class A", "class B (1 of 5)", "all sequences", "all frames"]
    assert found["class A"].gain("PSNR") == 2
    assert found["class A"].frames == 8
    assert found["all sequences"].gain("PSNR") == pytest.approx((1 + 3 + 0.5 + 0) / 4)
    assert found["all frames"].gain("PSNR") == pytest.approx((2 * 1 + 6 * 3 + 0.5 + 0) / 10)
    assert found["all frames"].baseline["PSNR"] == pytest.approx((62 + 180 + 35 + 40) / 10)
    assert found["all frames"].fluctuation["delta_peaks"] == pytest.approx((1 + 2 * 3 + 0.5 + 0) / 5)
    assert found["all sequences"].fluctuation["delta_peaks"] == pytest.approx((1 + 3 + 0.5 + 0) / 4)
    assert found["all sequences"].left_out == found["all frames"].left_out == {"PSNR": 1}
    assert all(average.fps == 2 for average in found.values())
    assert [found[over].weighting for over in ("all sequences", "all frames")] == ["sequences", "frames"]


def test_the_report_labels_both_averages_and_counts_what_is_left_out(videos):
    report = VideoReport("x", videos, METRICS, FACTS)
    text = report.to_markdown()
    assert "| A | Traffic_2560x1600 | 2 | 31.000 | 32.000 | +1.000 |" in text
    assert "| **mean of class A** | 8 | 30.500 | 32.500 | +2.000 |" in text
    assert "**mean of all sequences**" in text
    assert "**mean of all frames**" in text
    assert "1 of 11 frames are left out of the means of PSNR" in text
    assert '"inf"' not in to_json(report.results)
    assert report.frames_csv().splitlines()[-1].split(",")[-3:-1] == ["inf", "inf"]
    assert all(len(line) < 200 for line in report.to_terminal().splitlines()[:6])


def test_qualities_are_averaged_apart(videos):
    other = VideoScores(**{**vars(videos[0]), "group": "qp32"})
    found = [each for each in averaged([videos[0], other]) if each.weighting == "frames"]
    assert [(each.group, each.count) for each in found] == [("qp37", 1), ("qp32", 1)]


def test_columns_are_named_after_metrics():
    assert key_of("PSNR-float") == "psnr_float"
