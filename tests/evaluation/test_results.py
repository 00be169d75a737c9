"""evaluation/results.py and old_results.py: what is written is read back, and so is what earlier versions wrote."""

import json
import math
import shutil
from pathlib import Path

import pytest

from powerqe.evaluation.results import (
    FILE,
    Average,
    Estimate,
    Image,
    Metric,
    Results,
    Video,
    Weights,
    read_results,
    to_json,
    write_results,
)
from powerqe.utils.errors import UserError

COMMON = {"set": "live1", "group": "qf10", "seconds": 0.5}
IMAGE = Image(
    **COMMON, name="a", height=4, width=6, channels=3, baseline={"PSNR": math.nan}, result={"PSNR": math.inf},
    estimates={"qf": Estimate(of="quality", value=8.5, truth=10, error=1.5)}, enhanced="b/a.png",
)  # fmt: skip
VIDEO = Video(
    **COMMON, name="b", height=4, width=6, frames=3, peaks=None, jct_class="C", bits=12, lq="b.yuv", codec={"qp": 37},
    baseline={"PSNR": 30.0}, result={"PSNR": 31.0}, left_out={"PSNR": 1}, fluctuation={"sd": -math.inf},
)  # fmt: skip
RESULTS = Results(
    experiment="x",
    network={"type": "ARCNN"},
    parameters=12,
    weights={"all": Weights(path="w.pt", sha256="ab")},
    metrics={"PSNR": Metric(name="PSNR", unit="dB", convention="RGB, uint8", higher_is_better=True)},
    images=[IMAGE],
    videos=[VIDEO],
    averages=[Average(**COMMON, count=1, frames=1, baseline={}, result={"PSNR": 30.0})],
    notes=["a note"],
)


def test_what_is_written_is_read_back(tmp_path):
    write_results(RESULTS, tmp_path)
    (found,) = read_results(tmp_path)
    assert to_json(found) == to_json(RESULTS) == (tmp_path / FILE).read_text()
    assert found.videos == [VIDEO]
    assert math.isnan(found.images[0].baseline["PSNR"])
    assert found.images[0].result["PSNR"] == math.inf
    json.loads((tmp_path / FILE).read_text(), parse_constant=pytest.fail)  # NaN and Infinity are no JSON


def test_both_files_of_an_earlier_version_are_read(root):
    images, videos = read_results(root / "tests/data/old_results")
    first, second = images.images
    assert (images.experiment, images.network["type"], images.parameters) == ("b-qf10", "ARCNN", 1234)
    assert first.estimates["qf"] == Estimate(of="quality", value=8.5, truth=10, error=1.5)
    assert (first.label, first.gain("PSNR"), second.result["PSNR"]) == ("a-qf10", pytest.approx(0.3), math.inf)
    (average,) = images.averages
    assert (average.over, average.count, average.seconds) == ("images", 2, 0.5)
    assert images.machine == "x86_64, 2 threads"
    assert [video.name for video in videos.videos] == ["A_64x32", "B_64x32"]
    assert videos.videos[1].gain("PSNR") == 1.0
    assert (videos.videos[0].frames, videos.videos[0].bits, videos.videos[0].fps) == (2, 1800, 4)
    assert [each.over for each in videos.averages] == ["all sequences", "all frames"]
    assert videos.averages[0].gain("PSNR") == 0.75
    assert math.isnan(videos.averages[0].fluctuation["pvd"])
    assert videos.fluctuating is not None
    assert videos.fluctuating.convention == "Y, uint8"


def test_a_new_test_on_videos_counts_before_an_old_one(root, tmp_path):
    shutil.copy(root / "tests/data/old_results/report.json", tmp_path)
    assert [each.experiment for each in read_results(tmp_path)] == ["stdf-qp37"]
    write_results(RESULTS, tmp_path)
    assert [each.experiment for each in read_results(tmp_path)] == ["x"]


@pytest.mark.parametrize("damage", ["{", "[]", "{}", "no network", "a text as a score"])
def test_results_of_something_else(tmp_path, damage):
    write_results(RESULTS, tmp_path)
    path = tmp_path / FILE
    data = json.loads(path.read_text())
    if damage == "no network":
        del data["network"]
    data["images"][0]["result"]["PSNR"] = "much"
    path.write_text(damage if damage[0] in "{[" else json.dumps(data))
    with pytest.raises(UserError) as error:
        read_results(tmp_path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_newer_version(tmp_path):
    (tmp_path / FILE).write_text(json.dumps({"format": 3}))
    with pytest.raises(UserError, match="format 3"):
        read_results(tmp_path)


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
def test_no_results(tmp_path, make):
    make(tmp_path / "exp")
    with pytest.raises(UserError, match="give folders of experiments"):
        read_results(tmp_path / "exp")
