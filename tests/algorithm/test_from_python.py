"""Algorithms that are made in Python, without an option file: their own defaults and plain mappings do."""

from typing import Any

import pytest
import torch
from torch import nn

from powerqe.algorithm import perceptual
from powerqe.algorithm.phase import Setting
from powerqe.algorithm.registries import ALGORITHMS
from powerqe.algorithm.regression import Regression
from powerqe.net import build_network
from powerqe.utils.errors import UserError

SMALL = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
NETWORKS: dict[str, dict[str, Any]] = {
    "DeblockPretraining": {"type": "NonLocalDeblock", "in_channels": 3},
    "MotionCompensated": {"type": "MFQE", "enhancer": "plain"},
    "MultiExit": {"type": "RBQE", "num_features": 4},
    "QualityFactor": {"type": "FBCNN", "num_features": [4] * 4, "num_blocks": 1, "hidden_features": 4},
    "Regression": {"type": "ARCNN"},
    "RelativisticGAN": {"type": "ESRGAN", "num_features": 4, "num_blocks": 1},
    "Unfolding": {"type": "CISRPSI", "scale": 2},
}


def batch_of(name: str) -> dict[str, Any]:
    """What each of them learns from."""
    quality = torch.tensor([10, 50])
    if name == "MotionCompensated":
        clip = SMALL[:, :1, None].expand(-1, 3, -1, -1, -1).contiguous()
        return {"lq": clip, "gt": SMALL[:, :1]}
    if name == "Unfolding":
        return {"lq": SMALL[..., :16, :16], "clean": SMALL[..., :16, :16], "gt": SMALL}
    if name == "RelativisticGAN":
        return {"lq": SMALL.repeat(1, 1, 4, 4), "gt": SMALL.repeat(1, 1, 4, 4)}
    return {"lq": SMALL, "gt": SMALL, "quality": quality}


def _few_features(_: str | None) -> nn.Sequential:
    return nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(40)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS.names())
def test_every_algorithm_has_defaults_that_train(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "_vgg19", _few_features)  # whose weights would be downloaded
    torch.manual_seed(0)
    network = build_network(NETWORKS[name])
    before = [parameter.detach().clone() for parameter in network.parameters()]
    algorithm = ALGORITHMS[name](network, Setting.single(2))
    batch = batch_of(name)
    for phase in algorithm.phases(0):
        loss = phase.loss(batch)
        assert loss.total.isfinite()
        assert phase.schedule(0) == 1
        loss.total.backward()
        phase.optimizer.step()
        phase.optimizer.zero_grad()
    assert any(not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


def test_mappings_do_as_well_as_an_option_file() -> None:
    algorithm = Regression(
        build_network({"type": "ARCNN"}),
        Setting.single(10),
        loss={"L1": {"weight": 2}, "edge": {"type": "Charbonnier", "eps": 1e-3}},
        optimizer={"type": "SGD", "lr": 0.5},
        scheduler={"type": "Cosine"},
    )
    (phase,) = algorithm.phases(5)
    assert phase.schedule(5) == pytest.approx(0.5)
    assert phase.optimizer.param_groups[0]["lr"] == 0.5
    loss = phase.loss({"lq": SMALL, "gt": SMALL})
    assert set(loss.parts) == {"L1", "edge"}
    assert loss.total.item() == pytest.approx((2 * loss.parts["L1"] + loss.parts["edge"]).item())


@pytest.mark.parametrize(
    ("options", "facts"),
    [
        ({"optimizer": {"type": "Adan"}}, ["Adan", "Adam"]),
        ({"optimizer": {"type": "Adam", "lr": -1}}, ["lr", "-1"]),
        ({"loss": {"L3": {}}}, ["L3"]),
        ({"scheduler": "Cosine"}, ["Cosine", "type"]),
    ],
)
def test_mistakes_are_reported_like_those_of_option_files(options: dict[str, Any], facts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        Regression(build_network({"type": "ARCNN"}), Setting.single(1), **options)
    assert all(fact in str(caught.value) for fact in facts)
