"""Mistakes that are found when a training is built, before its first step."""

import pytest
import torch
from torch import Tensor, nn

from powerqe.algorithm.distributed import check_used
from powerqe.algorithm.losses import WeightedLosses
from powerqe.algorithm.trainer import Trainer
from powerqe.net.networks import NETWORKS
from powerqe.utils.errors import UserError
from powerqe.utils.options.tree import load_options
from powerqe.utils.ranks import Ranks

ALONE = Ranks(0, 0, 1, torch.device("cpu"))


class Crooked(nn.Module):
    """A network that does not fit, as `fault` says."""

    def __init__(self, *, fault: str) -> None:
        super().__init__()
        self.fault, self.layer, self.unused = fault, nn.Conv2d(3, 3, 3, 1, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.fault == "size" and x.shape[-1] > 16:
            raise RuntimeError("no image is wider than 16")
        result = self.layer(x)
        return {"one channel": result[:, :1], "half": result[..., ::2]}.get(self.fault, result)


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(NETWORKS._entries, "Crooked", Crooked)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("{type: ARCNN, in_channels: 1, out_channels: 1}", r"ARCNN and dataset\.train \(lq 2x3x16x16.* channels"),
        ("{type: Crooked, fault: one channel}", r"dataset\.train .*2x1x16x16.* 2x3x16x16"),
        ("{type: Crooked, fault: half}", r"dataset\.train .*2x3x16x8"),
        ("{type: Crooked, fault: size}", r"dataset\.val .*1x3x48x56.*wider than 16"),
    ],
)
def test_network_and_data_that_do_not_fit(opt, pairs, monkeypatch, network, words):
    monkeypatch.chdir(pairs)
    with pytest.raises(UserError, match=words):
        Trainer(load_options(opt, overrides=[f"network={network}"]), ALONE)


def test_a_loss_never_broadcasts():
    losses = WeightedLosses({"MSE": {}})
    with pytest.raises(UserError, match="2x1x4x4"):
        losses(torch.zeros(2, 1, 4, 4), torch.zeros(2, 3, 4, 4))
    with pytest.raises(UserError, match="2x1x4x4"):
        losses.weighted(torch.zeros(5, 2, 1, 4, 4), torch.zeros(2, 3, 4, 4), torch.ones(5, 2))


def test_a_trial_leaves_nothing_behind(opt, pairs, monkeypatch):
    monkeypatch.chdir(pairs)
    options = load_options(opt, overrides=["network={type: DnCNN, depth: 4, batch_norm: true}"])
    trainer = Trainer(options, ALONE)
    random = torch.get_rng_state()
    before = {name: value.clone() for name, value in trainer.algorithm.networks["net"].state_dict().items()}
    trainer._try()
    after = trainer.algorithm.networks["net"].state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(random, torch.get_rng_state())
    assert all(p.grad is None for p in trainer.algorithm.networks["net"].parameters())


@pytest.mark.parametrize("uses_part", [False, True])
def test_parameters_that_several_ranks_would_wait_for_are_named(tmp_path, uses_part):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        network = nn.parallel.DistributedDataParallel(Crooked(fault="none"), find_unused_parameters=uses_part)
        with network.no_sync():
            network(torch.rand(1, 3, 4, 4)).sum().backward()
        if uses_part:
            check_used(network)
            return
        with pytest.raises(UserError, match=r"Crooked .*unused\.weight, unused\.bias.*uses_part"):
            check_used(network)
    finally:
        torch.distributed.destroy_process_group()
