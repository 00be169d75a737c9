"""net/unet.py: every combination of its choices, small images, and the layers and names of the original."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from powerqe.net import build_network, load_weights
from powerqe.net.blocks import fit
from powerqe.utils.errors import UserError

V1 = {"type": "UNet", "in_channels": 3, "out_channels": 3, "num_levels": 3, "base_features": 4, "max_layers": 3}
LAYERS = (1, 2, 3)  # of V1: doubled from level to level, at most max_layers
FEATURES = (4, 8, 16)


def convolution(state: dict[str, Tensor], name: str, x: Tensor, stride: int = 1) -> Tensor:
    return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride, padding=1)


def stack(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """The convolutions name.0, name.2, name.4, ..., each with a ReLU."""
    for index in sorted({int(key.split(".")[1]) for key in state if key.startswith(f"{name}.")}):
        x = convolution(state, f"{name}.{index}", x).clamp(min=0)
    return x


def reference(x: Tensor, state: dict[str, Tensor], merge: str) -> Tensor:
    """The original's network from its tensors: level l is down_l, enc_l, up_l, dec_l."""
    skips = [stack(state, "inc", x)]
    for level in (1, 2):
        strided = f"down_{level}.0.weight" in state
        f = convolution(state, f"down_{level}.0", skips[-1], 2).clamp(min=0) if strided else F.avg_pool2d(skips[-1], 2)
        skips.append(stack(state, f"enc_{level}", f))
    f = skips.pop()
    for level in (1, 0):
        up = F.conv_transpose2d(f, state[f"up_{level}.up.weight"], state[f"up_{level}.up.bias"], stride=2, padding=1)
        skip = skips.pop()
        fitted = torch.zeros_like(skip)
        top, left = (skip.shape[-2] - up.shape[-2]) // 2, (skip.shape[-1] - up.shape[-1]) // 2
        fitted[..., top : top + up.shape[-2], left : left + up.shape[-1]] = up
        f = stack(state, f"dec_{level}", fitted + skip if merge == "add" else torch.cat((fitted, skip), 1))
    return x + convolution(state, "outc", f)


def v1_state(merge: str, down: str, share_weights: bool) -> dict[str, Tensor]:
    """Tensors with the names of the original; it writes a shared layer at each of its positions."""
    generator = torch.Generator().manual_seed(21)
    state: dict[str, Tensor] = {}

    def add(name: str, before: int, after: int) -> None:
        state[f"{name}.weight"] = torch.randn(after, before, 3, 3, generator=generator) * (2 / before / 9) ** 0.5
        state[f"{name}.bias"] = torch.randn(after, generator=generator) / 5

    def add_stack(name: str, before: int, level: int) -> None:
        add(f"{name}.0", before, FEATURES[level])
        for index in range(2, 2 * LAYERS[level] + 1, 2):
            if share_weights and index > 2:
                state.update({f"{name}.{index}.{key}": state[f"{name}.2.{key}"] for key in ("weight", "bias")})
            else:
                add(f"{name}.{index}", FEATURES[level], FEATURES[level])

    add("inc.0", 3, FEATURES[0])
    for level in (1, 2):
        if down == "strideconv":
            add(f"down_{level}.0", FEATURES[level - 1], FEATURES[level - 1])
        add_stack(f"enc_{level}", FEATURES[level - 1], level)
    for level in (0, 1):
        add(f"up_{level}.up", FEATURES[level], FEATURES[level + 1])  # transposed: (in, out, 3, 3)
        state[f"up_{level}.up.bias"] = torch.randn(FEATURES[level], generator=generator)
        add_stack(f"dec_{level}", FEATURES[level] * (1 if merge == "add" else 2), level)
    add("outc", FEATURES[0], 3)
    return state


@pytest.mark.parametrize("merge", ["add", "concat"])
@pytest.mark.parametrize("down", ["avgpool", "strideconv"])
@pytest.mark.parametrize(
    ("file_shares", "network_shares"), [(True, True), (True, False), (False, False)], ids=["same", "unshared", "free"]
)
@torch.no_grad()
def test_v1_checkpoint(
    merge: str, down: str, file_shares: bool, network_shares: bool, v1_file: Callable[[dict[str, Tensor]], Path]
) -> None:
    state = v1_state(merge, down, file_shares)
    network = build_network({**V1, "merge": merge, "down": down, "share_weights": network_shares})
    load_weights(network, v1_file(state))
    smallest = (4, 5) if down == "avgpool" else (1, 2)  # that the original takes
    for size in ((13, 18), (14, 11), smallest):
        x = torch.rand(2, 3, *size)
        torch.testing.assert_close(network(x), reference(x, state, merge), rtol=1e-5, atol=1e-5)


def test_checkpoint_of_other_depth_or_sharing(v1_file: Callable[[dict[str, Tensor]], Path]) -> None:
    path = v1_file(v1_state("concat", "avgpool", share_weights=True))
    with pytest.raises(UserError, match=r"2 unexpected \(enc_2.6.weight, enc_2.6.bias\)"):
        load_weights(build_network({**V1, "max_layers": 2}), path)
    path = v1_file(v1_state("concat", "avgpool", share_weights=False))
    with pytest.raises(UserError, match="shared"):
        load_weights(build_network(V1), path)


GROWTH: list[dict[str, Any]] = [
    {"feature_growth": 1},
    {"feature_growth": 2},
    {"feature_growth": 3, "layer_growth": 1},
    {"feature_growth": 2, "max_features": 5},
    {"feature_growth": 2, "max_features": 3},  # fewer than base_features
    {"feature_growth": 2, "num_levels": 1},
    {"feature_growth": 2, "num_levels": 4, "base_layers": 2, "max_layers": 2},
]


@pytest.mark.parametrize("growth", GROWTH, ids=str)
def test_every_combination_runs_and_learns(growth: dict[str, Any]) -> None:
    for down, up, merge in product(("avgpool", "strideconv"), ("transpose", "nearest"), ("concat", "add")):
        torch.manual_seed(0)
        network = build_network({**V1, **growth, "down": down, "up": up, "merge": merge})
        for size in ((1, 1), (2, 7), (9, 6)):
            x = torch.rand(1, 3, *size)
            y = network(x)
            assert y.shape == x.shape
            assert y.isfinite().all()
        network(torch.rand(2, 3, 16, 16)).square().mean().backward()
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_levels_grow_up_to_their_limits() -> None:
    options = {"num_levels": 4, "max_features": 20, "feature_growth": 3, "max_layers": 5, "share_weights": False}
    network = build_network({**V1, **options})
    encoders = [network.get_submodule(f"encoders.{level}") for level in range(3)]
    convolutions = [[m for m in stack.modules() if isinstance(m, nn.Conv2d)] for stack in encoders]
    assert [len(found) for found in convolutions] == [1 + 2, 1 + 4, 1 + 5]
    assert [found[-1].out_channels for found in convolutions] == [12, 20, 20]


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (6, 2)])
@torch.no_grad()
def test_image_that_pooling_would_use_up_is_continued_by_its_edge(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = build_network({**V1, "residual": False})
    x = torch.rand(1, 3, *size)
    rows, columns = max(0, 4 - size[0]), max(0, 4 - size[1])
    larger = torch.cat([x, *[x[..., -1:]] * columns], dim=-1)
    larger = torch.cat([larger, *[larger[..., -1:, :]] * rows], dim=-2)
    assert min(larger.shape[-2:]) >= 4
    assert torch.equal(network(x), network(larger)[..., : size[0], : size[1]])


def test_fit_crops_at_the_end_and_adds_zeros_on_both_sides() -> None:
    x = torch.arange(1.0, 7.0).reshape(1, 1, 2, 3)
    assert fit(x, torch.empty(1, 9, 1, 2)).tolist() == [[[[1, 2]]]]
    assert fit(x, torch.empty(1, 9, 2, 4)).tolist() == [[[[1, 2, 3, 0], [4, 5, 6, 0]]]]
    assert fit(x, torch.empty(1, 9, 5, 2)).tolist() == [[[[0, 0], [1, 2], [4, 5], [0, 0], [0, 0]]]]
    assert torch.equal(fit(x, x), x)


@torch.no_grad()
def test_residual_network_starts_as_the_identity() -> None:
    x = torch.rand(2, 3, 32, 32)
    for share_weights in (True, False):
        network = build_network({**V1, "num_levels": 4, "base_features": 8, "share_weights": share_weights})
        assert 0 < float((network(x) - x).abs().mean()) < 0.02
    without = build_network({**V1, "residual": False})
    assert 0 < float(without(x).abs().mean()) < 0.02
    for parameter in without.parameters():
        nn.init.zeros_(parameter)
    assert not without(x).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"down": "maxpool"}, "down"),
        ({"up": "bicubic"}, "up"),
        ({"merge": "mean"}, "merge"),
        ({"num_levels": 0}, "num_levels"),
        ({"num_levels": 11}, "num_levels"),
        ({"feature_growth": 0}, "feature_growth"),
        ({"out_channels": 1}, r"UNet.*true.*in_channels 3 and out_channels 1"),
    ],
)
def test_arguments_that_cannot_be_used(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_network({**V1, **arguments})


def test_channels_need_not_agree_without_the_skip() -> None:
    network = build_network({**V1, "residual": False, "in_channels": 5, "out_channels": 1})
    assert network(torch.rand(1, 5, 6, 6)).shape == (1, 1, 6, 6)
