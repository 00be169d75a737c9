"""Super-resolution in tables and images: lq is enlarged, so that it lines up with the result and gt."""

import json
from pathlib import Path

import matplotlib.axes
import numpy as np
import pytest
import torch

from powerqe.algorithm.experiment import SAMPLE, Experiment
from powerqe.dataset.down_sampled_images import CodecQualities, DownSampledImages
from powerqe.dataset.loader import collate, to_device
from powerqe.evaluation.crops import SIDE, Crops
from powerqe.evaluation.evaluate import Metrics, Record, evaluate
from powerqe.evaluation.result_table import Table
from powerqe.utils.image.imresize import imresize
from powerqe.utils.image.io import write_image
from powerqe.utils.options.components import validate_component
from powerqe.utils.options.tree import load_options
from powerqe.utils.ranks import Ranks

CPU = torch.device("cpu")
FACTS = {"network": {"type": "EDSR"}, "parameters": 1, "weights": {}}
ALONE = Ranks(0, 0, 1, CPU)


def make_image(height: int, width: int) -> np.ndarray:
    """Smooth, but for a noisy corner."""
    image = np.add.outer(np.arange(height), np.arange(width))[..., None] // 4 * np.array([1, 1, 0]) % 256
    image[-40:, -40:] = np.random.default_rng(0).integers(0, 256, (40, 40, 3))
    return image.astype(np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> DownSampledImages:
    """One image, 200x240 and 100x120."""
    write_image(tmp_path / "large/a.png", make_image(200, 240))
    return DownSampledImages(gt=str(tmp_path / "large"), scale=2)


def judge() -> Metrics:
    return Metrics({"PSNR": validate_component("metric", {"type": "PSNR"})})


def nearest(batch: dict) -> torch.Tensor:
    return batch["lq"].repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)


def test_crops_line_up(data, tmp_path, monkeypatch):
    metrics, shown, titles = judge(), [], []
    crops = Crops(metrics)
    original = matplotlib.axes.Axes.set_title
    monkeypatch.setattr(matplotlib.axes.Axes, "imshow", lambda axis, image, **_: shown.append(image))
    monkeypatch.setattr(
        matplotlib.axes.Axes, "set_title", lambda axis, text, **kw: titles.append(text) or original(axis, text, **kw)
    )
    (record,) = evaluate(data, metrics, ALONE, nearest, on_result=crops.add)
    crops.save(tmp_path / "crops.png")
    sample = data[0]
    corner = np.s_[64 : 64 + SIDE, 64 : 64 + SIDE]  # on the grid of half windows, nearest to the noise
    before, after, gt = shown
    np.testing.assert_array_equal(gt, sample["gt"][corner])
    np.testing.assert_array_equal(before, imresize(sample["lq"], 2)[corner])
    np.testing.assert_array_equal(after, np.kron(sample["lq"], np.ones((2, 2, 1)))[corner])
    assert titles == [
        f"bicubic x2: PSNR {record.baseline['PSNR']:.2f} dB",
        f"enhanced: PSNR {record.result['PSNR']:.2f} dB",
        "original",
    ]


def test_crops_pass_over_sizes_that_do_not_fit(data, tmp_path):
    sample = data[0]
    other = {**sample, "gt": sample["gt"][:-1]}
    crops = Crops(judge())
    evaluate([other], judge(), ALONE, lambda batch: batch["gt"], on_result=crops.add)
    crops.save(tmp_path / "crops.png")
    assert not (tmp_path / "crops.png").exists()


def test_tensorboards_sample_lines_up(data, opt, monkeypatch):
    shown = []
    monkeypatch.chdir(opt.parent)
    experiment = Experiment(load_options(opt), 0, is_main=True)
    monkeypatch.setattr(experiment._writer, "add_image", lambda tag, image, step: shown.append(image))
    batch = to_device(collate([data[0]]), CPU)
    record = Record("a", "", 100, 120, 3)
    experiment.sample_drawer(1)(record, batch, nearest(batch))
    without_gt = {key: value for key, value in batch.items() if key != "gt"}
    experiment.sample_drawer(1)(record, without_gt, nearest(batch))
    experiment.close()
    expected = imresize(data[0]["lq"], 2)[:SAMPLE, :SAMPLE]
    for strip, parts in zip(shown, (3, 2), strict=True):
        assert strip.shape == (3, SAMPLE, parts * SAMPLE)
        np.testing.assert_allclose(strip[..., :SAMPLE].permute(1, 2, 0) * 255, expected, atol=1e-4)


def test_the_table_has_a_note(data):
    metrics = judge()
    table = Table("sr", {"a": evaluate(data, metrics, ALONE, nearest)}, metrics, FACTS)
    (note,) = table.notes()
    assert note.startswith("lq is evaluated after MATLAB's bicubic interpolation")
    for text in (table.to_terminal(), table.to_markdown(), table.to_latex()):
        assert note in text
    assert json.loads(table.to_json())["images"][0]["scale"] == 2
    (record,) = table.records["a"]
    cells = [float(cell) for cell in table.mean_rows()[0][4:6]]
    assert cells == pytest.approx([record.baseline["PSNR"], record.result["PSNR"]], abs=6e-4)


def test_the_table_of_equal_sizes_does_not(data, tmp_path):
    metrics = judge()
    same = DownSampledImages(gt=str(tmp_path / "large"), scale=1, codecs=[CodecQualities(quality=10)])
    table = Table("jpeg", {"a": evaluate(same, metrics, ALONE, lambda batch: batch["lq"])}, metrics, FACTS)
    assert table.notes() == []
    assert json.loads(table.to_json())["images"][0]["scale"] == 1
