"""net/dncnn.py against a computation straight from the tensors of the original's checkpoint files."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from powerqe.net import build_network, load_weights
from powerqe.utils.errors import UserError

SMALL = {"type": "DnCNN", "num_features": 8, "depth": 17}


def reference(x: Tensor, state: dict[str, Tensor], prefix: str = "blk_lst") -> Tensor:
    """The layers in the order of their numbers: a 4-D weight is a convolution, a 1-D weight a batch norm."""
    numbers = sorted({int(name.split(".")[1]) for name in state})
    y = x
    for number in numbers:
        layer = {name.split(".")[2]: tensor for name, tensor in state.items() if name.split(".")[1] == str(number)}
        if layer["weight"].ndim == 4:
            y = F.conv2d(y, layer["weight"], layer.get("bias"), padding=1)
        else:
            y = F.batch_norm(y, layer["running_mean"], layer["running_var"], layer["weight"], layer["bias"], eps=1e-5)
        if number != numbers[-1] and number + 1 not in numbers:  # a ReLU has no tensors
            y = y.clamp(min=0)
    return x + y


def v1_state(batch_norm: bool, share_weights: bool = True, depth: int = 17) -> dict[str, Tensor]:
    """Keys as in v1. The middle units follow from index 2: conv, (batch norm,) ReLU."""
    generator = torch.Generator().manual_seed(11)

    def convolution(after: int, before: int, bias: bool = True) -> dict[str, Tensor]:
        weight = torch.randn(after, before, 3, 3, generator=generator) / 5
        return {"weight": weight, "bias": torch.randn(after, generator=generator) / 5} if bias else {"weight": weight}

    def norm() -> dict[str, Tensor]:
        names = ("weight", "bias", "running_mean", "running_var")
        statistics = {name: torch.rand(8, generator=generator) + 0.5 for name in names}
        return {**statistics, "num_batches_tracked": torch.tensor(90)}

    def unit() -> list[dict[str, Tensor]]:
        return [convolution(8, 8, bias=False), norm(), {}] if batch_norm else [convolution(8, 8), {}]

    units = [unit()] * (depth - 2) if share_weights else [unit() for _ in range(depth - 2)]
    layers = [convolution(8, 3), {}, *[layer for unit in units for layer in unit], convolution(3, 8)]
    return {f"blk_lst.{n}.{name}": tensor for n, layer in enumerate(layers) for name, tensor in layer.items()}


def test_v1_names_are_those_of_the_specification() -> None:
    plain = {int(name.split(".")[1]) for name in v1_state(batch_norm=False)}
    assert plain == set(range(0, 33, 2))
    assert len(v1_state(batch_norm=False)) == 34
    normed = {int(name.split(".")[1]) for name in v1_state(batch_norm=True) if name.endswith("running_var")}
    assert normed == set(range(3, 46, 3))
    assert max(int(name.split(".")[1]) for name in v1_state(batch_norm=True)) == 47


@pytest.mark.parametrize("file", ["ckpt_v1_dncnn.pt", "ckpt_v1_dncnn_oldnumpy.pt"])
@torch.no_grad()
def test_checkpoint_written_by_the_original(file: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "tests/data" / file
    if np.lib.NumpyVersion(np.__version__) < "2.0.0":  # whose pickles name its modules otherwise
        for name in ("", ".multiarray"):
            monkeypatch.setitem(sys.modules, f"numpy._core{name}", importlib.import_module(f"numpy.core{name}"))
    # The file is ours to trust: read with the pickle's own code, independent of net/weights.py.
    stored = torch.load(path, map_location="cpu", weights_only=False)["module_net"]
    state = {name.removeprefix("module."): tensor for name, tensor in stored.items()}
    assert len({name.split(".")[1] for name in state}) == 17

    network = build_network(SMALL)
    load_weights(network, path)
    x = torch.rand(2, 3, 21, 18, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(x), reference(x, state), rtol=0, atol=1e-6)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(
    ("file_shares", "network_shares"), [(True, True), (True, False), (False, False)], ids=["same", "unshared", "free"]
)
@torch.no_grad()
def test_v1_checkpoint(
    batch_norm: bool, file_shares: bool, network_shares: bool, v1_file: Callable[[dict[str, Tensor]], Path]
) -> None:
    state = v1_state(batch_norm, file_shares)
    network = build_network({**SMALL, "batch_norm": batch_norm, "share_weights": network_shares}).eval()
    load_weights(network, v1_file(state))
    x = torch.rand(2, 3, 9, 7)
    expected = reference(x, state)
    torch.testing.assert_close(network(x), expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("batch_norm", [False, True])
@torch.no_grad()
def test_later_checkpoint(batch_norm: bool, tmp_path: Path) -> None:
    state = v1_state(batch_norm, share_weights=False, depth=6)
    later = {name.replace("blk_lst", "generator.layers"): tensor for name, tensor in state.items()}
    torch.save({"state_dict": {**later, "discriminator.linear.weight": torch.ones(2)}}, tmp_path / "later.pth")
    network = build_network({**SMALL, "depth": 6, "batch_norm": batch_norm, "share_weights": False}).eval()
    load_weights(network, tmp_path / "later.pth")
    x = torch.rand(1, 3, 6, 5)
    torch.testing.assert_close(network(x), reference(x, state), rtol=1e-5, atol=1e-5)


def kair_state(channels: int, depth: int, batch_norm: bool) -> dict[str, Tensor]:
    """Keys as in KAIR; its convolutions have biases before a batch norm, too."""
    state = v1_state(batch_norm, share_weights=False, depth=depth)
    if batch_norm:
        state |= {f"blk_lst.{layer}.bias": torch.linspace(-1, 1, 8) for layer in range(2, 3 * depth - 4, 3)}
    last = max(int(name.split(".")[1]) for name in state)
    state["blk_lst.0.weight"] = state["blk_lst.0.weight"][:, :channels]
    state |= {f"blk_lst.{last}.{tensor}": state[f"blk_lst.{last}.{tensor}"][:channels] for tensor in ("weight", "bias")}
    return {name.replace("blk_lst", "model"): tensor for name, tensor in state.items()}


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(("channels", "depth"), [(1, 20), (1, 17), (3, 20)])
@torch.no_grad()
def test_checkpoint_of_the_author(channels: int, depth: int, batch_norm: bool, tmp_path: Path) -> None:
    """KAIR subtracts what the layers give."""
    state = kair_state(channels, depth, batch_norm)
    torch.save(state, tmp_path / "kair.pth")
    assert batch_norm or set(state) == {f"model.{2 * n}.{t}" for n in range(depth) for t in ("weight", "bias")}
    spec = {**SMALL, "in_channels": channels, "out_channels": channels, "depth": depth, "share_weights": False}
    network = build_network({**spec, "batch_norm": batch_norm}).eval()
    load_weights(network, tmp_path / "kair.pth")
    x = torch.rand(2, channels, 9, 7, generator=torch.Generator().manual_seed(0))
    noise = reference(x, state, prefix="model") - x
    torch.testing.assert_close(network(x), x - noise, rtol=1e-5, atol=1e-5 * float(noise.abs().max()))


@pytest.mark.parametrize("depth", [16, 18])
def test_checkpoint_of_another_depth(depth: int, v1_file: Callable[[dict[str, Tensor]], Path]) -> None:
    with pytest.raises(UserError, match=r"v1\.pt.*DnCNN"):
        load_weights(build_network(SMALL), v1_file(v1_state(batch_norm=False, depth=depth)))


def test_shared_batch_norm_is_one_layer() -> None:
    network = build_network({**SMALL, "batch_norm": True})
    assert len([name for name in network.state_dict() if name.endswith("running_mean")]) == 1
    network(torch.rand(1, 3, 8, 8))
    assert network.state_dict()["body.0.1.num_batches_tracked"] == 15  # visited once per middle layer


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 2}, r"depth 2.*3"),
        ({"in_channels": 1}, "in_channels 1 and out_channels 3"),
        ({"num_features": 0}, "num_features"),
    ],
)
def test_arguments_that_cannot_be_used(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_network({"type": "DnCNN", **arguments})
