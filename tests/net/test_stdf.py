"""net/stdf.py against recorded outputs of STDF-PyTorch, and its clips."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from powerqe.net import build_network, load_weights
from powerqe.net.stdf import STDF
from powerqe.utils.errors import UserError

RECORDED = np.load(Path(__file__).parents[1] / "data/stdf_r1.npz")
CONFIG = json.loads(str(RECORDED["__config__"]))


def official_state() -> dict[str, Tensor]:
    return {name[3:]: torch.from_numpy(RECORDED[name]).float() for name in RECORDED if name.startswith("sd/")}


def recorded_clip() -> Tensor:
    return torch.from_numpy(RECORDED["x_u8"])[:, :, None].double() / 255


def small(**arguments: int) -> STDF:
    torch.manual_seed(0)
    sizes = {"radius": 1, "fusion_features": 6, "num_features": 4, "enhance_features": 4, "enhance_layers": 3}
    return STDF(**{**sizes, **arguments}).eval()


@pytest.fixture
def network(tmp_path: Path) -> STDF:
    """With the weights of an official checkpoint of several GPUs."""
    state = {f"module.{name}": tensor for name, tensor in official_state().items()}
    adam = {"state": {}, "param_groups": [{"lr": 1e-4}]}
    torch.save({"num_iter_accum": 5000, "state_dict": state, "optimizer": adam}, tmp_path / "ckp_5000.pt")
    network = STDF(radius=1)
    load_weights(network, tmp_path / "ckp_5000.pt")
    return network.eval()


@torch.no_grad()
def test_recorded_outputs(network: STDF) -> None:
    expected = torch.from_numpy(RECORDED["y64"])
    torch.testing.assert_close(network(recorded_clip().float()).double(), expected, rtol=0, atol=2e-6)
    torch.testing.assert_close(network.double()(recorded_clip()), expected, rtol=0, atol=1e-12)


def test_recorded_gradients(network: STDF) -> None:
    difference = network.double()(recorded_clip()) - torch.from_numpy(RECORDED["gt"])
    loss = (difference.square() + 1e-6).sqrt().mean()
    loss.backward()
    assert loss.item() == pytest.approx(CONFIG["loss64"], rel=1e-6)  # gt is recorded in float32
    found = {name: float(p.grad.norm()) for name, p in network.named_parameters() if p.grad is not None}
    expected = {network.upstream_name(name): norm for name, norm in CONFIG["grad_l2_norm64"].items()}
    assert found == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def test_sizes_are_continued_by_the_last_row_and_column() -> None:
    network, clip = small(), torch.rand(2, 3, 1, 11, 21)
    rows, columns = torch.arange(16).clamp(max=10), torch.arange(24).clamp(max=20)
    expected = network(clip[..., rows, :][..., columns])[..., :11, :21]
    torch.testing.assert_close(network(clip), expected, rtol=0, atol=0)


@torch.no_grad()
def test_channels_come_before_frames() -> None:
    """The order in which the authors' weights expect components; with one it does not show."""
    network, clip = small(in_channels=2, out_channels=2), torch.rand(1, 3, 2, 8, 8)
    planes = torch.stack([clip[:, frame, channel] for channel in range(2) for frame in range(3)], 1)
    fused = network.fuse(planes, *network.offsets(planes)).relu()
    assert planes.shape == (1, 6, 8, 8)
    assert torch.equal(network(clip), clip[:, 1] + network.enhance(fused))


@torch.no_grad()
def test_only_frames_of_the_clip_differ() -> None:
    """Each frame has its part in the result, and one further away than the center is not added to it."""
    network, clip = small(radius=2), torch.rand(1, 5, 1, 16, 16)
    for frame in range(5):
        changed = clip.clone()
        changed[:, frame] += 1
        difference = (network(changed) - network(clip)).mean()
        assert difference.abs() > 1e-5
        assert (difference > 0.5) == (frame == 2)


@pytest.mark.parametrize(("arguments", "names"), [({}, 46), ({"num_levels": 4, "enhance_layers": 16}, 70)])
def test_names_of_the_official_file(arguments: dict[str, int], names: int) -> None:
    with torch.device("meta"):
        network = build_network({"type": "STDF", **arguments})
    levels, layers = arguments.get("num_levels", 3), arguments.get("enhance_layers", 8)
    parts = ["ffnet.in_conv.0", "ffnet.out_conv.0", "ffnet.offset_mask", "ffnet.deform_conv"]
    parts += [f"ffnet.{way}_conv{level}.{n}" for way in ("dn", "up") for level in range(1, levels) for n in (0, 2)]
    parts += [f"ffnet.tr_conv.{n}" for n in (0, 2, 4)]
    parts += ["qenet.in_conv.0", *(f"qenet.hid_conv.{2 * n}" for n in range(layers - 2)), "qenet.out_conv"]
    official = [f"{part}.{tensor}" for part in parts for tensor in ("weight", "bias")]
    assert len(official) == names
    assert {network.upstream_name(name) for name in official} == set(network.state_dict())  # pyright: ignore


@pytest.mark.parametrize(
    "name",
    [
        "generator.stdf.in_conv.0.weight",
        "stdf.deform_conv.weight",
        "qe_net.body.0.weight",
        "module.fusion.deform_conv.conv_offset_mask.weight",
        "module.qe.in_conv.0.bias",
    ],
)
def test_networks_of_the_same_name_that_compute_something_else(name: str, tmp_path: Path) -> None:
    torch.save({"state_dict": {name: torch.zeros(3)}}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth.*STDF.*PowerQE v1, PowerVQE"):
        load_weights(small(), tmp_path / "other.pth")


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (1, 5, 1, 8, 8), (1, 3, 3, 8, 8), (3, 1, 8, 8, 1)])
def test_clips_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"STDF.*3, 1"):
        small()(torch.zeros(shape))


def test_input_is_added_to_the_output() -> None:
    with pytest.raises(UserError, match="STDF adds its input to its output"):
        STDF(in_channels=3)


@torch.no_grad()
def test_it_starts_near_the_identity_with_signals_that_do_not_die_out() -> None:
    torch.manual_seed(0)
    network, clip = STDF(radius=1), torch.rand(1, 3, 1, 32, 40)
    sizes: list[float] = []
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.register_forward_hook(lambda _module, _inputs, f: sizes.append(float(f.std())))
    change = (network(clip) - clip[:, 1]).abs()
    assert 0 < change.max() < 0.05
    large = [size for size in sizes if size > 0.1]
    assert len(large) == len(sizes) - 2  # the first offsets are near zero, and so is what is added to the frame
