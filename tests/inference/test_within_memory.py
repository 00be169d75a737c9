import math

import pytest
import torch
from torch import nn

from powerqe.inference.within_memory import MARGIN, WithinMemory
from powerqe.net import build_network
from powerqe.net.blocks import conv
from powerqe.net.measure.live_memory import LiveMemory
from powerqe.net.weights import spec

pytestmark = pytest.mark.slow


class Wide(nn.Module):
    """A wide layer between two narrow ones; it remembers the largest image that it saw."""

    def __init__(self, limit=math.inf):
        super().__init__()
        self.layers = nn.Sequential(conv(3, 32, 3), nn.ReLU(), conv(32, 3, 3))
        self.limit, self.seen = limit, []

    def forward(self, x):
        self.seen.append(x.shape[-2] * x.shape[-1])
        if self.seen[-1] > self.limit and self.seen[-1] != 128 * 128:  # which is measured
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return x + self.layers(x)


def make_image(height=200, width=300):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("bound", [3 << 20, 5 << 20, 9 << 20])
@torch.inference_mode()
def test_maps_stay_within_the_bound_and_the_result_is_the_same(bound):
    network, whole = Wide().eval(), make_image()
    expected = network(whole)
    with LiveMemory() as unbounded:
        network(whole)
    assert unbounded.peak > 9 << 20
    call = WithinMemory(network, bound)
    call(make_image(16, 16))  # measured and kept
    network.seen.clear()
    with LiveMemory() as live:
        result = call(whole)
    assert live.peak <= bound  # with the result, which has less than the margin
    assert call.size is not None
    assert max(network.seen) * MARGIN * 4 * 64 > bound / 2  # not smaller than need be
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


@torch.inference_mode()
def test_what_fits_is_seen_as_a_whole():
    network = Wide().eval()
    call = WithinMemory(network, 1 << 30)
    torch.testing.assert_close(call(make_image()), network(make_image()), rtol=0, atol=0)
    assert network.seen.count(200 * 300) == 2
    assert call.size is None
    panorama = make_image(8, 6000)
    call(panorama)
    assert network.seen[-1] == 8 * 6000


@torch.inference_mode()
def test_out_of_memory_halves_tiles_and_later_ones_are_planned_for_less():
    network = Wide(limit=120 * 120).eval()
    call = WithinMemory(network, 1 << 30)
    expected = make_image() + network.layers(make_image())
    torch.testing.assert_close(call(make_image()), expected, rtol=0, atol=1e-6)
    failed = sum(seen > network.limit for seen in network.seen)
    network.seen.clear()
    call(make_image())
    assert 1 < failed < 5
    assert max(network.seen) < 200 * 300


@torch.inference_mode()
def test_a_side_that_is_given_is_taken():
    network = Wide().eval()
    call = WithinMemory(network, 1, tile=64)
    expected = make_image() + network.layers(make_image())
    torch.testing.assert_close(call(make_image()), expected, rtol=0, atol=1e-6)
    assert call.size == 64
    assert max(network.seen) < 80 * 80


@torch.inference_mode()
def test_a_network_that_sees_the_whole_image(weights):
    network = build_network(spec(weights("fbcnn"))).eval()
    call, large = WithinMemory(network, 1 << 20), make_image(96, 1400)
    call(make_image(8, 8))
    call.bound = call.needs(96 * 1400) * 2 // 3
    result, qf = call(large)
    expected, expected_qf = network(large)
    assert call.size is not None
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(qf, expected_qf, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", ["fbcnn", "qgcn"])
@torch.inference_mode()
def test_odd_sides_are_seen_as_a_whole_by_networks_that_need_multiples(weights, name):
    network = build_network(spec(weights(name))).eval()
    named = {"tables": torch.full((1, 2, 8, 8), 20.0)} if name == "qgcn" else {}
    call = WithinMemory(network, 1 << 30)
    result, expected = call(make_image(61, 83), **named), network(make_image(61, 83), **named)
    torch.testing.assert_close(result, expected, rtol=0, atol=0)
    assert call.size is None


@torch.inference_mode()
def test_smallest_tiles_where_nothing_fits():
    network = Wide().eval()
    network.multiple = 64
    call = WithinMemory(network, 1)
    torch.testing.assert_close(call(make_image()), make_image() + network.layers(make_image()), rtol=0, atol=1e-6)
    assert call.size == 128


@torch.inference_mode()
def test_clips_of_a_network_that_follows_motion(weights):
    """Near the whole frame's result, and within the bound."""
    network = build_network(spec(weights("stdf"))).eval()
    clip = torch.rand(1, 3, 1, 320, 448, generator=torch.Generator().manual_seed(0))
    call, bound = WithinMemory(network, 1 << 33), 24 << 20
    assert not call.exact
    expected = call(clip)
    torch.testing.assert_close(expected, network(clip), rtol=0, atol=0)
    assert call.needs(320 * 448) > bound
    call.bound = bound
    with LiveMemory() as live:
        result = call(clip)
    assert call.size is not None
    assert live.peak <= bound
    assert (result - expected).abs().mean() < 1e-3
