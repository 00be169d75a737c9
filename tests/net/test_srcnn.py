"""net/srcnn.py: recorded outputs, and each form of the study straight from tensors under the study's names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from powerqe.net import build_network, load_weights
from powerqe.net.srcnn import SRCNN
from powerqe.utils.errors import UserError

RECORDED = np.load(Path(__file__).parents[1] / "data/srcnn_up8.npz")
FEATURES = 6


def image(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(5))


def bicubic(x: Tensor, scale: int) -> Tensor:
    """Cubic convolution with a = -0.75 by its definition, edges repeated; (N, C, H, W)."""
    return _bicubic_rows(_bicubic_rows(x, scale).mT, scale).mT


def _bicubic_rows(x: Tensor, scale: int) -> Tensor:
    height, a = x.shape[2], -0.75
    rows = []
    for row in range(scale * height):
        position = (row + 0.5) / scale - 0.5
        total = torch.zeros_like(x[:, :, 0])
        for tap in range(int(np.floor(position)) - 1, int(np.floor(position)) + 3):
            d = abs(position - tap)
            near, far = (a + 2) * d**3 - (a + 3) * d**2 + 1, a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
            total = total + (near if d <= 1 else far) * x[:, :, min(max(tap, 0), height - 1)]
        rows.append(total)
    return torch.stack(rows, 2)


class Study:
    """Tensors under the study's names, and what they compute for x in [0, 255]."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(4)
        self.state: dict[str, Tensor] = {}

    def layer(self, name: str, after: int, before: int, bias: bool = True) -> None:
        weight = torch.randn(after, before, 3, 3, generator=self.generator) / (9 * before / 2) ** 0.5
        self.state[f"{name}.weight"] = weight
        if bias:
            self.state[f"{name}.bias"] = torch.randn(after, generator=self.generator)

    def norm(self, name: str) -> None:
        for tensor in ("weight", "bias", "running_mean", "running_var"):
            self.state[f"{name}.{tensor}"] = torch.rand(FEATURES, generator=self.generator) + 0.5
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(3)

    def ends(self) -> None:
        self.layer("head.0", FEATURES, 3)
        self.layer("tail.0.0", 9 * FEATURES, FEATURES)
        self.layer("tail.1", 3, FEATURES)

    def conv(self, name: str, y: Tensor) -> Tensor:
        return F.conv2d(y, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), padding=1)

    def normed(self, name: str, y: Tensor) -> Tensor:
        mean, variance, weight, bias = (
            self.state[f"{name}.{tensor}"][:, None, None]
            for tensor in ("running_mean", "running_var", "weight", "bias")
        )
        return (y - mean) / (variance + 1e-5).sqrt() * weight + bias

    def tailed(self, x: Tensor, body: Any) -> Tensor:
        head = self.conv("head.0", x)
        return self.conv("tail.1", F.pixel_shuffle(self.conv("tail.0.0", head + body(head)), 3))

    def loaded(self, folder: Path, **arguments: Any) -> nn.Module:
        torch.save(self.state, folder / "model_best.pt")
        network = SRCNN(scale=3, num_features=FEATURES, **arguments).eval()
        load_weights(network, folder / "model_best.pt")
        return network


def assert_same(network: nn.Module, x: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(255 * network(x), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@torch.no_grad()
def test_recorded_outputs(tmp_path: Path) -> None:
    state = {name[3:]: torch.from_numpy(RECORDED[name]) for name in RECORDED if name.startswith("sd/")}
    torch.save(state, tmp_path / "model_best.pt")
    network = build_network({"type": "SRCNN", "upsampling": "tail", "num_features": 16})
    load_weights(network, tmp_path / "model_best.pt")
    result = 255 * network(torch.from_numpy(RECORDED["x"]) / 255)
    torch.testing.assert_close(result, torch.from_numpy(RECORDED["y"]), rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("global_residual", [False, True])
@pytest.mark.parametrize("layers", [2, 4])
@torch.no_grad()
def test_enlarged_first(layers: int, global_residual: bool, tmp_path: Path) -> None:
    study, x = Study(), image(2, 3, 5, 7)
    for number in range(layers):
        study.layer(
            f"body.{number}.0", 3 if number == layers - 1 else FEATURES, 3 if number == 0 else FEATURES, bias=False
        )
    network = study.loaded(tmp_path, num_layers=layers, global_residual=global_residual)
    enlarged = y = bicubic(255 * x, 3)
    for number in range(layers):
        y = study.conv(f"body.{number}.0", y)
        y = y if number == layers - 1 else y.clamp(min=0)
    assert_same(network, x, y + enlarged if global_residual else y)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "prelu"])
@torch.no_grad()
def test_plain_blocks_and_tail(activation: Any, batch_norm: bool, tmp_path: Path) -> None:
    study, x = Study(), image(2, 3, 5, 7)
    study.ends()
    for number in range(2):
        study.layer(f"body.{number}.0", FEATURES, FEATURES, bias=False)
        if batch_norm:
            study.norm(f"body.{number}.1")
        if activation == "prelu":
            study.state[f"body.{number}.{1 + batch_norm}.weight"] = torch.rand(FEATURES, generator=study.generator)

    def body(y: Tensor) -> Tensor:
        for number in range(2):
            y = study.conv(f"body.{number}.0", y)
            y = study.normed(f"body.{number}.1", y) if batch_norm else y
            slope = {"relu": torch.zeros(1), "leaky_relu": torch.tensor([0.01])}.get(activation)
            slope = study.state[f"body.{number}.{1 + batch_norm}.weight"] if slope is None else slope
            y = torch.where(y > 0, y, slope[:, None, None] * y)
        return y

    network = study.loaded(tmp_path, upsampling="tail", num_blocks=2, batch_norm=batch_norm, activation=activation)
    assert_same(network, x, study.tailed(255 * x, body))


@pytest.mark.parametrize("batch_norm", [False, True])
@torch.no_grad()
def test_residual_blocks_and_tail(batch_norm: bool, tmp_path: Path) -> None:
    study, x = Study(), image(2, 3, 5, 7)
    study.ends()
    second = 3 if batch_norm else 2
    for number in range(2):
        for layer in (0, second):
            study.layer(f"body.{number}.body.{layer}", FEATURES, FEATURES)
            if batch_norm:
                study.norm(f"body.{number}.body.{layer + 1}")

    def body(y: Tensor) -> Tensor:
        for number in range(2):
            z = y
            for layer in (0, second):
                z = study.conv(f"body.{number}.body.{layer}", z)
                z = study.normed(f"body.{number}.body.{layer + 1}", z) if batch_norm else z
                z = z.clamp(min=0) if layer == 0 else z
            y = y + z
        return y

    network = study.loaded(tmp_path, upsampling="tail", num_blocks=2, block="residual", batch_norm=batch_norm)
    assert_same(network, x, study.tailed(255 * x, body))


@torch.no_grad()
def test_tail_with_a_global_skip(tmp_path: Path) -> None:
    study, x = Study(), image(1, 3, 4, 5)
    study.ends()
    study.layer("body.0.0", FEATURES, FEATURES, bias=False)
    network = study.loaded(tmp_path, upsampling="tail", num_blocks=1, global_residual=True)
    expected = study.tailed(255 * x, lambda y: study.conv("body.0.0", y).clamp(min=0)) + bicubic(255 * x, 3)
    assert_same(network, x, expected)


def test_prelu_starts_with_a_quarter() -> None:
    state = SRCNN(activation="prelu", num_features=FEATURES).state_dict()
    assert torch.equal(state["body.0.1.weight"], torch.full((FEATURES,), 0.25))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"block": "residual"}, 'block "residual" needs upsampling "tail"'),
        ({"num_layers": 1}, "num_layers"),
        ({"activation": "tanh"}, "activation"),
    ],
)
def test_arguments_that_cannot_be_used(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_network({"type": "SRCNN", **arguments})
