"""How far networks look is known for stacks of convolutions."""

import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from powerqe.net import build_network
from powerqe.net.blocks import GlobalMean, conv, fit
from powerqe.net.forward_inputs import ForwardInputs
from powerqe.net.measure import receptive
from powerqe.net.measure.receptive import reach
from powerqe.net.measure.unbounded_modules import global_modules

CPU = torch.device("cpu")


def measure(
    network: nn.Module, height: int = 40, width: int = 50, channels: int = 3, **named: Any
) -> tuple[int, int] | None:
    arguments = ForwardInputs((torch.rand(1, channels, height, width),), named)
    return reach(network.eval(), global_modules(network), arguments, getattr(network, "multiple", 1), CPU)


@pytest.mark.parametrize(
    ("options", "radius"),
    [
        ({"type": "DnCNN", "num_features": 4, "depth": 5}, 5),
        ({"type": "DnCNN", "num_features": 4, "depth": 40}, 40),
        ({"type": "ARCNN", "hidden_channels": (4, 4)}, 6),
        ({"type": "ARCNN", "hidden_channels": (4, 4, 4), "kernel_sizes": (9, 7, 1, 5)}, 9),
        ({"type": "DCAD", "num_features": 4}, 10),
        # conv_first, two blocks of 3 x 5 convolutions, conv_body, conv_last
        ({"type": "ESRGAN", "num_features": 4, "growth_channels": 4, "num_blocks": 2}, 33),
    ],
)
@torch.no_grad()
def test_stacks_of_convolutions(options: dict[str, Any], radius: int):
    assert measure(build_network(options)) == (radius, radius)


@torch.no_grad()
def test_the_axes_are_measured_apart():
    network = nn.Conv2d(3, 3, (1, 9), padding=(0, 4), dilation=1)
    assert measure(network) == (0, 4)
    assert measure(nn.Conv2d(3, 3, (5, 1), padding=(4, 0), dilation=(2, 1))) == (4, 0)


class OneSided(nn.Module):
    """Looks 3 pixels up and 4 pixels to the right, or the other way round."""

    def __init__(self, turned: bool) -> None:
        super().__init__()
        self.turned, self.conv = turned, nn.Conv2d(3, 3, (4, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (4, 0, 0, 3) if self.turned else (0, 4, 3, 0)))


@pytest.mark.parametrize("turned", [False, True])
@torch.no_grad()
def test_the_further_side_counts(turned: bool):
    assert measure(OneSided(turned)) == (3, 4)


@torch.no_grad()
def test_the_remainder_of_the_size_counts():
    """Means of an odd number of pixels leave one out; the transposed convolution then shifts what comes back."""
    network = build_network(
        {"type": "UNet", "in_channels": 3, "out_channels": 3, "num_levels": 3, "base_features": 2, "down": "avgpool"}
    )
    reaches = [measure(network, 40 + rows, 41)[0] for rows in range(4)]
    assert len(set(reaches)) > 1
    assert measure(network, 40, 43)[1] == reaches[3], "rows and columns are treated alike"


class Strided(nn.Module):
    """A convolution at half size between two at full size: 1 + 2 x 1 and what a cell of 2 pixels rounds to."""

    multiple = 2

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv(3, 4, 3), nn.AvgPool2d(2, ceil_mode=True), conv(4, 4, 3), nn.Upsample(scale_factor=2), conv(4, 3, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)[..., : x.shape[-2], : x.shape[-1]]


@torch.no_grad()
def test_strides():
    # One pixel beyond the cell reaches the next one; one cell further at half size; one pixel at full size.
    assert measure(Strided(), 40, 50) == (5, 5)
    assert measure(Strided(), 41, 51) == (5, 5)


class Judged(nn.Module):
    """Mean of a branch that looks far; the image itself is left alone but for the mean."""

    def __init__(self, radius: int) -> None:
        super().__init__()
        self.branch, self.mean = conv(3, 3, 2 * radius + 1), GlobalMean()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mean(self.branch(x))


@torch.no_grad()
def test_means_end_the_reach_and_what_they_see_counts():
    assert measure(Judged(7)) == (7, 7)


@torch.no_grad()
def test_the_longest_path_of_a_network_with_exits():
    network = build_network({"type": "RBQE", "num_features": 4, "num_levels": 2})
    first, last, auto, all_exits = (measure(network, exit=exit) for exit in (0, 1, "auto", "all"))
    assert first < last == auto == all_exits


class Mean(nn.Module):
    """A mean that nobody can find."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean((2, 3), keepdim=True)


@torch.no_grad()
def test_unbounded_networks_are_recognized():
    assert measure(Mean()) is None


@torch.no_grad()
def test_measuring_prints_nothing_and_changes_nothing():
    network = build_network({"type": "DnCNN", "num_features": 4, "depth": 4, "batch_norm": True})
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measure(network)
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    assert torch.backends.mkldnn.enabled


class Every(nn.Module):
    """Strides, dilation, groups, padding by reflection, and one layer twice."""

    multiple = 4

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, (5, 3), dilation=(1, 2), padding=2, padding_mode="reflect")
        self.down = nn.Conv2d(4, 6, 4, stride=4)
        self.grouped = nn.Conv2d(6, 6, 3, padding=1, groups=3)
        self.again = conv(6, 6, 3)
        self.up = nn.ConvTranspose2d(6, 3, 6, stride=4, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.again(self.again(self.grouped(self.down(self.first(x)))))
        return x + fit(self.up(F.relu(y, inplace=True)), x)


@pytest.mark.parametrize("make", [Every, Strided, lambda: build_network({"type": "RBQE", "num_features": 4})])
@torch.no_grad()
def test_one_channel_in_the_place_of_all_changes_nothing(make: Any, monkeypatch: pytest.MonkeyPatch):
    network = make()
    thin = [measure(network, 40 + rest, 50 + rest) for rest in range(2)]
    monkeypatch.setattr(receptive, "_DENSE", ())
    assert thin == [measure(network, 40 + rest, 50 + rest) for rest in range(2)]
    assert None not in thin
    assert "forward" not in vars(next(module for module in network.modules() if isinstance(module, nn.Conv2d)))


class Apart(nn.Module):
    """A wide and a narrow convolution, and then each channel for itself: only the narrow one is given."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(3, 1, 9, padding=4), conv(3, 1, 3)
        self.each = nn.Conv2d(2, 2, 3, padding=1, groups=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.each(torch.cat([self.wide(x), self.narrow(x)], 1))[:, 1:]


@torch.no_grad()
def test_channels_that_do_not_meet_are_kept_apart():
    assert measure(Apart()) == (2, 2)
