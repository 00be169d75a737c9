import pytest
import torch
from torch import nn

from powerqe.algorithm.phase import Setting
from powerqe.algorithm.quality_factor import QualityFactor, quality_error
from powerqe.algorithm.trainer import Trainer
from powerqe.net import build_network
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import build, validate_component
from powerqe.utils.options.tree import load_options
from powerqe.utils.ranks import Ranks

CPU = torch.device("cpu")


class Estimator(nn.Module):
    """Scales the image, and says that it has the quality of its own weight."""

    estimates = {"noise": "sigma", "qf": "quality"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.quality = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.tensor(40.0))

    def forward(self, x: torch.Tensor, qf: float | None = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        assert qf is None
        return self.scale * x, torch.full((len(x), 1), -1000.0), self.quality.expand(len(x), 1)


def make(network: nn.Module | None = None, **options: object) -> QualityFactor:
    spec = validate_component("algorithm", {"type": "QualityFactor", **options})
    return build(spec, network or Estimator(), Setting(1, CPU, lambda network: network))


def batch(*quality: int) -> dict:
    images = torch.rand(2, len(quality), 3, 6, 5, generator=torch.Generator().manual_seed(0))
    return {"lq": images[0], "gt": images[1], "quality": torch.tensor(quality)}


@pytest.mark.parametrize(
    ("qualities", "error"),
    [((10, 30), (0.3 + 0.1) / 2), ((10, -1, 90), (0.3 + 0.5) / 2), ((-1, 1), 0.39), ((-1, -1), 0.0)],
)
def test_loss_is_that_of_the_image_and_that_of_the_known_qualities(qualities, error):
    algorithm, data = make(loss={"MSE": {"weight": 2}}, qf_weight=0.3), batch(*qualities)
    total, parts = algorithm.training_step(data)
    mse = (0.5 * data["lq"] - data["gt"]).square().mean().item()
    assert parts["MSE"].item() == pytest.approx(mse, rel=1e-5)
    assert parts["QF"].item() == pytest.approx(error, abs=1e-7)
    assert total.item() == pytest.approx(2 * mse + 0.3 * error, rel=1e-5)


def test_defaults_are_those_of_the_paper():
    algorithm, data = make(), batch(10, 30)
    total, parts = algorithm.training_step(data)
    assert set(parts) == {"L1", "QF"}
    assert total.item() == pytest.approx(parts["L1"].item() + 0.1 * parts["QF"].item(), rel=1e-6)


def test_a_batch_without_known_quality_has_gradients_of_zero():
    algorithm = make()
    algorithm.training_step(batch(-1, -1)).total.backward()
    network = algorithm.networks["net"]
    assert network.quality.grad.item() == 0
    assert network.scale.grad.item() != 0


def test_only_known_qualities_are_learnt_from():
    estimate = torch.tensor([[50.0], [50.0], [50.0]], requires_grad=True)
    quality_error(estimate, torch.tensor([10, -1, 90])).backward()
    assert estimate.grad.flatten().tolist() == pytest.approx([0.005, 0, -0.005])


def test_a_network_without_estimate():
    with pytest.raises(UserError, match=r"QualityFactor: ARCNN.*FBCNN"):
        make(build_network({"type": "ARCNN"}))


@pytest.mark.parametrize("amp", ["none", "bf16"])
def test_fbcnn_learns_to_estimate_the_quality(pairs, tree, opt, monkeypatch, amp):
    """From a quality that never changes, it soon knows it."""
    monkeypatch.chdir(pairs)
    network = "network={type: FBCNN, num_features: [8, 8, 8, 8], num_blocks: 1, hidden_features: 16}"
    algorithm = "algorithm={type: QualityFactor, optimizer: {type: Adam, lr: 1.0e-2}}"
    data = f"dataset.train={{type: DegradedImages, gt: {pairs}/gt, quality: 20, patch: 16, bs_pg: 2, nworker_pg: 0}}"
    options = load_options(opt, overrides=[network, algorithm, data, f"train.amp={amp}", "train.niter=100"])
    trainer = Trainer(options, Ranks(0, 0, 1, CPU))
    batches, errors = trainer._batches(), []
    for _ in range(60):
        sample = next(batches)
        errors.append(trainer.algorithm.training_step(sample).parts["QF"].item())
        trainer._iterate(iter([sample]))
    assert errors[0] > 0.25
    assert max(errors[-5:]) < 0.1
