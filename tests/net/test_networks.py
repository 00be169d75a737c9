"""What every network promises. A network that takes one RGB image and no required arguments is tested
without a line here; CASES makes a network small or says what else its forward takes."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from algorithm.inference import Tiled
from net import NETWORKS, build_network, load_weights, save_weights


def image(batch: int, height: int, width: int) -> tuple[Tensor, ...]:
    return (torch.rand(batch, 3, height, width),)


class Case(NamedTuple):
    """How a network is built small, what its forward takes, and how much larger its output is.

    A discriminator takes pictures of one size only and gives no picture: any_size is false.
    """

    arguments: dict[str, Any]
    inputs: Callable[[int, int, int], tuple[Tensor, ...]] = image
    scale: int = 1
    any_size: bool = True


CASES = {
    "ARCNN": Case({"hidden_channels": (8, 4)}),
    "CBDNet": Case({"estimator_features": 4, "base_features": 4}),
    "DCAD": Case({"num_features": 8, "num_blocks": 3}),
    "DnCNN": Case({"num_features": 8, "depth": 5, "batch_norm": True}),
    "ESRGAN": Case({"num_features": 8, "num_blocks": 2, "growth_channels": 4}),
    "RBQE": Case({"num_features": 8, "num_levels": 3}),
    "UNet": Case({"in_channels": 3, "out_channels": 3, "num_levels": 3, "base_features": 4}),
    "VGGDiscriminator": Case(
        {"num_features": 4, "hidden_features": 8, "patch_size": (64, 64)},
        lambda batch, height, width: image(batch, 64, 64),
        any_size=False,
    ),
}

PARAMETERS = [
    ("ARCNN", {}, 20_099),
    ("ARCNN", {"hidden_channels": (64, 32, 16), "kernel_sizes": (9, 7, 1, 5)}, 117_731),
    ("CBDNet", {}, 1_860_806),
    ("CBDNet", {"share_weights": False}, 3_944_710),
    ("DCAD", {}, 40_451),
    ("DCAD", {"share_weights": False}, 298_947),
    ("DnCNN", {}, 40_451),
    ("DnCNN", {"batch_norm": True}, 40_515),
    ("DnCNN", {"share_weights": False}, 557_443),
    ("ESRGAN", {}, 1_451_011),
    ("RBQE", {}, 3_553_430),
    ("RBQE", {"num_levels": 4}, 2_333_996),
    ("RBQE", {"num_levels": 3}, 1_409_672),
    ("RBQE", {"num_levels": 2}, 743_594),
    ("RBQE", {"num_levels": 1}, 298_898),
    ("VGGDiscriminator", {}, 3_946_433),
]

every_network = pytest.mark.parametrize("name", NETWORKS.names())

any_size_network = pytest.mark.parametrize(
    "name", [name for name in NETWORKS.names() if CASES.get(name, Case({})).any_size]
)


def make(name: str, seed: int = 0) -> tuple[nn.Module, Case]:
    case = CASES.get(name, Case({}))
    torch.manual_seed(seed)
    return build_network({"type": name, **case.arguments}), case


def picture(output: Any) -> Tensor:
    """The image in what a network returns; a network may return it first of several."""
    return output if isinstance(output, Tensor) else output[0]


@pytest.mark.parametrize(("name", "arguments", "count"), PARAMETERS)
def test_parameter_count(name: str, arguments: dict[str, Any], count: int) -> None:
    network = build_network({"type": name, **arguments})
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@every_network
def test_arguments_are_keywords_with_types(name: str) -> None:
    for parameter in inspect.signature(NETWORKS[name]).parameters.values():
        assert parameter.kind is parameter.KEYWORD_ONLY, parameter
        assert parameter.annotation is not parameter.empty, parameter


@any_size_network
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (16, 17)])
@torch.no_grad()
def test_any_size(name: str, size: tuple[int, int]) -> None:
    network, case = make(name)
    output = picture(network.eval()(*case.inputs(2, *size)))
    assert output.dtype == torch.float32
    assert output.shape[-2:] == (size[0] * case.scale, size[1] * case.scale)
    assert output.isfinite().all()


@any_size_network
@pytest.mark.parametrize("stands", [False, True])
@torch.no_grad()
def test_tiles_make_the_whole(name: str, stands: bool):
    """algorithm/inference.py: a network says `multiple` if it strides, takes means through GlobalMean, and that is all.

    In float64, where no rounding hides a pixel that sees too little. The picture is long, so that it has several tiles
    however far the network looks.
    """
    network, case = make(name)
    for parameter in network.parameters():  # zeros would hide what they multiply
        parameter.add_(torch.randn_like(parameter) * (0.1 if parameter.ndim > 1 else 0.02))
    network.eval().double()
    tiled = Tiled(network, 24)
    for length in range(69, 3000, 32):
        size = (length, 21) if stands else (21, length)
        inputs = [tensor.double() if tensor.is_floating_point() else tensor for tensor in case.inputs(1, *size)]
        if len(tiled.tiles(*inputs)) > 2:
            break
    whole = picture(network(*inputs))
    torch.testing.assert_close(picture(tiled(*inputs)), whole, rtol=1e-9, atol=1e-9)
    if not stands:
        rough = picture(Tiled(network, 24, overlap=0)(*inputs))
        assert (rough - whole).abs().max() > 1e-5, "this network could not tell tiles that are too small"


@every_network
@torch.no_grad()
def test_images_of_a_batch_do_not_meet(name: str) -> None:
    network, case = make(name)
    inputs = case.inputs(2, 9, 12)
    together = picture(network.eval()(*inputs))
    alone = picture(network(*(tensor[:1] for tensor in inputs)))
    axis = together.ndim - 4  # networks with several outputs stack them in front of the batch
    torch.testing.assert_close(together.narrow(axis, 0, 1), alone, rtol=1e-5, atol=1e-6)


@every_network
def test_gradient_reaches_every_parameter(name: str) -> None:
    network, case = make(name)
    picture(network(*case.inputs(2, 16, 16))).square().mean().backward()
    unreached = [
        key for key, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert not unreached


@every_network
@torch.no_grad()
def test_runs_in_bfloat16(name: str) -> None:
    network, case = make(name)
    inputs = case.inputs(1, 16, 16)
    exact = picture(network.eval()(*inputs))
    with torch.autocast("cpu", torch.bfloat16):
        rough = picture(network(*inputs))
    assert not torch.equal(rough.float(), exact), "autocast did not reach the convolutions"
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.05)


@every_network
@torch.no_grad()
def test_weights_survive_a_file(name: str, tmp_path: Path) -> None:
    network, case = make(name)
    inputs = case.inputs(2, 9, 8)
    network.train()(*inputs)  # so that running statistics differ from new ones, too
    other, _ = make(name, seed=1)
    assert not torch.equal(picture(other.eval()(*inputs)), picture(network.eval()(*inputs)))

    save_weights(network, tmp_path / "net.safetensors")
    load_weights(other, tmp_path / "net.safetensors")
    torch.testing.assert_close(other.state_dict(), network.state_dict(), rtol=0, atol=0)
    assert torch.equal(picture(other(*inputs)), picture(network(*inputs)))


@every_network
def test_shared_weights_are_saved_once(name: str, tmp_path: Path) -> None:
    network, _ = make(name)
    save_weights(network, tmp_path / "net.safetensors")
    stored = sum(tensor.numel() for tensor in load_file(tmp_path / "net.safetensors").values())
    held = {id(tensor): tensor.numel() for tensor in network.state_dict(keep_vars=True).values()}
    assert stored == sum(held.values())
