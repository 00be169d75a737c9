"""net/mfqe.py against recorded outputs of the authors' program, and its warp against one pixel at a time."""

import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from powerqe.net import load_weights
from powerqe.net.mfqe import MFQE, Border, warp
from powerqe.utils.errors import UserError

RECORDED = np.load(Path(__file__).parents[1] / "data/mfqe.npz")
CONFIG = json.loads(str(RECORDED["__config__"]))
VARIABLES = [name[3:] for name in RECORDED if name.startswith("sd/")]


def recorded(name: str) -> Tensor:
    return torch.from_numpy(RECORDED[name]).float()


def clip() -> Tensor:
    return recorded("x_u8")[:, :, None] / 255


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded variables, and what else a checkpoint of the authors holds."""
    path = tmp_path_factory.mktemp("mfqe") / "model_step2.npz"
    others = {"netflow/c1_w/Adam": np.ones(3), "netflow/c1_w/Adam_3": np.ones(3), "beta1_power": np.float32(0.9),
              "beta2_power_1": np.float32(0.9), "global_step": np.int64(5), "note": np.array("text")}  # fmt: skip
    np.savez(path, **{name: RECORDED[f"sd/{name}"].astype(np.float32) for name in VARIABLES}, **others)
    return path


@pytest.fixture
def network(weights: Path) -> MFQE:
    network = MFQE()
    load_weights(network, weights)
    return network.eval()


@torch.no_grad()
def test_recorded_outputs(network: MFQE) -> None:
    y, *compensated = network(clip(), return_compensated=True)
    torch.testing.assert_close(y, recorded("y"), rtol=0, atol=1e-5)
    for found, name in zip(compensated, ("warped_prev", "warped_next"), strict=True):
        torch.testing.assert_close(found, recorded(name), rtol=0, atol=1e-5)
    assert torch.equal(network(clip()), y)
    for neighbor, names in ((0, ("flow_0", "flow_1")), (2, ("flow_2", "flow_3"))):
        moved, flows = network.motion.compensate(clip()[:, 1], clip()[:, neighbor])
        assert torch.equal(moved, compensated[neighbor // 2])
        for flow, name in zip(flows[1:], names, strict=True):
            torch.testing.assert_close(flow, recorded(name), rtol=0, atol=1e-6)


def test_recorded_gradients(network: MFQE) -> None:
    """Of both steps of the training."""
    y, *compensated = network(clip(), return_compensated=True)
    flow = sum((frame - clip()[:, 1]).square().mean() for frame in compensated)
    quality = (y - recorded("gt_u8") / 255).square().mean()
    for name, loss in (("g1", flow + 0.01 * quality), ("g2", 0.01 * flow + quality)):
        network.zero_grad()
        loss.backward(retain_graph=True)
        found = {name: p.grad.norm().item() for name, p in network.named_parameters() if p.grad is not None}
        expected = {network.upstream_name(name): norm for name, norm in CONFIG["grad_l2_norm"][name].items()}
        assert found == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
def test_recorded_step_of_the_training(network: MFQE) -> None:
    y = network.train()(clip())
    torch.testing.assert_close(y, recorded("y_train"), rtol=0, atol=5e-5)
    statistics = network.state_dict()
    names = [name for name in RECORDED if name.startswith("after_train/")]
    assert len(names) == 12
    for name in names:
        ours = network.upstream_name(name.removeprefix("after_train/"))
        torch.testing.assert_close(statistics[str(ours)], recorded(name), rtol=0, atol=1e-6)


def plain_variables() -> list[str]:
    """Names of the second network, as the authors' program makes them."""
    convs = {f"easyflow/{level}{n}": n < 5 or level == "" for level in "csa" for n in range(1, 6)}
    convs |= {f"netflow/conv{kernel}_{frame}": True for frame in (1, 2, 3) for kernel in (3, 5, 7)}
    convs |= {f"netflow/cconv{n}": True for n in range(1, 9)} | {"netflow/cout": False}
    tensors = {name: ["weights", "biases", *["PReLU/alphas"] * prelu] for name, prelu in convs.items()}
    return [f"{name}/{tensor}" for name, parts in tensors.items() for tensor in parts]


def test_names_of_the_second_network() -> None:
    network = MFQE(enhancer="plain")
    ours = [network.upstream_name(name) for name in plain_variables()]
    assert len(ours) == len(set(ours))
    assert set(ours) == set(network.state_dict())
    shapes = {name: tuple(tensor.shape) for name, tensor in network.named_parameters()}
    for name, kernel, frame in (("netflow/conv5_1", 5, 0), ("netflow/conv7_3", 7, 2), ("netflow/conv3_2", 3, 1)):
        place = network.upstream_name(f"{name}/weights")
        assert place == f"enhance.first.{3 * frame + kernel // 2 - 1}.conv.weight"
        assert shapes[place] == (32, 1, kernel, kernel)
    assert shapes[str(network.upstream_name("netflow/cconv8/weights"))] == (16, 32, 3, 3)


def test_weights_of_the_other_network(weights: Path) -> None:
    with pytest.raises(UserError, match=r"MFQE.*missing \(enhance.layers.6.conv.weight"):
        load_weights(MFQE(enhancer="plain"), weights)


@torch.no_grad()
def test_frames_have_their_own_first_layers(network: MFQE) -> None:
    """The PQF before, the frame, the PQF after: 3x3, 5x5 and 7x7 for each."""
    seen: list[Tensor] = []
    for layer in network.enhance.first:
        layer.register_forward_hook(lambda _, x, y: seen.append(x[0]))
    frames = torch.rand(3, 1, 1, 8, 8)
    network.enhance(*frames)
    assert [layer.get_submodule("conv").weight.shape[-1] for layer in network.enhance.first] == [3, 5, 7] * 3  # pyright: ignore
    assert all(torch.equal(x, frames[number // 3]) for number, x in enumerate(seen))


@torch.no_grad()
def test_sizes_are_continued_by_the_last_row_and_column(network: MFQE) -> None:
    rows, columns = torch.arange(12).clamp(max=9), torch.arange(16).clamp(max=12)
    x = clip()[..., :10, :13]
    expected = network(x[..., rows, :][..., columns], return_compensated=True)
    for found, whole in zip(network(x, return_compensated=True), expected, strict=True):
        assert torch.equal(found, whole[..., :10, :13])


@pytest.mark.parametrize("enhancer", ["dense", "plain"])
def test_start(enhancer: Literal["dense", "plain"]) -> None:
    torch.manual_seed(0)
    network = MFQE(enhancer=enhancer)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            outputs, inputs, height, width = module.weight.shape
            bound = math.sqrt(6 / ((inputs + outputs) * height * width))
            assert not module.get_parameter("bias").any()
            if name.startswith("motion."):
                assert 0.8 * bound < module.weight.abs().max() <= bound
        elif isinstance(module, nn.PReLU):
            assert not module.weight.any()


@pytest.mark.parametrize("enhancer", ["dense", "plain"])
@torch.no_grad()
def test_it_starts_near_the_identity_with_signals_that_do_not_die_out(enhancer: Literal["dense", "plain"]) -> None:
    torch.manual_seed(0)
    network, x = MFQE(enhancer=enhancer), clip()
    sizes: list[float] = []
    for layer in network.enhance.layers:
        layer.register_forward_hook(lambda _layer, _inputs, f: sizes.append(float(f.abs().mean())))
    change = (network(x) - x[:, 1]).abs()
    assert 0 < change.max() < 0.05
    assert all(size > 0.1 for size in sizes[:-1])


@pytest.mark.parametrize(
    ("arguments", "norms"),
    [
        ({}, [32, 32, 32, 32, 32, 1]),
        ({"batch_norm": False}, []),
        ({"enhancer": "plain"}, []),
        ({"enhancer": "plain", "batch_norm": True}, [32] * 7 + [16]),
    ],
)
def test_batch_normalization(arguments: dict[str, Any], norms: list[int]) -> None:
    network = MFQE(**arguments)
    assert [module.num_features for module in network.modules() if isinstance(module, nn.BatchNorm2d)] == norms
    assert network(torch.rand(2, 3, 1, 8, 8)).shape == (2, 1, 8, 8)


# --------------------------------------------------------------------------- the warp


def slow_warp(frame: Tensor, motion: Tensor, border: Border) -> Tensor:
    """One pixel after another, (C, H, W) and (2, H, W)."""
    height, width = frame.shape[-2:]
    result = torch.zeros_like(frame)
    for row in range(height):
        for column in range(width):
            x, y = column + motion[0, row, column].item(), row + motion[1, row, column].item()
            if border == "zero" and not (0 <= x < width - 1 and 0 <= y < height - 1):
                continue
            x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
            for i in (math.floor(y), math.floor(y) + 1):
                for j in (math.floor(x), math.floor(x) + 1):
                    if (weight := (1 - abs(y - i)) * (1 - abs(x - j))) > 0:
                        result[:, row, column] += weight * frame[:, i, j]
    return result


@pytest.mark.parametrize("border", ["zero", "replicate"])
@pytest.mark.parametrize("size", [(7, 9), (1, 6), (5, 1), (1, 1)])
@pytest.mark.parametrize("whole", [False, True])
def test_warp(border: Border, size: tuple[int, int], whole: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    frame = torch.rand(2, 3, *size, generator=generator, dtype=torch.float64)
    motion = 4 * torch.randn(2, 2, *size, generator=generator, dtype=torch.float64)
    motion = motion.round() if whole else motion
    expected = torch.stack([slow_warp(f, m, border) for f, m in zip(frame, motion, strict=True)])
    torch.testing.assert_close(warp(frame, motion, border), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("border", ["zero", "replicate"])
def test_gradients_of_the_warp(border: Border) -> None:
    generator = torch.Generator().manual_seed(1)
    frame = torch.rand(1, 1, 5, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    motion = torch.randn(1, 2, 5, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, m: warp(f, m, border), (frame, motion))


def test_without_motion() -> None:
    """The authors' program loses the last row and column even then."""
    frame, still = torch.rand(1, 1, 5, 6), torch.zeros(1, 2, 5, 6)
    assert torch.equal(warp(frame, still, "replicate"), frame)
    expected = frame.clone()
    expected[..., -1, :] = expected[..., -1] = 0
    assert torch.equal(warp(frame, still), expected)


@pytest.mark.parametrize("border", ["zero", "replicate"])
def test_motion_that_is_no_number(border: Border) -> None:
    """It must not be taken for a place in memory, nor be hidden."""
    motion = torch.zeros(1, 2, 4, 4)
    motion[0, 0, 1, 2], motion[0, 1, 3, 3] = torch.nan, torch.inf
    moved = warp(torch.ones(1, 1, 4, 4), motion, border)
    assert moved.isnan().nonzero().tolist() == [[0, 0, 1, 2]]


@torch.no_grad()
def test_places_are_not_rounded_to_bfloat16(network: MFQE) -> None:
    x = torch.rand(1, 3, 1, 8, 520)
    places: list[Tensor] = []
    for flow in (network.motion.coarse[-1], network.motion.middle[-1], network.motion.fine[-1]):
        flow.register_forward_hook(lambda _, x, y: places.append(y))
    with torch.autocast("cpu", torch.bfloat16):
        y, moved, _ = network(x, return_compensated=True)
    assert {tensor.dtype for tensor in (*places, y, moved)} == {torch.float32}
    assert network.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


@torch.no_grad()
def test_border_is_the_networks(network: MFQE, weights: Path) -> None:
    other = MFQE(border="replicate").eval()
    load_weights(other, weights)
    x = clip().clamp(min=0.1)
    zero, replicate = (net(x, return_compensated=True)[1] for net in (network, other))
    assert (zero == 0).any()
    assert (replicate > 0.09).all()


@pytest.mark.parametrize("shape", [(1, 1, 1, 8, 8), (1, 3, 3, 8, 8), (1, 3, 8, 8)])
def test_clips_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"MFQE.*3, 1"):
        MFQE()(torch.zeros(shape))
