"""net/rcan.py against a computation straight from tensors under the names of the authors and of BasicSR."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from powerqe.net import load_weights
from powerqe.net.rcan import RCAN
from powerqe.utils.errors import UserError

GROUPS, BLOCKS, FEATURES = 2, 3, 8


def image(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(5))


def authors_state() -> dict[str, Tensor]:
    """The tensors of a network for x4 under the names of the authors' code."""
    generator = torch.Generator().manual_seed(3)
    state: dict[str, Tensor] = {}

    def layer(name: str, after: int, before: int, size: int = 3) -> None:
        state[f"{name}.weight"] = (
            torch.randn(after, before, size, size, generator=generator) / (before * size**2) ** 0.5
        )
        state[f"{name}.bias"] = torch.randn(after, generator=generator) / 5

    layer("head.0", FEATURES, 3)
    for group in range(GROUPS):
        for block in range(BLOCKS):
            name = f"body.{group}.body.{block}.body"
            layer(f"{name}.0", FEATURES, FEATURES)
            layer(f"{name}.2", FEATURES, FEATURES)
            layer(f"{name}.3.conv_du.0", FEATURES // 4, FEATURES, 1)
            layer(f"{name}.3.conv_du.2", FEATURES, FEATURES // 4, 1)
        layer(f"body.{group}.body.{BLOCKS}", FEATURES, FEATURES)
    layer(f"body.{GROUPS}", FEATURES, FEATURES)
    layer("tail.0.0", 4 * FEATURES, FEATURES)
    layer("tail.0.2", 4 * FEATURES, FEATURES)
    layer("tail.1", 3, FEATURES)
    mean = torch.tensor([114.444, 111.4605, 103.02])
    for name, bias in (("sub_mean", -mean), ("add_mean", mean)):
        state |= {f"{name}.weight": torch.eye(3)[:, :, None, None], f"{name}.bias": bias}
    return state


def reference(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    """The spec's definition; x in [0, 255]."""

    def layer(name: str, y: Tensor) -> Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(y, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def block(name: str, y: Tensor) -> Tensor:
        z = layer(f"{name}.2", layer(f"{name}.0", y).clamp(min=0))
        weights = layer(f"{name}.3.conv_du.0", z.mean((2, 3), keepdim=True)).clamp(min=0)
        return y + z * layer(f"{name}.3.conv_du.2", weights).sigmoid()

    first = y = layer("head.0", layer("sub_mean", x))
    for group in range(GROUPS):
        z = y
        for number in range(BLOCKS):
            z = block(f"body.{group}.body.{number}.body", z)
        y = y + layer(f"body.{group}.body.{BLOCKS}", z)
    y = first + layer(f"body.{GROUPS}", y)
    for name in ("tail.0.0", "tail.0.2"):
        y = F.pixel_shuffle(layer(name, y), 2)
    return layer("add_mean", layer("tail.1", y))


def basicsr_name(name: str) -> str | None:
    """What BasicSR calls a tensor of the authors; None for the mean."""
    part, *rest = name.split(".")
    tensor = rest[-1]
    if part.endswith("mean"):
        return None
    if part != "body":
        named = {"head.0": "conv_first", "tail.0.0": "upsample.0", "tail.0.2": "upsample.2", "tail.1": "conv_last"}
        return f"{named[name.removesuffix(f'.{tensor}')]}.{tensor}"
    if len(rest) == 2:
        return f"conv_after_body.{tensor}"
    if len(rest) == 4:
        return f"body.{rest[0]}.conv.{tensor}"
    inner = {"0": "0", "2": "2", "conv_du.0": "3.attention.1", "conv_du.2": "3.attention.3"}
    layer = inner[".".join(rest[4:-1]).removeprefix("3.")]
    return f"body.{rest[0]}.residual_group.{rest[2]}.rcab.{layer}.{tensor}"


def small(num_blocks: int = BLOCKS) -> RCAN:
    return RCAN(scale=4, num_features=FEATURES, num_groups=GROUPS, num_blocks=num_blocks, reduction=4)


@pytest.mark.parametrize("basicsr", [False, True])
@torch.no_grad()
def test_published_names(basicsr: bool, tmp_path: Path) -> None:
    state = authors_state()
    named = {(basicsr_name(name) if basicsr else name): tensor for name, tensor in state.items()}
    named.pop(None, None)
    assert len(named) == len(state) - 4 * basicsr
    torch.save({"params": named} if basicsr else named, tmp_path / "rcan.pt")
    network = small()
    load_weights(network, tmp_path / "rcan.pt")
    x = image(2, 3, 7, 6)
    expected = reference(255 * x, state)
    torch.testing.assert_close(255 * network(x), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("num_blocks", [2, 4])
def test_file_of_other_groups(num_blocks: int, tmp_path: Path) -> None:
    torch.save(authors_state(), tmp_path / "rcan.pt")
    with pytest.raises(UserError, match=r"rcan\.pt.*RCAN"):
        load_weights(small(num_blocks), tmp_path / "rcan.pt")


def test_reduction_that_leaves_no_channel() -> None:
    with pytest.raises(UserError, match=r"reduction.*16.*8"):
        RCAN(num_features=8)
