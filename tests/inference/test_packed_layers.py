"""Networks whose layers are packed give what they give otherwise."""

import copy
import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from powerqe.inference import packed_layers
from powerqe.inference.packed_layers import FastForward, pack_layers
from powerqe.inference.tiled import Tiled
from powerqe.net import build_network
from powerqe.net.blocks import GlobalMean, ResidualBlock
from powerqe.net.example import example_inputs
from powerqe.net.forward_inputs import results
from powerqe.net.measure.live_memory import LiveMemory

SMALL: list[dict[str, Any]] = [
    {"type": "ARCNN", "hidden_channels": [8, 4], "residual": True},
    {"type": "DnCNN", "num_features": 8, "depth": 3, "batch_norm": True},
    {"type": "DCAD", "num_features": 8, "num_blocks": 2},
    {"type": "CBDNet", "estimator_features": 4, "num_levels": 2, "base_features": 4},
    {"type": "FBCNN", "num_features": [4, 4, 6, 8], "num_blocks": 1, "hidden_features": 4},
    {"type": "EDSR", "scale": 2, "num_features": 8, "num_blocks": 1, "res_scale": 0.5},
    {"type": "SRCNN", "scale": 2, "num_features": 8, "activation": "prelu"},
    {"type": "SRCNN", "upsampling": "tail", "num_features": 8, "num_blocks": 1, "activation": "leaky_relu"},
    {"type": "RBQE", "num_features": 4, "num_levels": 2},
    {"type": "RBQE", "num_features": 4, "num_levels": 2, "separable": True, "up": "nearest", "down": "avgpool"},
    {"type": "QGCN", "num_features": 4, "num_blocks": 2, "global_features": [2, 2, 2, 2], "hidden_features": 4},
    {"type": "DRUNet", "widths": [4, 8], "num_blocks": 1, "half_size": True},
    {"type": "RCAN", "num_features": 8, "num_groups": 1, "num_blocks": 1, "reduction": 4},
    {"type": "STDF", "radius": 1, "fusion_features": 8, "num_features": 8, "enhance_features": 8, "enhance_layers": 3},
    {"type": "MFQE"},
]
NAMES = [f"{number} {spec['type']}" for number, spec in enumerate(SMALL)]
on_x86 = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"), reason="for x86 processors only"
)


def network_of(spec: dict[str, Any]) -> nn.Module:
    """With random weights, away from the identity at which some begin."""
    torch.manual_seed(0)
    network = build_network(spec).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return network


def images_of(network: nn.Module, height: int = 21, width: int = 34, batch: int = 1) -> list[Tensor]:
    positional, named = example_inputs(network, height, width, batch)
    return results(network(*positional, **named))


@on_x86
@pytest.mark.parametrize("spec", SMALL, ids=NAMES)
@pytest.mark.parametrize("batch", [1, 2])
@torch.inference_mode()
def test_the_same_results(spec: dict[str, Any], batch: int) -> None:
    network = network_of(spec)
    expected = images_of(network, batch=batch)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = images_of(network, batch=batch)
    pack_layers(network)
    for found, right in zip(images_of(network, batch=batch), expected, strict=True):
        assert found.dtype == right.dtype
        torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        found = images_of(network, batch=batch)[0].float()
    error, allowed = ((image.float() - expected[0]).square().mean() for image in (found, rounded[0]))
    assert error <= 1.5 * allowed + 1e-7  # as much as PyTorch's own layers lose, or 70 dB


def layers() -> list[nn.Module]:
    """Of which some are computed another way, with edges that fit and edges that do not."""
    few = [
        nn.Conv2d(5, channels, size, padding=zeros, bias=bool(zeros))
        for channels, size, zeros in [(3, 3, 1), (1, 5, 2), (1, 3, 0), (4, (3, 5), (2, 1)), (3, 9, 4)]
    ]
    transposed = [
        nn.ConvTranspose2d(5, 4, size, stride, zeros)
        for size, stride, zeros in [(3, 2, 1), (3, 2, 0), (5, 2, 2), (5, 3, 1), (2, 2, 0), (4, 2, 1)]
    ]
    others = [
        nn.Conv2d(5, 8, 3, stride=2, dilation=2),
        nn.Conv2d(5, 5, 3, groups=5),
        nn.Conv2d(5, 2, 3, padding="same"),
        nn.Conv2d(5, 2, 3, padding=1, padding_mode="reflect"),
        nn.ConvTranspose2d(5, 4, 3, stride=2, padding=1, output_padding=1),
        nn.Sequential(nn.Conv2d(5, 3, 3), nn.ReLU(), nn.ReLU(), nn.Conv2d(3, 8, 1), nn.ReLU()),
        nn.PReLU(5, init=0.1),
        nn.PReLU(5, init=1.5),
        ResidualBlock(5, scale=0.1),
        GlobalMean(),
    ]
    return [*few, *transposed, *others]


@on_x86
@pytest.mark.parametrize("number", range(len(layers())))
@torch.inference_mode()
def test_layers(number: int) -> None:
    torch.manual_seed(0)
    layer = layers()[number]
    images = [torch.randn(2, 5, height, width) for height, width in [(7, 9), (8, 8), (9, 10)]]
    expected = [layer(image) for image in images]
    low = [layer(image.bfloat16().float()) for image in images]
    pack_layers(layer)
    for image, right, rounded in zip(images, expected, low, strict=True):
        torch.testing.assert_close(layer(image), right, rtol=1e-5, atol=1e-5)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(layer(image.bfloat16()).float(), rounded, rtol=0.05, atol=0.05)


@on_x86
@torch.inference_mode()
def test_where_onednn_has_no_bfloat16_layers_are_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_layers, "_types", lambda: (torch.float32,))
    network = network_of(SMALL[11])
    with torch.autocast("cpu", torch.bfloat16):
        expected = images_of(network)[0]
        pack_layers(network)
        torch.testing.assert_close(images_of(network)[0], expected, rtol=0, atol=0)


@on_x86
@torch.inference_mode()
def test_weights_of_a_single_image_go_with_their_convolution() -> None:
    """FBCNN makes its convolutions anew for each image; in a circle they would stay until garbage is collected."""
    conv = packed_layers._packed(nn.Conv2d(3, 8, 3))
    conv(torch.rand(1, 3, 9, 9))
    gone = weakref.ref(conv)
    gc.disable()
    try:
        del conv
        assert gone() is None
    finally:
        gc.enable()


@on_x86
def test_where_gradients_are_wanted_layers_are_their_own() -> None:
    network = network_of(SMALL[0])
    pack_layers(network)
    assert isinstance(network.get_submodule("layers").forward, FastForward)
    images_of(network)[0].sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@on_x86
@pytest.mark.parametrize("number", [0, 4, 8, 11])
@torch.inference_mode()
def test_tiles_and_memory(number: int) -> None:
    network = network_of(SMALL[number])
    packed = copy.deepcopy(network)
    pack_layers(packed)
    positional, named = example_inputs(network, 96, 150)
    whole = results(network(*positional, **named))[0]
    tiled = results(Tiled(packed, 32)(*positional, **named))[0]
    torch.testing.assert_close(tiled, whole, rtol=1e-5, atol=1e-5)
    with LiveMemory() as live:
        packed(*positional, **named)
    assert live.peak > whole.nbytes


@on_x86
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("layer", [nn.Conv2d(256, 256, 3, padding=1), nn.ConvTranspose2d(256, 128, 2, 2)], ids=repr)
@torch.inference_mode()
def test_weights_are_packed_once_for_images_of_one_size(
    layer: nn.Module, threads: int, capfd: pytest.CaptureFixture[str]
) -> None:
    network, before = nn.Sequential(layer).eval(), torch.get_num_threads()
    pack_layers(network)
    torch.set_num_threads(threads)
    try:
        for size in (16, 33):
            image = torch.randn(1, 256, size, size).contiguous(memory_format=torch.channels_last)
            network(image)
            capfd.readouterr()
            with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
                network(image)
            computed = [line for line in capfd.readouterr().out.splitlines() if ",exec," in line]
            assert len(computed) == 1, computed
            assert "convolution" in computed[0]
    finally:
        torch.set_num_threads(before)
