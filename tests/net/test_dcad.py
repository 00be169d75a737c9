"""net/dcad.py against plain convolutions, with and without shared weights, and the files of the original."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from powerqe.net import build_network, load_weights
from powerqe.utils.errors import UserError

SMALL = {"type": "DCAD", "num_features": 6, "num_blocks": 8}


def v1_state(share_weights: bool) -> dict[str, Tensor]:
    """Keys as in v1: a convolution at each even index 0..18; v1 repeats one tensor at 2..16."""
    generator = torch.Generator().manual_seed(3)
    shapes = [(6, 3), *[(6, 6)] * 8, (3, 6)]
    state: dict[str, Tensor] = {}
    for number, (after, before) in enumerate(shapes):
        same = share_weights and 1 < number < 9
        state[f"blk_lst.{2 * number}.weight"] = (
            state["blk_lst.2.weight"] if same else torch.randn(after, before, 3, 3, generator=generator) / 5
        )
        state[f"blk_lst.{2 * number}.bias"] = (
            state["blk_lst.2.bias"] if same else torch.randn(after, generator=generator) / 5
        )
    return state


def reference(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    y = x
    for index in range(0, 20, 2):
        y = F.conv2d(y, state[f"blk_lst.{index}.weight"], state[f"blk_lst.{index}.bias"], padding=1)
        y = y if index == 18 else y.clamp(min=0)
    return x + y


@pytest.mark.parametrize(
    ("file_shares", "network_shares"), [(True, True), (True, False), (False, False)], ids=["same", "unshared", "free"]
)
def test_v1_checkpoint(file_shares: bool, network_shares: bool, v1_file: Callable[[dict[str, Tensor]], Path]) -> None:
    state = v1_state(file_shares)
    network = build_network({**SMALL, "share_weights": network_shares})
    load_weights(network, v1_file(state))
    x = torch.rand(2, 3, 7, 9)
    torch.testing.assert_close(network(x), reference(x, state), rtol=1e-6, atol=1e-6)


def test_weights_that_differ_cannot_be_shared(v1_file: Callable[[dict[str, Tensor]], Path]) -> None:
    with pytest.raises(UserError, match=r"2 shared.*share_weights"):
        load_weights(build_network(SMALL), v1_file(v1_state(share_weights=False)))


def test_later_checkpoint(tmp_path: Path) -> None:
    state = v1_state(share_weights=False)
    later = {name.replace("blk_lst", "layers"): tensor for name, tensor in state.items()}
    torch.save({"params": later}, tmp_path / "later.pth")
    network = build_network({**SMALL, "share_weights": False})
    load_weights(network, tmp_path / "later.pth")
    x = torch.rand(1, 3, 6, 5)
    torch.testing.assert_close(network(x), reference(x, state), rtol=1e-6, atol=1e-6)


def test_input_and_output_must_match() -> None:
    with pytest.raises(UserError, match="in_channels 3 and out_channels 1"):
        build_network({"type": "DCAD", "out_channels": 1})
