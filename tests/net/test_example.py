"""Every registered network can be called with its example, however it is built."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from powerqe.net import NETWORKS, build_network
from powerqe.net.example import example_inputs
from powerqe.utils.errors import UserError

UNET = {"in_channels": 3, "out_channels": 3, "num_levels": 2, "base_features": 4}
GRAY = {"in_channels": 1, "out_channels": 1}


def run(network: nn.Module, height: int, width: int, batch: int = 1) -> Any:
    positional, named = example_inputs(network, height, width, batch)
    return network(*positional, **named)


@pytest.mark.parametrize("name", [name for name in NETWORKS.names() if name != "Spandrel"])  # which needs a file
@torch.no_grad()
def test_every_network_takes_its_example(name: str) -> None:
    with FakeTensorMode():
        run(build_network({"type": name, **(UNET if name == "UNet" else {})}).eval(), 24, 40, batch=2)


@pytest.mark.parametrize("name", [name for name in NETWORKS.names() if "in_channels" in NETWORKS.signature(name)])
@torch.no_grad()
def test_the_channels_are_those_with_which_it_was_built(name: str) -> None:
    known = NETWORKS.signature(name)
    options = {**(UNET if name == "UNet" else {}), **{key: value for key, value in GRAY.items() if key in known}}
    with FakeTensorMode():
        network = build_network({"type": name, **options}).eval()
        assert example_inputs(network, 24, 40)[0][0].shape[-3] == 1
        run(network, 24, 40)


@pytest.mark.parametrize(
    ("options", "shapes", "named"),
    [
        ({"type": "DnCNN"}, [(2, 3, 5, 7)], {}),
        ({"type": "MFQE"}, [(2, 3, 1, 5, 7)], {}),
        ({"type": "STDF", "radius": 2, **GRAY}, [(2, 5, 1, 5, 7)], {}),
        ({"type": "STDF", "radius": 0, "in_channels": 3, "out_channels": 3}, [(2, 1, 3, 5, 7)], {}),
        ({"type": "QCN", "num_blocks": 2}, [(2, 3, 5, 7), (2, 2, 8, 8)], {}),
        ({"type": "QGCN", "num_blocks": 2, "in_channels": 1}, [(2, 1, 5, 7), (2, 1, 8, 8)], {}),
        ({"type": "MDSR", "scales": (4, 2), "num_blocks": 1}, [(2, 3, 5, 7)], {"scale": 4}),
        ({"type": "NonLocalDeblock"}, [(2, 3, 5, 7)] * 2, {}),
        ({"type": "VGGDiscriminator", "patch_size": (32, 64)}, [(2, 3, 32, 64)], {}),
    ],
)
@torch.no_grad()
def test_what_it_is_called_with(options: dict[str, Any], shapes: list[tuple[int, ...]], named: dict[str, Any]) -> None:
    network = build_network(options).eval()
    tensors, others = example_inputs(network, 5, 7, batch=2)
    assert [tuple(tensor.shape) for tensor in tensors] == shapes
    assert others == named
    assert 0 <= tensors[0].min() < tensors[0].max() <= 1
    again, _ = example_inputs(network, 5, 7, batch=2)
    torch.testing.assert_close(tensors, again, rtol=0, atol=0)
    output = network(*tensors, **others)
    assert (output[0] if isinstance(output, tuple) else output).isfinite().all()


def test_image_and_reference_are_alike_but_not_the_same() -> None:
    image, reference = example_inputs(build_network({"type": "NonLocalDeblock"}), 9, 9)[0]
    assert 0 < (image - reference).abs().max() < 0.1


class Asking(nn.Module):
    def forward(self, x: Tensor, weather: Tensor, mood: float = 1.0) -> Tensor:
        return x


def test_something_unknown_is_named() -> None:
    with pytest.raises(UserError, match="'weather'"):
        example_inputs(Asking(), 8, 8)
