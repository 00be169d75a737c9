"""Training and validation on videos go through the same trainer and the same evaluation as on images."""

import math

import pytest
import torch

from powerqe.algorithm.experiment import Experiment
from powerqe.algorithm.trainer import Trainer
from powerqe.dataset import build_dataset
from powerqe.evaluation.evaluate import Metrics, evaluate
from powerqe.inference.forward import Forward, middle
from powerqe.utils.options.components import build
from powerqe.utils.options.tree import Options
from powerqe.utils.ranks import Ranks
from powerqe.utils.video.yuv import YUVReader

ALONE = Ranks(0, 0, 1, torch.device("cpu"))


@pytest.fixture
def options(video_tree, weighted_frames, videos, monkeypatch) -> Options:
    """Options that train a network of three frames on one video and validate it on the other."""
    monkeypatch.chdir(videos)
    data = video_tree["dataset"]["test"]["clips"] | {"window": {"type": "Sliding", "radius": 1}}
    train = data | {"slice": [0, 1], "patch": 16, "bs_pg": 2, "nworker_pg": 0, "flip": True, "rotate": True}
    return Options.model_validate(
        video_tree
        | {
            "network": {"type": "WeightedFrames"},
            "dataset": {"train": train, "val": data | {"slice": [1, 2], "max_frames": None}},
            "algorithm": {"type": "Regression", "loss": {"MSE": {}}, "optimizer": {"type": "Adam", "lr": 0.1}},
            "train": {"niter": 6, "inter_val": 3},
        }
    )


def test_the_trainer_validates_on_the_frames_of_a_video(options, videos):
    trainer = Trainer(options, ALONE)
    trainer.run(Experiment(options, 0, is_main=True))
    assert 0 < float(trainer.algorithm.networks["net"].strength.detach()) < 2  # noise is less in the mean of frames
    assert math.isfinite(trainer.best["value"])
    assert list((videos / "exp/tiny-qp37").glob("events*"))  # with lq | enhanced | gt of a frame


def test_frames_are_judged_one_by_one(options):
    dataset = build_dataset(options.dataset.val, "dataset.val")
    records = evaluate(dataset, Metrics(options.val.criterion), ALONE, Forward(build(options.network)))
    assert [record.name for record in records] == [f"Beta_32x24-{t:05}" for t in range(6)]
    clean, damaged = YUVReader("gt/Beta_32x24_6.yuv"), YUVReader("qp37/Beta_32x24_6.yuv")
    for t, record in enumerate(records):
        error = torch.from_numpy(clean.luma(t).astype("f8") - damaged.luma(t)).square().mean()
        assert record.baseline["PSNR"] == pytest.approx(float(10 * torch.log10(255**2 / error)))
        assert record.result["PSNR"] == pytest.approx(record.baseline["PSNR"])  # at the start it only copies
        assert (record.height, record.width, record.channels) == (24, 32, 1)


def test_the_middle_of_a_window():
    window = torch.arange(5.0).reshape(1, 5, 1, 1, 1)
    assert middle(window).item() == 2
    image = torch.rand(2, 3, 4, 5)
    assert middle(image) is image
