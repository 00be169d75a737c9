"""net/cisr_psi.py: recorded outputs of the original, its recursions, and what gradients reach."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from powerqe.net import build_network, load_weights
from powerqe.net.cisr_psi import CISRPSI
from powerqe.utils.errors import UserError

RECORDED = np.load(Path(__file__).parents[1] / "data/cisr_psi.npz")
PARTS = ("nonlocal1", "nonlocal2")


def recorded(name: str) -> Tensor:
    return torch.from_numpy(RECORDED[name])


def small(**arguments: Any) -> CISRPSI:
    torch.manual_seed(0)
    return CISRPSI(**{"num_features": 8, "num_groups": (1, 1), "num_blocks": 1, "reduction": 4, **arguments})


def make_image(*size: int) -> Tensor:
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_recorded_outputs(tmp_path: Path) -> None:
    state = {name.removeprefix("sd/"): recorded(name) for name in RECORDED if name.startswith("sd/")}
    torch.save(state, tmp_path / "authors.pt")
    network = CISRPSI(num_features=16, num_groups=(2, 2), num_blocks=2)
    load_weights(network, tmp_path / "authors.pt")
    x = recorded("x") / 255
    torch.testing.assert_close(255 * network.start(x), recorded("x0_out"), rtol=1e-4, atol=1e-3)
    for number, (enlarged, clean) in enumerate(network(x, return_all=True), 1):
        torch.testing.assert_close(255 * enlarged, recorded(f"sr_{number}"), rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(255 * clean, recorded(f"deblock_{number}"), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("SR.tail.0.2.bias", "enlarge.tail.0.2.bias"),
        ("deblock.weight_3.2.weight", "deblock.mix.2.weight"),
        ("SR.body.4.body.11.body.3.conv_du.2.bias", "enlarge.groups.4.blocks.11.attention.expand.bias"),
        ("SR.body.4.body.12.bias", "enlarge.groups.4.conv.bias"),
        ("nonlocal2.conv1.2.bias", "nonlocal2.bandwidth.2.bias"),
    ],
)
def test_names_of_the_authors(theirs: str, ours: str) -> None:
    with torch.device("meta"):
        network = CISRPSI(scale=4)
    assert network.upstream_name(theirs) == ours
    assert ours in network.state_dict()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (7, 5)])
@torch.no_grad()
def test_scales(scale: int, size: tuple[int, int]) -> None:
    network = small(scale=scale)
    enlarged, clean = network(make_image(*size))
    assert enlarged.shape[2:] == (scale * size[0], scale * size[1])
    assert clean.shape[2:] == size
    assert network.scale == scale


@torch.no_grad()
def test_a_recursion_starts_from_the_result_of_the_one_before() -> None:
    network, x = small(recursions=4), make_image(9, 12)
    pairs = network(x, return_all=True)
    assert len(pairs) == 4
    enlarged = F.interpolate(x, scale_factor=2, mode="bicubic")
    assert torch.equal(network.start(x), enlarged)
    for pair in pairs:
        enlarged, clean = network(x, previous=enlarged)
        assert torch.equal(pair[0], enlarged)
        assert torch.equal(pair[1], clean)
    assert all(torch.equal(a, b) for a, b in zip(network(x), pairs[-1], strict=True))
    assert not torch.allclose(pairs[0][0], pairs[1][0], atol=1e-5)


def test_gradients_stay_within_a_recursion() -> None:
    network, x = small(), make_image(6, 6)
    previous = network.start(x).requires_grad_()
    network(x, previous=previous)[0].sum().backward()
    assert previous.grad is None

    gradients = []
    for call in (lambda: network(x)[0], lambda: network(x, previous=network(x, return_all=True)[1][0])[0]):
        network.zero_grad()
        call().square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.requires_grad]))
    torch.testing.assert_close(*gradients)


def test_the_non_local_modules_are_fixed_and_the_rest_learns() -> None:
    network = small()
    network(make_image(8, 8))[0].square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.requires_grad is (name.partition(".")[0] not in PARTS), name
        assert (parameter.grad is None) is (not parameter.requires_grad), name


@torch.no_grad()
def test_each_non_local_module_gets_the_compressed_image_and_a_cleaner_one() -> None:
    network, x, given = small(recursions=1), make_image(6, 8), {}
    for part in PARTS:
        network.get_submodule(part).register_forward_hook(lambda _, inputs, y, part=part: given.update({part: inputs}))
    clean = network(x)[1]
    reduced = F.interpolate(network.start(x), scale_factor=0.5, mode="bicubic")
    for part, reference in zip(PARTS, (reduced, clean), strict=True):
        assert torch.equal(given[part][0], x)
        torch.testing.assert_close(given[part][1], reference)


@torch.no_grad()
def test_what_is_predicted_is_added_to_a_mean_of_the_images() -> None:
    network, x = small(recursions=1), make_image(6, 8)
    for part in (network.deblock, network.enlarge):
        nn.init.zeros_(part.tail[-1].weight)
        nn.init.zeros_(part.tail[-1].bias)
        nn.init.zeros_(part.mix[2].weight)
        part.mix[2].bias.copy_(torch.tensor([99.0, 0.0, 0.0]))  # of the three images, x alone
    enlarged, clean = network(x)
    torch.testing.assert_close(clean, x)
    torch.testing.assert_close(enlarged, network.start(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 5}, r"scale.*5"),
        ({"num_groups": [0, 1]}, "num_groups"),
        ({"recursions": 0}, "recursions"),
        ({"num_features": 8}, r"reduction.*16.*8"),
    ],
)
def test_arguments_that_cannot_be_used(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_network({"type": "CISRPSI", **arguments})
