import numpy as np
import pytest
import torch
from torch import nn

from powerqe.algorithm.losses import LossOptions, WeightedLosses
from powerqe.algorithm.multi_exit import MultiExit
from powerqe.algorithm.phase import Setting
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import build, validate_component

CPU = torch.device("cpu")


class Exits(nn.Module):
    """Five exits: exit e scales the image by its own weight."""

    def __init__(self) -> None:
        super().__init__()
        self.scales = nn.Parameter(torch.linspace(0.2, 1.0, 5))

    def forward(self, x: torch.Tensor, exit: object = "all") -> torch.Tensor:
        assert exit == "all"
        return self.scales.view(-1, 1, 1, 1, 1) * x


def make(**options: object) -> MultiExit:
    spec = validate_component("algorithm", {"type": "MultiExit", **options})
    return build(spec, Exits(), Setting(1, CPU, lambda network: network))


def batch(*quality: int) -> dict:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, len(quality), 3, 6, 5, generator=generator)
    return {"lq": images[0], "gt": images[1], "quality": torch.tensor(quality), "has_quality": min(quality) >= 0}


def test_loss_is_the_weighted_sum_over_exits_and_samples():
    algorithm, data = make(), batch(50, 10, 32)
    total, parts = algorithm.training_step(data)
    table = {50: (2, 1, 1, 0.5, 0.5), 10: (0.5, 0.5, 1, 1, 2), 32: (0.5, 1, 2, 1, 0.5)}
    expected = 0.0
    for n, quality in enumerate(data["quality"].tolist()):
        for e, weight in enumerate(table[quality]):
            output = algorithm._network.scales[e] * data["lq"][n]
            expected += weight * (output - data["gt"][n]).square().mean().item() / 3
    assert total.item() == pytest.approx(expected, rel=1e-5)
    assert parts["MSE"].item() == pytest.approx(expected, rel=1e-5)


def test_every_exit_learns():
    algorithm = make()
    algorithm.training_step(batch(10, 20)).total.backward()
    assert (algorithm._network.scales.grad != 0).all()


def test_recorded_value(root):
    data = np.load(root / "tests/data/losses.npz")
    losses = WeightedLosses({"MSE": validate_component("loss", {"type": "MSE"}, LossOptions)})
    outs, gt = torch.from_numpy(data["rbqe/outs"]), torch.from_numpy(data["rbqe/gt"])
    weights = make().weights_of(torch.tensor([50, 30, 10]), 5)
    assert losses.weighted(outs, gt, weights).total.item() == pytest.approx(float(data["rbqe/loss"]), rel=1e-5)


def test_another_quality_has_the_weights_of_the_nearest():
    algorithm = make(exit_weights={10: [1, 0, 0, 0, 0], 50: [0, 0, 0, 0, 1]})
    weights = algorithm.weights_of(torch.tensor([12, 47]), 5)
    assert weights.T.tolist() == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]


def test_options_survive_a_yaml_round_trip():
    spec = validate_component("algorithm", {"type": "MultiExit", "exit_weights": {10: [1, 2], 20: [2, 1]}})
    again = validate_component("algorithm", spec.model_dump(mode="json", serialize_as_any=True))
    assert again == spec


@pytest.mark.parametrize(
    ("options", "qualities", "words"),
    [
        ({"exit_weights": {10: [1, 1], 20: [1]}}, (10,), "one weight per exit"),
        ({"exit_weights": {10: [1, 1]}}, (10,), r"2 per.*5 exits"),
        ({}, (10, -1), "quality of each image"),
    ],
)
def test_mistakes(options, qualities, words):
    with pytest.raises(UserError, match=words):
        make(**options).training_step(batch(*qualities))
