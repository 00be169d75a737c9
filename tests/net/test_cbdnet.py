"""net/cbdnet.py against the original: its recorded outputs, and its layers computed from its tensors."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from powerqe.net import build_network, load_weights
from powerqe.utils.errors import UserError

SMALL = {"type": "CBDNet", "estimator_features": 4, "base_features": 6}

# Channels before and after the convolutions of each part of SMALL, as the original names the parts.
V1_PARTS = {
    "estimate": [(3, 4), (4, 4), (4, 4), (4, 4), (4, 3)],
    "denoise.inc": [(6, 6)],
    "denoise.enc_1": [(6, 12), (12, 12), (12, 12)],
    "denoise.enc_2": [(12, 24), (24, 24), (24, 24), (24, 24), (24, 24)],
    "denoise.dec_1": [(12, 12), (12, 12), (12, 12)],
    "denoise.dec_0": [(6, 6), (6, 6)],
}


def v1_state(share_weights: bool) -> dict[str, Tensor]:
    """A convolution at each even index; with shared weights one tensor at all positions after the first."""
    generator = torch.Generator().manual_seed(31)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) / shape[0] ** 0.5 / 2

    state = {}
    for part, channels in V1_PARTS.items():
        repeated: dict[str, Tensor] = {}
        for number, (before, after) in enumerate(channels):
            again = share_weights and number > 1 and before == after
            tensors = repeated if again else {"weight": random(after, before, 3, 3), "bias": random(after)}
            repeated = tensors if number else {}
            state |= {f"{part}.{2 * number}.{name}": tensor for name, tensor in tensors.items()}
    state |= {"denoise.up_1.up.weight": random(24, 12, 3, 3), "denoise.up_1.up.bias": random(12)}
    state |= {"denoise.up_0.up.weight": random(12, 6, 3, 3), "denoise.up_0.up.bias": random(6)}
    return state | {"denoise.outc.weight": random(3, 6, 3, 3), "denoise.outc.bias": random(3)}


def reference(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    """The original's table of layers, written out; height and width multiples of 4."""

    def tensors(name: str) -> tuple[Tensor, Tensor]:
        return state[f"{name}.weight"], state[f"{name}.bias"]

    def convolutions(part: str, y: Tensor) -> Tensor:
        for number in range(len(V1_PARTS[part])):
            y = F.conv2d(y, *tensors(f"{part}.{2 * number}"), padding=1).clamp(min=0)
        return y

    def up(name: str, y: Tensor) -> Tensor:  # 2n - 1 pixels, and one of zeros
        return F.pad(F.conv_transpose2d(y, *tensors(name), stride=2, padding=1), (0, 1, 0, 1))

    f0 = convolutions("denoise.inc", torch.cat((x, convolutions("estimate", x)), 1))
    f1 = convolutions("denoise.enc_1", F.avg_pool2d(f0, 2))
    f2 = convolutions("denoise.enc_2", F.avg_pool2d(f1, 2))
    f1 = convolutions("denoise.dec_1", up("denoise.up_1.up", f2) + f1)
    f0 = convolutions("denoise.dec_0", up("denoise.up_0.up", f1) + f0)
    return x + F.conv2d(f0, *tensors("denoise.outc"), padding=1)


def test_v1_names_are_those_of_the_specification() -> None:
    assert len(v1_state(share_weights=True)) == 44


@pytest.mark.parametrize("number", ["", "2", "3"])
@torch.no_grad()
def test_recorded_output_of_the_original(number: str, tmp_path: Path, root: Path) -> None:
    with np.load(root / "tests/data/cbdnet.npz") as recorded:
        options = json.loads(str(recorded["__config__"]))["kwargs"]
        arrays = {name: torch.from_numpy(recorded[name]) for name in recorded.files if name != "__config__"}
    torch.save({name[3:]: tensor for name, tensor in arrays.items() if name.startswith("sd/")}, tmp_path / "v1.pt")
    sizes = {"estimator_features": options["nf_estimate"], "base_features": options["nf_base_denoise"]}
    network = build_network({"type": "CBDNet", **sizes})
    load_weights(network, tmp_path / "v1.pt")
    torch.testing.assert_close(network(arrays[f"x{number}"]), arrays[f"y{number}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("file_shares", "network_shares"), [(True, True), (True, False), (False, False)], ids=["same", "unshared", "free"]
)
@torch.no_grad()
def test_v1_checkpoint(file_shares: bool, network_shares: bool, v1_file: Callable[[dict[str, Tensor]], Path]) -> None:
    state = v1_state(file_shares)
    network = build_network({**SMALL, "share_weights": network_shares})
    load_weights(network, v1_file(state))
    x = torch.rand(2, 3, 8, 12)
    torch.testing.assert_close(network(x), reference(x, state), rtol=1e-5, atol=1e-5)


def test_weights_that_differ_cannot_be_shared(v1_file: Callable[[dict[str, Tensor]], Path]) -> None:
    with pytest.raises(UserError, match="shared"):
        load_weights(build_network(SMALL), v1_file(v1_state(share_weights=False)))


@pytest.mark.parametrize("share_weights", [True, False])
def test_start(share_weights: bool) -> None:
    """Near the identity, and with a map whose ReLU lets every pixel's gradient through."""
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for seed in range(5):
        torch.manual_seed(seed)
        network = build_network({**SMALL, "estimator_features": 16, "share_weights": share_weights})
        assert 0 < float((network(x) - x).detach().abs().mean()) < 0.03
        estimator = network.get_submodule("estimator")
        assert isinstance(estimator, nn.Sequential)
        assert (estimator(x) > 0).all()
        assert float(estimator[:3](x).detach().square().mean()) > 0.05  # the signal has not faded away on its path


@pytest.mark.parametrize("merge", ["add", "concat"])
@pytest.mark.parametrize("num_levels", [1, 2, 4])
@torch.no_grad()
def test_levels_and_merging(num_levels: int, merge: str) -> None:
    network = build_network({**SMALL, "num_levels": num_levels, "merge": merge})
    for size in ((1, 3), (10, 7)):
        assert network(torch.rand(1, 3, *size)).shape == (1, 3, *size)


def test_input_and_output_must_match() -> None:
    with pytest.raises(UserError, match=r"CBDNet.*in_channels 3 and out_channels 1"):
        build_network({**SMALL, "out_channels": 1})
