"""Rows of networks of which the figures are known."""

import pytest
import torch
from torch import Tensor, nn

from powerqe.net import NETWORKS, build_network
from powerqe.net.blocks import conv
from powerqe.net.example import example_inputs
from powerqe.net.measure.live_memory import LiveMemory
from powerqe.net.table import rows
from powerqe.net.table.configurations import NetworkConfiguration
from powerqe.net.table.rows import Conditions, NetworkRow, measured

CPU = torch.device("cpu")
STATIC = Conditions(32, 48, CPU, timing=False)


def row(conditions: Conditions = STATIC, **spec) -> NetworkRow:
    return measured(NetworkConfiguration("some", spec), conditions)


@pytest.mark.parametrize(
    ("spec", "image", "parameters", "sight", "field"),
    [
        ({"type": "ARCNN"}, "RGB", 20_099, "", 13),
        ({"type": "DnCNN", "in_channels": 1, "out_channels": 1}, "luma", 38_145, "", 35),
        ({"type": "EDSR", "num_blocks": 2, "scale": 3}, "RGB, x3", 520_539, "", 17),
        ({"type": "MDSR", "num_blocks": 1, "scales": (4, 2)}, "RGB, x4", 1_377_179, "", 29),
        # To each side 6 at half size, 1 to get there, 1 before and 1 after; the stride counts 8.
        ({"type": "QCN", "num_blocks": 2}, "RGB", 402_176, "", 38),
        ({"type": "MFQE"}, "3 frames of luma", 255_422, "motion", None),
        ({"type": "STDF", "radius": 1}, "3 frames of luma", 329_842, "motion", None),
        ({"type": "NonLocalDeblock"}, "RGB", 916, "whole", None),
        ({"type": "RBQE", "num_levels": 2}, "RGB, 2 results", 743_594, "whole", 50),
        ({"type": "VGGDiscriminator"}, "RGB 128x128, a number", 3_946_433, "whole", None),
    ],
)
def test_what_is_known_without_a_clock(spec, image, parameters, sight, field) -> None:
    found = row(**spec)
    assert not found.problem
    assert (found.image, found.parameters, found.sight, found.field) == (image, parameters, sight, field)
    assert found.kmacs
    assert found.memory
    assert found.milliseconds is None


@pytest.mark.parametrize("spec", [{"type": "DnCNN"}, {"type": "STDF", "radius": 1}, {"type": "RCAN", "num_groups": 1}])
@torch.no_grad()
def test_memory_is_that_of_a_real_call(spec) -> None:
    network = build_network(spec).eval()
    positional, named = example_inputs(network, 32, 48)
    network(*positional, **named)
    with LiveMemory() as live:
        network(*positional, **named)
    assert row(**spec).memory == live.peak


def test_time() -> None:
    found = row(Conditions(16, 16, CPU, runs=3), type="ARCNN")
    assert found.milliseconds
    assert found.runs == 3


def test_what_does_not_fit_is_not_tried(monkeypatch) -> None:
    monkeypatch.setattr(rows, "available_memory", lambda: 1 << 20)
    found = row(Conditions(128, 128, CPU), type="DnCNN")
    assert found.problem == "not timed: feature maps need 0.0 GiB, 0.0 GiB are free"
    assert found.kmacs
    assert found.milliseconds is None


class Failing(nn.Module):
    """Asks for memory or for something that nobody has an example of, or has a defect."""

    def __init__(self, *, error: str = "") -> None:
        super().__init__()
        self.layer, self.error = conv(3, 3, 3), error

    def forward(self, x: Tensor) -> Tensor:
        if type(x) is Tensor and self.error:
            raise RuntimeError(self.error)
        return self.layer(x)


class Asking(Failing):
    def forward(self, x: Tensor, weather: Tensor) -> Tensor:
        return x


class HiddenMean(Failing):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean((2, 3), keepdim=True)


@pytest.fixture
def failing(monkeypatch) -> None:
    NETWORKS.names()
    for network in (Failing, Asking, HiddenMean):
        monkeypatch.setitem(NETWORKS._entries, network.__name__, network)


@pytest.mark.usefixtures("failing")
def test_a_network_that_fails_is_a_row_with_the_reason() -> None:
    found = row(type="Failing", error="DefaultCPUAllocator: can't allocate memory")
    assert found.problem == "out of memory"
    assert found.kmacs == 0.081
    asking = row(type="Asking")
    assert "requires 'weather'" in asking.problem
    assert asking.parameters == 84


@pytest.mark.usefixtures("failing")
def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        row(type="Failing", error="shapes")


@pytest.mark.usefixtures("failing")
def test_undeclared_means_are_found() -> None:
    found = row(type="HiddenMean")
    assert (found.sight, found.field, found.kmacs) == ("whole", None, 0)
