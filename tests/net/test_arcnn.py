"""net/arcnn.py against plain convolutions, and the files of the original."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from powerqe.net import build_network, load_weights
from powerqe.utils.errors import UserError

PAPER = {"type": "ARCNN", "hidden_channels": [6, 5, 4], "kernel_sizes": [9, 7, 1, 5]}


def random_layers(channels: list[int], kernel_sizes: list[int]) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(5)
    return [
        (torch.randn(after, before, k, k, generator=generator) / k, torch.randn(after, generator=generator))
        for before, after, k in zip(channels[:-1], channels[1:], kernel_sizes, strict=True)
    ]


def reference(x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """AR-CNN layer by layer: zero padding of half a kernel, ReLU after all but the last."""
    for number, (weight, bias) in enumerate(layers):
        x = F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
        if number < len(layers) - 1:
            x = x.clamp(min=0)
    return x


def named(prefix: str, layers: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    tensors = {}
    for number, (weight, bias) in enumerate(layers):
        tensors |= {f"{prefix}.{2 * number}.weight": weight, f"{prefix}.{2 * number}.bias": bias}
    return tensors


def test_v1_checkpoint(v1_file: Callable[[dict[str, Tensor]], Path]) -> None:
    layers = random_layers([3, 64, 32, 3], [9, 1, 5])
    network = build_network({"type": "ARCNN"})
    load_weights(network, v1_file(named("blk_lst", layers)))
    x = torch.rand(2, 3, 13, 10)
    torch.testing.assert_close(network(x), reference(x, layers), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("wrapper", "prefix"), [("params_ema", "layers"), ("params", "layers"), ("state_dict", "generator.layers")]
)
def test_later_checkpoints_of_the_paper_form(wrapper: str, prefix: str, tmp_path: Path) -> None:
    layers = random_layers([3, 6, 5, 4, 3], [9, 7, 1, 5])
    torch.save({wrapper: named(prefix, layers)}, tmp_path / "later.pth")
    network = build_network({**PAPER, "residual": True})
    load_weights(network, tmp_path / "later.pth")
    x = torch.rand(1, 3, 11, 12)
    torch.testing.assert_close(network(x), x + reference(x, layers), rtol=1e-5, atol=1e-5)


def test_no_skip_by_default() -> None:
    network = build_network({"type": "ARCNN"})
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    assert not network(torch.rand(1, 3, 8, 8)).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_sizes": [9, 5]}, r"2 hidden_channels.*3 layers.*2 kernel_sizes"),
        ({"hidden_channels": [64, 32, 16]}, r"3 hidden_channels.*4 layers.*3 kernel_sizes"),
        ({"kernel_sizes": [9, 2, 5]}, "give odd ones"),
        ({"residual": True, "out_channels": 1}, "in_channels 3 and out_channels 1"),
        ({"hidden_channels": [64, 0]}, "hidden_channels"),
    ],
)
def test_arguments_that_do_not_belong_together(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_network({"type": "ARCNN", **arguments})
