"""Metrics of single images and of sets, with and without ground truth, on several ranks."""

import logging
import math
import pickle
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import powerqe.evaluation.evaluate
from powerqe.dataset.down_sampled_images import DownSampledImages
from powerqe.dataset.images import PairedImages
from powerqe.evaluation.evaluate import EstimateRecord, Metrics, StoppedError, evaluate
from powerqe.utils.errors import UserError
from powerqe.utils.image.imresize import imresize
from powerqe.utils.metrics import METRICS, MetricUnavailable
from powerqe.utils.metrics.fid import frechet_distance
from powerqe.utils.options.components import validate_component
from powerqe.utils.ranks import Ranks

CPU = torch.device("cpu")
ALONE = Ranks(0, 0, 1, CPU)
INF, NAN = float("inf"), float("nan")


def metrics(**criterion: dict[str, Any]) -> Metrics:
    return Metrics({name: validate_component("metric", {"type": name} | spec) for name, spec in criterion.items()})


def halved(batch: dict[str, Any]) -> torch.Tensor:
    return batch["lq"] / 2


def test_a_mean_leaves_out_what_is_no_finite_score():
    psnr = metrics(PSNR={})
    assert psnr.pool("PSNR", [1.0, None, INF, NAN, 2.0]) == 1.5
    assert psnr.pool("PSNR", [None, INF]) == INF
    assert math.isnan(psnr.pool("PSNR", [None, NAN]))
    assert math.isnan(psnr.pool("PSNR", [INF, INF]))
    (infinite, missing) = psnr.remarks("PSNR", [[1.0, None, INF], [INF, NAN]])
    assert infinite.startswith("2 infinite values of PSNR ")
    assert missing == "1 values of PSNR are missing and left out of means: it gave no number"
    assert psnr.remarks("PSNR", [[1.0, None]]) == []


def test_only_metrics_that_need_no_ground_truth_judge_without_one(standin, pairs: Path):
    dataset = PairedImages(gt=None, lq=str(pairs / "lq"), slice=(0, 2))
    judge = metrics(PSNR={}, NIQE={}, FID={}, IQA={"metric": "gmsd"})
    for record in evaluate(dataset, judge, ALONE, halved):
        assert set(record.baseline) == set(record.result) == {"NIQE"}
        assert record.result["NIQE"] == pytest.approx(record.baseline["NIQE"] / 2, abs=0.5 / 255)
    assert math.isnan(judge.pool("FID", [record.result.get("FID") for record in evaluate(dataset, judge, ALONE, None)]))
    assert judge.remarks("FID", [[None, None]]) == []


@pytest.mark.parametrize("scale", [2, 3])
def test_a_smaller_lq_is_enlarged_for_the_baseline(standin, pairs: Path, scale: int):
    """As in super-resolution."""
    sample = DownSampledImages(gt=str(pairs / "gt"), scale=scale, slice=(0, 1))[0]
    before = imresize(sample["lq"], scale)
    same = {**sample, "lq": before}
    judge = metrics(PSNR={}, NIQE={})
    small, large = (evaluate([item], judge, ALONE, None)[0] for item in (sample, same))
    assert (small.scale, large.scale) == (scale, 1)
    assert set(small.baseline) == {"PSNR", "NIQE"}
    assert small.baseline == large.baseline
    error = np.mean((before.astype(float) - sample["gt"]) ** 2)
    assert small.baseline["PSNR"] == pytest.approx(10 * math.log10(255**2 / error))
    assert (small.height, small.width) == sample["lq"].shape[:2]
    assert evaluate([sample], judge, ALONE, None, with_baseline=False)[0].baseline == {}


def test_lq_of_a_size_that_does_not_fit_is_judged_alone(standin, pairs: Path):
    sample = PairedImages(gt=str(pairs / "gt"), lq=str(pairs / "lq"), slice=(0, 1))[0]
    for repeats in ((3, 2, 1), (1, 2, 1)):
        other = {**sample, "gt": np.tile(sample["gt"], repeats)}
        tiled = evaluate([other], metrics(PSNR={}, NIQE={}), ALONE, lambda batch: batch["gt"] / 2)[0]
        assert set(tiled.baseline) == {"NIQE"}
        assert set(tiled.result) == {"PSNR", "NIQE"}
        assert tiled.scale == 1


def test_a_metric_of_sets_is_pooled_from_what_it_keeps_of_each_image(standin, pairs: Path):
    dataset = PairedImages(gt=str(pairs / "gt"), lq=str(pairs / "lq"), slice=(0, 5))
    judge = metrics(FID={})
    records = evaluate(dataset, judge, ALONE, halved)
    before, after = ([record.baseline["FID"] for record in records], [record.result["FID"] for record in records])
    assert [tuple(value.shape) for value in before] == [(2, 12)] * 5
    assert all(torch.equal(b[1], a[1]) for b, a in zip(before, after, strict=True))  # the ground truth's
    for values in (before, after):
        results, targets = (torch.stack([value[part] for value in values]) for part in (0, 1))
        assert judge.pool("FID", values) == frechet_distance(results, targets) > 0
    assert judge.pool("FID", after) > 2 * judge.pool("FID", before)
    assert judge.pool("FID", [before[0], NAN, None, before[1]]) == judge.pool("FID", before[:2])
    (remark,) = judge.remarks("FID", [before, before[:3], [None]])
    assert "computed from only 3 images" in remark


class Guess:
    """Enhances nothing, and takes the mean for the quality and the number of rows for the height."""

    estimates = {"qf": "quality", "size": "rows"}  # noqa: RUF012

    def __call__(self, batch: dict[str, Any]) -> tuple[torch.Tensor, ...]:
        lq = batch["lq"]
        return lq, 100 * lq.mean().reshape(1, 1), torch.tensor(lq.shape[2])


def test_what_a_network_returns_after_the_image_is_its_estimate(pairs: Path):
    dataset = PairedImages(gt=None, lq=str(pairs / "lq"), slice=(0, 3))
    samples = [{**dataset[0], "quality": 10}, dataset[1], {**dataset[2], "quality": 0}]
    records = evaluate(samples, metrics(PSNR={}), ALONE, Guess())
    means = [float(sample["lq"].mean()) / 2.55 for sample in samples]
    for record, value in zip(records, means, strict=True):
        assert list(record.estimates) == ["qf", "size"]
        assert record.estimates["qf"].value == pytest.approx(value, rel=1e-4)
        assert record.estimates["size"] == EstimateRecord("rows", 48.0, pytest.approx(NAN, nan_ok=True))
    assert [record.estimates["qf"].truth for record in records] == [10, pytest.approx(NAN, nan_ok=True), 0]
    assert evaluate(samples, metrics(PSNR={}), ALONE, halved)[0].estimates == {}


class Counted:
    """A metric that cannot judge images of one brightness."""

    unit, higher_is_better, needs_target = "", True, False

    def __init__(self, *, refuse: float) -> None:
        self._refuse, self.calls = refuse, 0

    def __call__(self, result: torch.Tensor, target: torch.Tensor | None) -> torch.Tensor:
        self.calls += 1
        if math.isclose(float(result.mean()), self._refuse, abs_tol=1e-6):
            raise MetricUnavailable("too dull")
        return torch.ones(1)

    def describe(self, channels: int) -> str:
        return "counted"


class RankOf:
    """Rank `rank` of two, which meet at `gather`: the second runs first and leaves its value, pickled, in `left`."""

    def __init__(self, rank: int, left: list[bytes]) -> None:
        self.rank, self.world_size, self.device, self.is_main, self._left = rank, 2, CPU, rank == 0, left

    def share(self, total: int) -> int:
        return len(range(self.rank, total, 2))

    def gather(self, value: Any) -> list[Any]:
        if self.rank == 1:
            self._left.append(pickle.dumps(value))
            return [value, value]
        return [pickle.loads(pickle.dumps(value)), pickle.loads(self._left.pop())]


def test_two_ranks_give_what_one_gives(standin, pairs: Path, monkeypatch):
    monkeypatch.setitem(METRICS._entries, "Counted", Counted)
    dataset = PairedImages(gt=str(pairs / "gt"), lq=str(pairs / "lq"), slice=(0, 5))
    dull = float(dataset[3]["lq"].mean() / 2 / 255)  # the second rank's
    criterion = {"PSNR": {}, "NIQE": {}, "FID": {}, "Counted": {"refuse": dull}}
    one, two, other, left = metrics(**criterion), metrics(**criterion), metrics(**criterion), []
    alone = evaluate(dataset, one, ALONE, halved)
    with pytest.raises(StoppedError):  # the part of the other rank is missing here
        evaluate(dataset, other, RankOf(1, left), halved)  # pyright: ignore[reportArgumentType]
    shared = evaluate(dataset, two, RankOf(0, left), halved)  # pyright: ignore[reportArgumentType]
    assert [record.name for record in shared] == [record.name for record in alone]
    for name in criterion:
        for part in ("baseline", "result"):
            scores = [[getattr(record, part)[name] for record in records] for records in (alone, shared)]
            assert two.pool(name, scores[1]) == one.pool(name, scores[0])
            assert two.remarks(name, [scores[1]]) == one.remarks(name, [scores[0]])
    assert math.isnan(shared[3].result["Counted"])
    assert two.unavailable == one.unavailable == {"Counted": "too dull"}
    assert two.metrics["Counted"].calls + other.metrics["Counted"].calls == one.metrics["Counted"].calls == 10


def test_an_image_that_cannot_be_judged_is_left_out_with_a_note(pairs: Path, monkeypatch):
    monkeypatch.setitem(METRICS._entries, "Counted", Counted)
    dataset = PairedImages(gt=None, lq=str(pairs / "lq"), slice=(0, 4))
    judge = metrics(Counted={"refuse": float(dataset[1]["lq"].mean() / 2 / 255)})
    scores = [record.result["Counted"] for record in evaluate(dataset, judge, ALONE, halved)]
    assert [score == 1 for score in scores] == [True, False, True, True]
    assert judge.pool("Counted", scores) == 1
    assert judge.remarks("Counted", [scores]) == ["1 values of Counted are missing and left out of means: too dull"]
    assert judge.missing() == []


class Missing(Counted):
    def __init__(self) -> None:
        raise MetricUnavailable("not today")


def test_one_line_for_all_that_is_missing_for_one_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    monkeypatch.setitem(METRICS._entries, "Missing", Missing)
    judge = metrics(NIQE={}, PSNR={}, PI={}, Missing={})
    both, other = judge.missing()
    assert both.startswith("NIQE, PI are not available: pyiqa is not installed")
    assert other == "Missing is not available: not today"
    assert judge.remarks("NIQE", [[NAN, NAN]]) == []


def test_the_log_reports_at_the_start_what_is_missing(monkeypatch, caplog):
    monkeypatch.setitem(METRICS._entries, "Missing", Missing)
    monkeypatch.setattr(logging.getLogger("powerqe"), "propagate", True)
    with caplog.at_level(logging.INFO, "powerqe"):
        metrics(PSNR={}, Missing={})
    assert caplog.messages == ["Missing is not available: not today"]


def test_direction_is_the_metrics_or_the_packages(standin, monkeypatch):
    judge = metrics(PSNR={}, NIQE={}, IQA={"metric": "gmsd"}, X={"type": "IQA", "metric": "psnr"})
    assert [judge.higher_is_better(name) for name in judge.names] == [True, False, False, True]
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    judge = metrics(NIQE={}, IQA={"metric": "gmsd"})
    assert [judge.higher_is_better(name) for name in judge.names] == [False, None]


@pytest.mark.parametrize(("on_cpu", "expected"), [(True, "cpu"), (False, "cuda")])
def test_images_stay_on_the_cpu_if_the_network_takes_tiles_from_there(monkeypatch, on_cpu, expected):
    asked: list[torch.device] = []

    def no_batches(_dataset: Any, _rank: int, _ranks: int, device: torch.device, *, ahead: bool) -> list[Any]:
        asked.append(device)
        return []

    class Tiles:
        def __init__(self) -> None:
            self.on_cpu = on_cpu

        def __call__(self, batch: dict[str, Any]) -> Any:
            raise AssertionError

    monkeypatch.setattr(powerqe.evaluation.evaluate, "eval_batches", no_batches)
    evaluate([], metrics(PSNR={}), Ranks(0, 0, 1, torch.device("cuda")), Tiles())
    assert asked == [torch.device(expected)]


@pytest.mark.parametrize("on_cpu", [False, True])
def test_without_the_time_of_the_network_records_are_the_same_and_in_the_same_order(standin, pairs: Path, on_cpu):
    dataset, seen = PairedImages(gt=str(pairs / "gt"), lq=str(pairs / "lq")), []
    judge = metrics(PSNR={}, SSIM={}, NIQE={}, FID={})

    class Network:
        def __init__(self) -> None:
            self.on_cpu = on_cpu

        def __call__(self, batch: dict[str, Any]) -> torch.Tensor:
            return torch.nn.functional.avg_pool2d(batch["lq"], 3, 1, 1)

    timed, beside = (
        evaluate(dataset, judge, ALONE, Network(), timed=timed, on_result=lambda record, *_: seen.append(record.name))
        for timed in (True, False)
    )
    assert seen == [record.name for record in timed] * 2
    for one, other in zip(timed, beside, strict=True):
        assert one.seconds > 0
        for part in ("baseline", "result"):
            mine, others = (getattr(record, part) for record in (one, other))
            assert torch.equal(mine.pop("FID"), others.pop("FID"))
            assert mine == others
        one.seconds = other.seconds = 0
        assert one == other


@pytest.mark.parametrize("timed", [True, False])
def test_an_image_that_cannot_be_read_is_the_same_line(pairs: Path, timed):
    dataset = PairedImages(gt=str(pairs / "gt"), lq=str(pairs / "lq"))
    (pairs / "lq/5.png").write_bytes(b"damaged")
    seen: list[str] = []
    with pytest.raises(UserError, match=r"^[^\n]*lq/5\.png: [^\n]*$"):
        evaluate(dataset, metrics(PSNR={}), ALONE, halved, timed=timed, on_result=lambda one, *_: seen.append(one.name))
    assert seen == list("01234")


def test_a_network_that_is_timed_runs_alone(pairs: Path, monkeypatch):
    """While it runs, no image is read and none is judged."""
    at_work = threading.Lock()

    class Data(PairedImages):
        def __getitem__(self, request: Any) -> Any:
            assert not at_work.locked()
            return super().__getitem__(request)

    class Judge(Counted):
        def __call__(self, *images: Any) -> torch.Tensor:
            assert not at_work.locked()
            return super().__call__(*images)

    def network(batch: dict[str, Any]) -> torch.Tensor:
        with at_work:
            time.sleep(0.005)
            return batch["lq"]

    monkeypatch.setitem(METRICS._entries, "Judge", Judge)
    records = evaluate(Data(gt=None, lq=str(pairs / "lq")), metrics(Judge={"refuse": -1}), ALONE, network)
    assert all(record.seconds >= 0.005 for record in records)
