"""net/drunet.py against a computation straight from the tensors of an official file, and how it is told the quality."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from powerqe.net import build_network, load_weights
from powerqe.net.export import export
from powerqe.utils.errors import UserError

WIDTHS, BLOCKS = (4, 6, 8, 10), 2
SMALL = {"type": "DRUNet", "widths": WIDTHS, "num_blocks": BLOCKS}
HALF = {"type": "DRUNet", "widths": (4, 6), "num_blocks": 1, "bias": True, "residual": True, "half_size": True}


def official_state() -> dict[str, Tensor]:
    """The tensors of an official file, in which every layer has its own place in one sequence."""
    generator, state = torch.Generator().manual_seed(1), {}

    def add(name: str, *shape: int) -> None:
        state[f"{name}.weight"] = 0.15 * torch.randn(shape, generator=generator)

    def add_blocks(stage: str, width: int, first: int) -> None:
        for number in range(first, first + BLOCKS):
            add(f"{stage}.{number}.res.0", width, width, 3, 3)
            add(f"{stage}.{number}.res.2", width, width, 3, 3)

    add("m_head", WIDTHS[0], 4, 3, 3)
    for level, (fine, coarse) in enumerate(pairwise(WIDTHS), start=1):
        add_blocks(f"m_down{level}", fine, 0)
        add(f"m_down{level}.{BLOCKS}", coarse, fine, 2, 2)
        add(f"m_up{level}.0", coarse, fine, 2, 2)
        add_blocks(f"m_up{level}", fine, 1)
    add_blocks("m_body", WIDTHS[-1], 0)
    add("m_tail", 3, WIDTHS[0], 3, 3)
    return state


def reference(x: Tensor, severity: float, state: dict[str, Tensor]) -> Tensor:
    """x (N, 3, multiple of 8, multiple of 8)."""

    def blocks(f: Tensor, stage: str, first: int) -> Tensor:
        for number in range(first, first + BLOCKS):
            inner = F.conv2d(f, state[f"{stage}.{number}.res.0.weight"], padding=1).relu()
            f = f + F.conv2d(inner, state[f"{stage}.{number}.res.2.weight"], padding=1)
        return f

    noise_map = torch.full_like(x[:, :1], severity)
    scales = [F.conv2d(torch.cat([x, noise_map], dim=1), state["m_head.weight"], padding=1)]
    for level in (1, 2, 3):
        f = blocks(scales[-1], f"m_down{level}", 0)
        scales.append(F.conv2d(f, state[f"m_down{level}.{BLOCKS}.weight"], stride=2))
    f = blocks(scales[3], "m_body", 0)
    for level in (3, 2, 1):
        f = F.conv_transpose2d(f + scales[level], state[f"m_up{level}.0.weight"], stride=2)
        f = blocks(f, f"m_up{level}", 1)
    return F.conv2d(f + scales[0], state["m_tail.weight"], padding=1)


def build(**options: Any) -> Any:
    torch.manual_seed(0)
    return build_network({**HALF, **options}).eval()


@pytest.fixture
def network(tmp_path: Path) -> Any:
    """With the weights of `official_state`."""
    torch.save(official_state(), tmp_path / "drunet.pth")
    network = build_network(SMALL)
    load_weights(network, tmp_path / "drunet.pth")
    return network.eval()


def images(height: int = 16, width: int = 24) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(2))


def test_names_are_those_of_the_official_file(network: Any) -> None:
    state = official_state()
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == {
        name: tensor.shape for name, tensor in state.items()
    }


@pytest.mark.parametrize(
    ("qf", "severity"), [(10, 0.9), (torch.tensor([75, 75]), 0.25), (None, 0.5), (-1, 0.5), (float("nan"), 0.5)]
)
@torch.no_grad()
def test_official_file(network: Any, qf: Any, severity: float) -> None:
    expected = reference(images(), severity, official_state())
    torch.testing.assert_close(network(images(), qf), expected, rtol=1e-4, atol=1e-5)
    assert (reference(images(), severity - 0.1, official_state()) - expected).abs().max() > 1e-3


@torch.no_grad()
def test_each_image_has_its_own_quality(network: Any) -> None:
    together = network(images(), torch.tensor([10, -1]))
    for number, qf in enumerate((10, None)):
        alone = network(images()[number : number + 1], qf)
        torch.testing.assert_close(together[number : number + 1], alone, rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 20), st.integers(1, 20), st.booleans())
@torch.no_grad()
def test_other_sizes_are_padded_with_their_last_rows_and_columns(height: int, width: int, half_size: bool) -> None:
    network = build(half_size=half_size)
    assert network.multiple == (4 if half_size else 2)
    x = images(height, width)
    rows, columns = (
        torch.arange(-(-size // network.multiple) * network.multiple).clamp(max=size - 1) for size in (height, width)
    )
    expected = network(x[:, :, rows][..., columns], 20)[..., :height, :width]
    torch.testing.assert_close(network(x, 20), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_half_size_is_the_network_on_blocks_of_pixels() -> None:
    """The same layers at full size, on 12 channels, and a map of one channel only."""
    half = build(residual=False)
    full = build(in_channels=12, residual=False, half_size=False)
    full.load_state_dict(half.state_dict())
    expected = F.pixel_shuffle(full(F.pixel_unshuffle(images(), 2), 30), 2)
    torch.testing.assert_close(half(images(), 30), expected, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_starts_as_nearly_the_identity_where_the_input_is_added() -> None:
    x = images()
    assert 0 < (build()(x) - x).abs().max() < 0.1
    assert (build(residual=False)(x) - x).abs().max() > 0.3


@pytest.mark.parametrize("half_size", [False, True])
@pytest.mark.parametrize("quality_map", [False, True])
def test_bfloat16_in_channels_last_trains_and_adds_in_float32(half_size: bool, quality_map: bool) -> None:
    """What the image has beyond bfloat16's 8 bits is still there after the network."""
    network = build(half_size=half_size, widths=(8, 16), quality_map=quality_map)
    network.to(memory_format=torch.channels_last).train()
    x = images().contiguous(memory_format=torch.channels_last)
    layouts = []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(
                lambda _, taken, y: layouts.append((y.dtype, taken[0].is_contiguous(memory_format=torch.channels_last)))
            )
    with torch.autocast("cpu", torch.bfloat16):
        y = network(x)
    assert set(layouts) == {(torch.bfloat16, True)}
    assert y.dtype == torch.float32
    y.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    with torch.no_grad():
        for parameter in network.m_tail.parameters():
            parameter.zero_()
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(network(x), x)


@torch.no_grad()
def test_one_scale() -> None:
    network = build(widths=(4,), half_size=False)
    assert network.multiple == 1
    assert network(images(1, 3)).shape == (2, 3, 1, 3)


@pytest.mark.parametrize(
    ("qf", "message"),
    [
        (101, r"DRUNet.*\[101\.0\]"),
        (-2, r"\[-2\.0\].*0 to 100"),
        ("low", "found qf 'low'"),
        (torch.ones(3), r"3 values.*2 images"),
    ],
)
def test_quality_factors_that_do_not_exist(network: Any, qf: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        network(images(), qf)


def test_a_blind_network_takes_no_quality() -> None:
    network = build(quality_map=False)
    assert network.conditioning == {}
    with pytest.raises(UserError, match=r"DRUNet.*qf.*quality_map"):
        network(images(), 10)


@pytest.mark.slow
def test_onnx_file_takes_a_quality_if_the_network_does(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    network = build()
    written = export(network, tmp_path / "told.onnx")
    assert written.optional == ("qf",)
    session = onnxruntime.InferenceSession(written.path, providers=["CPUExecutionProvider"])
    x = images(7, 9)
    for qf in (None, 10.0):
        fed = {} if qf is None else {"qf": np.full((2, 1), qf, np.float32)}
        (found,) = session.run(None, {"x": x.numpy(), **fed})
        np.testing.assert_allclose(found, network(x, qf).detach(), rtol=1e-4, atol=1e-5)
    blind = export(build(quality_map=False), tmp_path / "blind.onnx")
    assert list(blind.inputs) == ["x"]
