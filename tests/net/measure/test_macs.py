"""Counts are those of a pencil; all in thousand multiply-accumulates per pixel."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from powerqe.net import build_network
from powerqe.net.blocks import conv
from powerqe.net.example import example_inputs
from powerqe.net.measure.macs import counter, macs
from powerqe.net.ops.dcn import ModulatedDeformConv2d, force_backend
from powerqe.net.ops.dcn.backends import BACKENDS


def kmacs(network: nn.Module, height: int = 64, width: int = 96) -> float:
    positional, named = example_inputs(network, height, width)
    with torch.no_grad(), counter(network) as counted:
        network(*positional, **named)
    return macs(counted) / (height * width) / 1e3


def of(options: dict[str, Any], height: int = 64, width: int = 96) -> float:
    with FakeTensorMode():
        return kmacs(build_network(options).eval(), height, width)


def square(before: int, after: int, taps: int = 9) -> float:
    return before * after * taps / 1e3


def test_a_convolution() -> None:
    network = conv(64, 64, 3)
    assert kmacs(network) == 36.864
    assert kmacs(nn.Conv2d(4, 8, 4, stride=2, padding=1)) == pytest.approx(square(4, 8, 16) / 4)
    assert kmacs(nn.Sequential(nn.ConvTranspose2d(3, 8, 2, stride=2))) == pytest.approx(square(3, 8, 4))


class Elementwise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        enlarged = nn.functional.interpolate(x, scale_factor=2, mode="bicubic")
        return nn.functional.avg_pool2d(enlarged.relu() * 2 + 1, 2).softmax(1) - x.mean((2, 3), keepdim=True)


def test_elementwise_work_is_not_counted() -> None:
    assert kmacs(Elementwise()) == 0


BODY = square(64, 64)
RCAB = 2 * BODY

EXPECTED = [
    ({"type": "ARCNN"}, square(3, 64, 81) + square(64, 32, 1) + square(32, 3, 25)),
    # Shared weights are applied as often as others.
    ({"type": "DnCNN"}, square(3, 64) + 15 * BODY + square(64, 3)),
    ({"type": "DnCNN", "share_weights": False}, square(3, 64) + 15 * BODY + square(64, 3)),
    # Head, 16 blocks and the last of the body; to four times the features, and the last at four times the pixels.
    ({"type": "EDSR"}, square(3, 64) + 33 * BODY + 4 * BODY + 4 * square(64, 3)),
    ({"type": "EDSR", "scale": 3}, square(3, 64) + 33 * BODY + 9 * BODY + 9 * square(64, 3)),
    # The attention's 2 x 64 x 4 multiplications are for the whole image.
    (
        {"type": "RCAN"},
        square(3, 64) + 10 * (4 * RCAB + BODY) + BODY + 4 * BODY + 4 * square(64, 3) + 40 * 0.512 / (64 * 96),
    ),
]


@pytest.mark.parametrize(("options", "expected"), EXPECTED)
def test_counts_by_hand(options: dict[str, Any], expected: float) -> None:
    assert of(options) == pytest.approx(expected, rel=1e-9)


def test_stdf_by_hand() -> None:
    """Seven frames; three levels down, each half a side; the fusion takes 9 samples of each frame."""
    full, half = square(32, 32), 1 / 4
    down = lambda level: 2 * full * half**level  # noqa: E731 - strided to this level, and a convolution there
    up = lambda level: square(32, 32, 16) * half**level  # noqa: E731 - from this level
    offsets = square(7, 32) + down(1) + down(2) + down(3) + up(3) + up(2) + up(1)
    offsets += square(64, 32) * (half + half**2) + full + square(32, 3 * 9 * 7)
    enhance = square(64, 48) + 6 * square(48, 48) + square(48, 1)
    assert of({"type": "STDF"}) == pytest.approx(offsets + square(7, 64) + enhance, rel=1e-9)


@pytest.fixture
def backend() -> Any:
    yield force_backend
    force_backend(None)


@pytest.mark.parametrize("name", list(BACKENDS))
def test_a_deformable_convolution_counts_as_an_ordinary_one(name: str, backend: Callable[[str], None]) -> None:
    if reason := BACKENDS[name].missing("cpu"):
        pytest.skip(f"{name} {reason}")
    backend(name)
    layer = ModulatedDeformConv2d(6, 4, 3, padding=1, deformable_groups=2)
    x, offset, mask = torch.rand(2, 6, 8, 10), torch.rand(2, 36, 8, 10), torch.rand(2, 18, 8, 10)
    with torch.no_grad(), counter(layer) as counted:
        layer(x, offset, mask)
    assert macs(counted) == 2 * 8 * 10 * 6 * 4 * 9


def test_distances_between_patches_are_counted() -> None:
    """Every patch of 27 numbers with every other, then the means of 27 numbers and the mask; and the bandwidth."""
    patches = 22 * 30
    bandwidth, sobel = 27 * 3 + 3, 2 * 2 * 9 * 24 * 32
    expected = patches * (patches * (27 + 28) + bandwidth) + sobel
    assert of({"type": "NonLocalDeblock"}, 24, 32) == pytest.approx(expected / (24 * 32) / 1e3)


@pytest.mark.parametrize("options", [{}, {"separable": True}, {"down": "avgpool", "up": "nearest", "num_levels": 3}])
def test_rbqe_counts_the_same_of_itself(options: dict[str, Any]) -> None:
    with FakeTensorMode():
        network: Any = build_network({"type": "RBQE", **options}).eval()
        exits = network.macs_per_pixel()
        positional, _ = example_inputs(network, 512, 512)
        for number, expected in enumerate(exits):
            with torch.no_grad(), counter(network) as counted:
                network(*positional, exit=number)
            # Its own count leaves out the attention, a few hundred for the whole image.
            assert macs(counted) / 512**2 == pytest.approx(expected, rel=1e-3)


def test_fake_tensors_count_as_real_ones() -> None:
    options = {"type": "STDF", "radius": 1, "num_features": 8, "enhance_features": 8}
    assert of(options) == kmacs(build_network(options).eval())
