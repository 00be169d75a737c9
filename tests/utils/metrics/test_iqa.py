"""The adapter to pyiqa, on a stand-in whose scores are means of images."""

import random
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from powerqe.utils.errors import UserError
from powerqe.utils.metrics import METRICS, MetricUnavailable
from powerqe.utils.metrics.iqa import DISTS, IQA, MA, MUSIQ, NIQE, PI
from powerqe.utils.options.components import build, validate_component

ALONE = {"NIQE": False, "PI": False, "MA": True, "MUSIQ": True}
"""Metrics that need no ground truth: is higher better?"""


def make_images(channels: int = 3, side: int = 12) -> torch.Tensor:
    """Two batches of two images, of 8-bit values."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 2, channels, side, side), generator=generator) / 255


def means(batch: torch.Tensor) -> torch.Tensor:
    return batch.double().mean(dim=(1, 2, 3))


def about(expected: torch.Tensor):
    return pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize("name", ALONE)
def test_judges_the_result_alone(standin, name):
    result, target = make_images()
    metric = METRICS[name]()
    assert (metric.needs_target, metric.higher_is_better, metric.unit) == (False, ALONE[name], "")
    assert metric.higher_is_better != standin.MODELS[metric.name][1]
    scores = metric(result)
    assert (scores.dtype, scores.shape) == (torch.float64, (2,))
    assert scores.tolist() == about(means(result))
    assert torch.equal(metric(result, target), scores)
    assert metric(result[:1]).shape == (1,)


def test_judges_the_result_against_its_target(standin):
    result, target = make_images()
    metric = DISTS()
    assert (metric.needs_target, metric.higher_is_better) == (True, False)
    assert metric(result, target).tolist() == about(means(result) - 2 * means(target))


def test_any_other_by_its_name_with_its_own_direction(standin):
    result, target = make_images()
    psnr, gmsd = IQA(metric="psnr", options={"offset": 7.0}), IQA(metric="gmsd")
    assert psnr(result, target).tolist() == about(means(result) - 2 * means(target) + 7)
    assert (psnr.needs_target, psnr.higher_is_better) == (True, True)
    assert (gmsd.needs_target, gmsd.higher_is_better) == (True, False)
    alone = IQA(metric="musiq")
    assert (alone.needs_target, alone.higher_is_better) == (False, True)
    assert alone(result).tolist() == about(means(result))


@pytest.mark.parametrize(("metric", "pyiqas"), [(NIQE, "niqe"), (MA, "nrqm"), (PI, "pi"), (MUSIQ, "musiq")])
def test_convention_names_version_and_metric(standin, metric, pyiqas):
    assert metric().describe(3) == f"RGB, uint8, pyiqa 9.9 {pyiqas}"
    assert metric(border=4, rounding="float").describe(1) == f"Y, float, border 4, pyiqa 9.9 {pyiqas}"


def test_gray_is_three_equal_channels(standin):
    result, target = make_images(channels=1)
    assert NIQE()(result).tolist() == about(means(result))
    assert DISTS()(result, target).tolist() == about(means(result) - 2 * means(target))
    with pytest.raises(UserError, match="found 2 channels"):
        NIQE()(make_images(channels=2)[0])


def test_result_is_clamped_rounded_and_shaved(standin):
    result = make_images()[0]
    dark = torch.zeros_like(result)
    assert torch.equal(NIQE()(dark - 1), NIQE()(dark))
    assert torch.equal(NIQE()(result + 0.4 / 255), NIQE()(result))
    assert NIQE(rounding="float")(dark + 0.4 / 255).tolist() == about(means(dark + 0.4 / 255))
    assert NIQE(border=2)(result).tolist() == about(means(result[..., 2:-2, 2:-2]))
    with pytest.raises(UserError, match="6 leaves"):
        NIQE(border=6)(result)


def test_sizes_must_agree(standin):
    with pytest.raises(UserError, match="compare equal sizes"):
        DISTS()(make_images()[0], make_images(side=14)[0])


@pytest.mark.parametrize("metric", [NIQE, MA])
def test_weights_are_passed_on_and_missing_ones_are_unavailable(standin, metric, tmp_path: Path):
    file = tmp_path / "model.mat"
    file.write_text("5")
    result = make_images()[0]
    assert metric(weights=str(file))(result).tolist() == about(means(result) + 5)
    with pytest.raises(MetricUnavailable, match=rf"{metric.name}.*none\.mat"):
        metric(weights=str(tmp_path / "none.mat"))


def test_without_pyiqa_options_are_checked_and_one_line_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    specs = [{"type": name} for name in (*ALONE, "DISTS", "FID")] + [{"type": "IQA", "metric": "psnr"}]
    reasons = set()
    for spec in specs:
        component = validate_component("metric", {**spec, "border": 2})
        with pytest.raises(UserError, match="border"):
            validate_component("metric", {**spec, "border": -2})
        with pytest.raises(MetricUnavailable) as caught:
            build(component)
        reasons.add(str(caught.value))
    (reason,) = reasons
    assert "pip install 'powerqe[iqa]'" in reason
    assert "PolyForm Noncommercial" in reason
    assert "\n" not in reason
    assert METRICS["NIQE"].higher_is_better is False  # known without the package
    assert METRICS["IQA"].higher_is_better is None  # pyiqa's to say


def test_a_broken_installation_is_unavailable(tmp_path: Path, monkeypatch):
    (tmp_path / "pyiqa.py").write_text("import a_package_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pyiqa", raising=False)
    with pytest.raises(MetricUnavailable, match="'a_package"):
        NIQE()


def test_offline_names_the_file_and_its_path(standin, capfd):
    with pytest.raises(MetricUnavailable) as caught:
        IQA(metric="offline")
    assert str(caught.value) == (
        "pyiqa cannot set up offline: <urlopen error Name or service not known>; without network, "
        "save https://hub.invalid/model.mat as /cache/pyiqa/model.mat"
    )
    assert capfd.readouterr() == ("", "")


def test_unknown_names_and_metrics_of_sets_are_mistakes(standin):
    with pytest.raises(UserError, match=r"9\.9.*'nieq'.*'niqe'"):
        IQA(metric="nieq")
    for name in ("fid", "inception_score"):
        with pytest.raises(UserError, match=rf"'{name}'.*FID"):
            IQA(metric=name)
    with pytest.raises(UserError, match="metric: missing"):
        validate_component("metric", {"type": "IQA"})


def test_options_that_the_metric_does_not_take_are_unavailable(standin):
    with pytest.raises(MetricUnavailable, match="'ofset'"):
        IQA(metric="psnr", options={"ofset": 1})


def test_an_image_that_cannot_be_judged_is_unavailable(standin):
    with pytest.raises(MetricUnavailable) as caught:
        NIQE()(make_images(side=6)[0])
    assert str(caught.value) == "niqe of pyiqa cannot judge an image of 6x6: The image is too small"
    with pytest.raises(MetricUnavailable, match="vector of pyiqa cannot judge"):
        IQA(metric="vector")(make_images()[0])


def test_makes_no_noise(standin, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        IQA(metric="talkative")(make_images()[0])
    assert capfd.readouterr() == ("", "")


def test_random_numbers_are_the_same_each_time_and_ours_go_on(standin):
    def draw() -> tuple[float, ...]:
        return float(torch.rand(1)), random.random(), float(np.random.rand())  # noqa: NPY002

    torch.manual_seed(3), random.seed(3), np.random.seed(3)  # noqa: NPY002
    undisturbed = draw(), draw()
    torch.manual_seed(3), random.seed(3), np.random.seed(3)  # noqa: NPY002
    metric, result = IQA(metric="random"), make_images()[0][:1]
    first, between, second = metric(result), draw(), metric(result)
    assert torch.equal(first, second)
    assert (between, draw()) == undisturbed


def test_needs_no_gradient(standin):
    assert not NIQE()(make_images()[0].requires_grad_()).requires_grad
    assert not any(parameter.requires_grad for parameter in NIQE()._network.parameters())
