"""net/edsr.py: recorded outputs, the names of the authors and of BasicSR, the factors of MDSR."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from powerqe.net import build_network, load_weights
from powerqe.net.edsr import EDSR, MDSR
from powerqe.utils.errors import UserError

RECORDED = np.load(Path(__file__).parents[1] / "data/edsr_x2.npz")
STATE = {name[3:]: torch.from_numpy(RECORDED[name]) for name in RECORDED if name.startswith("sd/")}
SMALL = {"type": "EDSR", "num_features": 16, "num_blocks": 2, "res_scale": 0.1}
BASICSR = {
    "head.0": "conv_first",
    "body.0.body.0": "body.0.conv1",
    "body.0.body.2": "body.0.conv2",
    "body.1.body.0": "body.1.conv1",
    "body.1.body.2": "body.1.conv2",
    "body.2": "conv_after_body",
    "tail.0.0": "upsample.0",
    "tail.1": "conv_last",
}


def image(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(5))


def assert_recorded(network: nn.Module) -> None:
    for x, y in (("x", "y"), ("x_chop", "y_full_of_x_chop")):
        result = network(torch.from_numpy(RECORDED[x]) / 255)
        torch.testing.assert_close(255 * result, torch.from_numpy(RECORDED[y]), rtol=1e-6, atol=1e-4)


@torch.no_grad()
def test_recorded_outputs(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "edsr_x2.pt")
    network = build_network(SMALL)
    load_weights(network, tmp_path / "edsr_x2.pt")
    assert_recorded(network)


@torch.no_grad()
def test_basicsr_file_of_the_same_network(tmp_path: Path) -> None:
    """There the mean is no tensor; ours keeps its own."""
    named = {
        f"{new}.{tensor}": STATE[f"{old}.{tensor}"] for old, new in BASICSR.items() for tensor in ("weight", "bias")
    }
    assert len(named) == len(STATE) - 4
    torch.save({"params": named}, tmp_path / "EDSR_Mx2.pth")
    network = build_network(SMALL)
    load_weights(network, tmp_path / "EDSR_Mx2.pth")
    assert_recorded(network)


def test_names_of_a_larger_factor() -> None:
    network = EDSR(scale=4, num_features=2, num_blocks=3)
    assert network.upstream_name("tail.0.2.weight") == "tail.0.2.weight"
    assert network.upstream_name("upsample.2.bias") == "tail.0.2.bias"
    assert network.upstream_name("body.3.weight") == "body.3.weight"
    assert network.upstream_name("conv_after_body.weight") == "body.3.weight"


def test_only_the_mean_may_be_missing(tmp_path: Path) -> None:
    lacking = {name: tensor for name, tensor in STATE.items() if not name.startswith(("sub_mean", "head"))}
    torch.save(lacking, tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"2 missing \(head\.weight, head\.bias\)"):
        load_weights(build_network(SMALL), tmp_path / "a.pt")


def test_mean_of_the_file_counts(tmp_path: Path) -> None:
    torch.save({**STATE, "sub_mean.bias": torch.zeros(3)}, tmp_path / "a.pt")
    network = build_network(SMALL)
    load_weights(network, tmp_path / "a.pt")
    assert not network.state_dict()["sub_mean.bias"].any()


def test_training_leaves_the_mean_alone() -> None:
    network = build_network(SMALL)
    frozen = {name: p.numel() for name, p in network.named_parameters() if not p.requires_grad}
    assert frozen == {"sub_mean.weight": 9, "sub_mean.bias": 3, "add_mean.weight": 9, "add_mean.bias": 3}


def test_mean_is_taken_off_and_put_back() -> None:
    network = EDSR(num_features=4, num_blocks=1)
    nn.init.zeros_(network.tail[1].weight)
    nn.init.zeros_(network.tail[1].bias)
    mean = torch.tensor([0.4488, 0.4371, 0.4040])[:, None, None]
    torch.testing.assert_close(network(image(1, 3, 2, 2)), mean.expand(1, 3, 4, 4))
    seen = []
    network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(mean.expand(1, 3, 2, 2))
    torch.testing.assert_close(seen[0], torch.zeros(1, 3, 2, 2), rtol=0, atol=1e-4)


def test_gray_images() -> None:
    network = EDSR(in_channels=1, out_channels=1, num_features=4, num_blocks=1)
    assert network(image(1, 1, 3, 5)).shape == (1, 1, 6, 10)
    torch.testing.assert_close(
        network.sub_mean(torch.full((1, 1, 1, 1), 109.65)), torch.zeros(1, 1, 1, 1), rtol=0, atol=0.1
    )


@pytest.mark.parametrize("name", ["EDSR", "RCAN", "SRCNN"])
def test_other_scales_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"scale.*5.*2, 3 or 4"):
        build_network({"type": name, "scale": 5})


# --------------------------------------------------------------------------- MDSR


def mdsr_state(scales: int = 3, features: int = 4, blocks: int = 2) -> dict[str, Tensor]:
    """Tensors under the names of the authors' code."""
    generator = torch.Generator().manual_seed(2)
    state: dict[str, Tensor] = {}

    def layer(name: str, after: int, before: int, size: int = 3) -> None:
        state[f"{name}.weight"] = (
            torch.randn(after, before, size, size, generator=generator) / (before * size**2) ** 0.5
        )
        state[f"{name}.bias"] = torch.randn(after, generator=generator) / 5

    layer("head.0", features, 3)
    for scale in range(scales):
        for block in range(2):
            for number in (0, 2):
                layer(f"pre_process.{scale}.{block}.body.{number}", features, features, 5)
    for block in range(blocks):
        for number in (0, 2):
            layer(f"body.{block}.body.{number}", features, features)
    layer(f"body.{blocks}", features, features)
    for scale, factors in enumerate(((2,), (3,), (2, 2))[:scales]):
        for number, factor in enumerate(factors):
            layer(f"upsample.{scale}.{2 * number}", factor**2 * features, features)
    layer("tail.0", 3, features)
    mean = torch.tensor([114.444, 111.4605, 103.02])
    for name, bias in (("sub_mean", -mean), ("add_mean", mean)):
        state |= {f"{name}.weight": torch.eye(3)[:, :, None, None], f"{name}.bias": bias}
    return state


def mdsr_reference(x: Tensor, state: dict[str, Tensor], index: int, blocks: int = 2) -> Tensor:
    """The spec's definition, straight from the authors' tensors; x in [0, 255]."""

    def layer(name: str, y: Tensor) -> Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(y, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def block(name: str, y: Tensor) -> Tensor:
        return y + layer(f"{name}.body.2", layer(f"{name}.body.0", y).clamp(min=0))

    y = layer("head.0", layer("sub_mean", x))
    for number in range(2):
        y = block(f"pre_process.{index}.{number}", y)
    skip = y
    for number in range(blocks):
        y = block(f"body.{number}", y)
    y = layer(f"body.{blocks}", y) + skip
    for number, factor in enumerate(((2,), (3,), (2, 2))[index]):
        y = F.pixel_shuffle(layer(f"upsample.{index}.{2 * number}", y), factor)
    return layer("add_mean", layer("tail.0", y))


@torch.no_grad()
def test_mdsr_of_the_authors(tmp_path: Path) -> None:
    state = mdsr_state()
    torch.save(state, tmp_path / "mdsr.pt")
    network = MDSR(num_features=4, num_blocks=2)
    load_weights(network, tmp_path / "mdsr.pt")
    x = image(2, 3, 6, 7)
    for index, scale in enumerate((2, 3, 4)):
        expected = mdsr_reference(255 * x, state, index)
        assert expected.shape == (2, 3, 6 * scale, 7 * scale)
        tolerance = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(255 * network(x, scale), expected, rtol=1e-5, atol=tolerance)


def test_mdsr_file_of_more_factors(tmp_path: Path) -> None:
    torch.save(mdsr_state(3), tmp_path / "mdsr.pt")
    with pytest.raises(UserError, match=r"12 unexpected \(pre_process\.2\.0\.body\.0\.weight"):
        load_weights(MDSR(scales=(2, 3), num_features=4, num_blocks=2), tmp_path / "mdsr.pt")


def test_mdsr_uses_the_branch_of_its_factor() -> None:
    network = MDSR(scales=(4, 2), num_features=4, num_blocks=1)
    network(image(1, 3, 4, 4), scale=2).sum().backward()
    unused = {name.split(".")[1] for name, p in network.named_parameters() if p.requires_grad and p.grad is None}
    assert unused == {"x4"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scales": [2, 5]}, "scales"),
        ({"scales": []}, "scales"),
        ({"scales": [2, 3, 2]}, r"MDSR.*\[2, 3, 2\]"),
    ],
)
def test_mdsr_scales_that_cannot_be_used(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_network({"type": "MDSR", **arguments})


@pytest.mark.parametrize("scale", [1, 3])
def test_mdsr_names_the_scales_that_it_has(scale: int) -> None:
    with pytest.raises(UserError, match=rf"{scale}.*2, 4"):
        MDSR(scales=(2, 4), num_features=4)(image(1, 3, 4, 4), scale)
