"""net/qgcn.py: outputs of the authors' code, the same from plain operations, the tables' place, the small image."""

import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage.transform import resize
from torch import Tensor, nn

from powerqe.net import build_network, load_weights
from powerqe.net.qgcn import QCN, QGCN, Thumbnail
from powerqe.utils.codecs.jpeg_tables import quant_tables, read_tables
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import validate_component

SMALL = {"QCN": {"num_features": 6, "num_blocks": 3}, "QGCN": {"num_blocks": 4}}

both = pytest.mark.parametrize("name", ["QCN", "QGCN"])


def small(name: str, **arguments: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_network({"type": name, **SMALL[name], **arguments}).eval()


def images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def tables(quality: int = 20, channels: int = 3, batch: int = 1) -> Tensor:
    return torch.from_numpy(quant_tables(quality, channels)).expand(batch, -1, -1, -1)


def reference(name: str, state: dict[str, Tensor], x: Tensor, thumbnail: Tensor | None = None) -> Tensor:
    """The network from its published description, in [-1, 1]; x has the maps already."""

    def conv(key: str, y: Tensor, stride: int = 1) -> Tensor:
        weight = state[f"{key}.weight"]
        return F.conv2d(y, weight, state.get(f"{key}.bias"), stride, padding=1)

    def blocks(key: str, y: Tensor) -> Tensor:
        for index in range(sum(k.startswith(f"{key}.") for k in state) // 2):
            y = y + 0.1 * conv(f"{key}.{index}.conv2", conv(f"{key}.{index}.conv1", y).relu())
        return y

    skip = conv("conv_input", x)
    half = conv("downscale.0", skip, 2).relu()
    if name == "QCN":
        y = F.pixel_shuffle(conv("upscale.0", conv("conv_mid", blocks("residual", half))), 2)
        return conv("conv_output", y + skip)
    assert thumbnail is not None
    seen = thumbnail
    for layer, stride in zip(range(0, 16, 2), (2, 1) * 4, strict=True):
        seen = conv(f"conv_global.{layer}", seen, stride).relu()
    for layer in (0, 2):
        seen = seen.flatten(1) @ state[f"conv_global_l.{layer}.weight"].T + state[f"conv_global_l.{layer}.bias"]
        seen = seen.relu() if layer == 0 else seen
    y = half + blocks("residual1", half)
    y = torch.cat([y, seen[:, :, None, None] + torch.zeros_like(y)], dim=1)
    y = conv("conv_res_mid", y).relu()
    y = conv("conv_mid", y + blocks("residual2", y))
    return conv("conv_output", F.pixel_shuffle(conv("upscale.0", y), 2))


def maps(values: Tensor, height: int, width: int) -> Tensor:
    """Each pixel's step, from its place in the image, in [-1, 1]."""
    rows, columns = torch.arange(height)[:, None] % 8, torch.arange(width) % 8
    return values[:, :, rows, columns] / 255 * 2 - 1


# --------------------------------------------------------------------------- the authors' code


@both
@torch.no_grad()
def test_recorded_outputs(name: str, tmp_path: Path, root: Path) -> None:
    file = np.load(root / f"tests/data/{name.lower()}.npz")
    recorded = {key: value for key, value in file.items() if value.dtype.kind in "fu"}
    state = {key[3:]: torch.from_numpy(value) for key, value in recorded.items() if key.startswith("sd/")}
    torch.save(state, tmp_path / "official.pt")
    sizes = {"QCN": {"num_features": 16, "num_blocks": 4}, "QGCN": {"num_blocks": 2}}
    network = build_network({"type": name, **sizes[name]})
    load_weights(network, tmp_path / "official.pt")

    image = torch.from_numpy(recorded["decoded"]).permute(2, 0, 1)[None] / 255
    steps = torch.from_numpy(read_tables(recorded["jpeg_bytes"].tobytes()))[None]
    x, y = torch.from_numpy(recorded["x"]), torch.from_numpy(recorded["y"])
    torch.testing.assert_close(torch.cat([2 * image - 1, maps(steps, *image.shape[2:])], dim=1), x)
    torch.testing.assert_close(2 * network(image, steps) - 1, y, rtol=1e-4, atol=2e-5)

    seen = torch.from_numpy(recorded["x_global"]) if name == "QGCN" else None
    torch.testing.assert_close(reference(name, state, x, seen), y, rtol=1e-4, atol=2e-5)
    if isinstance(network, QGCN) and seen is not None:
        torch.testing.assert_close(2 * network.thumbnail(image) - 1, seen, rtol=0, atol=2e-6)
        torch.testing.assert_close(2 * network(image, steps, (seen + 1) / 2) - 1, y, rtol=1e-4, atol=2e-5)


@both
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 24), (13, 19)])
@torch.no_grad()
def test_as_described(name: str, channels: int, size: tuple[int, int]) -> None:
    network = small(name, in_channels=channels)
    for parameter in network.parameters():  # biases, too
        parameter += 0.02 * torch.randn_like(parameter)
    x, steps = images(2, channels, *size), torch.cat([tables(10, channels), tables(60, channels)])
    height, width = (-(-length // 8) * 8 for length in size)
    padded = F.pad(x, (0, width - size[1], 0, height - size[0]), mode="replicate")
    seen = None
    if name == "QGCN":
        resized = [resize(image.permute(1, 2, 0).double().numpy(), (112, 112), order=3) for image in padded]
        seen = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float() * 2 - 1
    expected = reference(name, network.state_dict(), torch.cat([2 * padded - 1, maps(steps, height, width)], 1), seen)
    expected = (expected[..., : size[0], : size[1]] + 1) / 2
    scale = float(expected.abs().max())
    torch.testing.assert_close(network(x, steps), expected, rtol=1e-4, atol=1e-5 * scale)


class Upstream(nn.Module):
    """A module of any structure, with the parameters of a state dict."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        for key, tensor in state.items():
            *path, name = key.split(".")
            module: nn.Module = self
            for part in path:
                module.add_module(part, getattr(module, part, nn.Module()))
                module = module.get_submodule(part)
            module.register_parameter(name, nn.Parameter(tensor))


@both
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@torch.no_grad()
def test_official_checkpoint(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dict with the module itself, of a class that is not here, as PyTorch of 2020 wrote it."""
    source, target = small(name), small(name)
    for parameter in target.parameters():
        parameter += 1
    with monkeypatch.context() as there:
        there.setitem(sys.modules, "upstream", ModuleType("upstream"))
        there.setattr(sys.modules["upstream"], "Upstream", Upstream, raising=False)
        there.setattr(Upstream, "__module__", "upstream")
        stored = {"epoch": 50, "model": Upstream(source.state_dict()), "opt": Namespace(n_feats=64, cuda=True)}
        torch.save(stored, tmp_path / "official.pth", _use_new_zipfile_serialization=False)
    load_weights(target, tmp_path / "official.pth")
    torch.testing.assert_close(target.state_dict(), source.state_dict(), rtol=0, atol=0)


def test_start_of_the_weights() -> None:
    """Normal, of the variance 2 / (area of the kernel x output channels); biases 0, linear layers as PyTorch's."""
    network = small("QGCN").requires_grad_(False)
    spread = network.get_submodule("conv_res_mid").get_parameter("weight").std()
    assert float(spread) == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)
    assert float(network.get_submodule("downscale.0").get_parameter("weight").std()) == pytest.approx(
        (2 / (16 * 64)) ** 0.5, rel=0.02
    )
    assert not any(p.any() for key, p in network.named_parameters() if key.endswith("bias") and "global_l" not in key)
    assert float(network.get_submodule("conv_global_l.0").get_parameter("weight").abs().max()) <= 6272**-0.5


# --------------------------------------------------------------------------- the tables


@both
@torch.no_grad()
def test_tables_matter_and_are_anchored_at_the_top_left(name: str) -> None:
    network, x = small(name), images(1, 3, 16, 16)
    whole = network(x, tables(20))
    for changed in (tables(21), tables(20).flip(1), tables(20).transpose(2, 3) + torch.arange(8.0)):
        assert not torch.allclose(network(x, changed), whole, atol=1e-4)
    assert type(network).multiple == 8  # pyright: ignore[reportAttributeAccessIssue]


@torch.no_grad()
def test_a_tile_that_begins_at_a_multiple_sees_the_same_maps() -> None:
    network, x = small("QCN", num_blocks=1), images(1, 3, 80, 72)
    inside = network(x, tables())[..., 40:56, 32:48]  # away from the edges, which differ
    torch.testing.assert_close(network(x[..., 16:, 8:], tables())[..., 24:40, 24:40], inside, rtol=0, atol=1e-5)
    between, moved = x[..., 12:, 10:], tables().roll((-4, -2), dims=(2, 3))
    torch.testing.assert_close(network(between, moved)[..., 28:44, 22:38], inside, rtol=0, atol=1e-5)
    assert not torch.allclose(network(between, tables())[..., 28:44, 22:38], inside, atol=1e-3)


@both
@pytest.mark.parametrize(
    ("channels", "shape"), [(3, (1, 1, 8, 8)), (3, (2, 2, 8, 8)), (3, (2, 8, 8)), (1, (1, 2, 8, 8)), (3, (1, 2, 8, 4))]
)
def test_tables_of_another_shape(name: str, channels: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=rf"{name}.*{shape[0]}.*1"):
        small(name, in_channels=channels)(images(1, channels, 8, 8), torch.ones(shape))


# --------------------------------------------------------------------------- the image at 112 x 112


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 3), st.integers(0, 2**32 - 1))
@example(height=63, width=1, channels=3, seed=0)  # 512 x 8
@example(height=14, width=14, channels=1, seed=0)  # as large already
@example(height=14, width=38, channels=1, seed=0)
def test_thumbnail_is_scikit_images(height: int, width: int, channels: int, seed: int) -> None:
    inputs = np.random.default_rng(seed).integers(0, 256, (2, 8 * height, 8 * width, channels), dtype=np.uint8)
    inputs[1] //= 2  # another largest value
    expected = np.stack([resize(image, (112, 112), order=3) for image in inputs])
    found = Thumbnail()(torch.from_numpy(inputs).permute(0, 3, 1, 2) / 255)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), expected, rtol=0, atol=3e-6)


def test_thumbnail_of_other_sizes_is_of_what_the_network_sees() -> None:
    x = images(1, 3, 19, 33)
    padded = F.pad(x, (0, 7, 0, 5), mode="replicate")
    assert torch.equal(Thumbnail()(x), Thumbnail()(padded))
    assert Thumbnail.sees_whole_image


def test_thumbnail_in_inference_autocast_and_training() -> None:
    x, network = images(1, 3, 88, 152), Thumbnail()  # a size that no other test has
    with torch.inference_mode():
        before = network(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network(x), before)
    x.requires_grad_()
    network(x).sum().backward()
    assert x.grad is not None
    assert x.grad.any()


@torch.no_grad()
def test_given_thumbnail_takes_the_place_of_the_own() -> None:
    network, x = small("QGCN"), images(2, 3, 24, 40)
    assert isinstance(network, QGCN)
    own = network(x, tables(batch=2))
    assert torch.equal(network(x, tables(batch=2), network.thumbnail(x)), own)
    other = network(x, tables(batch=2), torch.stack([network.thumbnail(x)[0], images(3, 112, 112)]))
    torch.testing.assert_close(other[0], own[0], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(other[1], own[1], atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 3, 112, 111), (1, 3, 64, 64), (1, 1, 112, 112), (2, 3, 112, 112)])
def test_thumbnail_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"QGCN.*1, 3, 112, 112"):
        small("QGCN")(images(1, 3, 16, 16), tables(), torch.zeros(shape))


def test_options() -> None:
    with pytest.raises(UserError, match="num_blocks 3"):
        QGCN(num_blocks=3)
    for wrong in ({"in_channels": 2}, {"num_blocks": 0}):
        for network in (QCN, QGCN):
            with pytest.raises(UserError, match=next(iter(wrong))):
                validate_component("network", {"type": network.__name__, **wrong})
