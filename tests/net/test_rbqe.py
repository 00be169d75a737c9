"""net/rbqe.py: recorded outputs of the original, the ways to leave, what is computed, and how it starts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from powerqe.net import build_network, load_weights
from powerqe.net.rbqe import RBQE
from powerqe.utils.errors import UserError

RECORDED = np.load(Path(__file__).parents[1] / "data/rbqe.npz")
V1File = Callable[[dict[str, Tensor]], Path]

VARIANTS = {
    "": {"num_features": 8},
    "variant/sep_eca_avg_up/": {"num_features": 6, "separable": True, "down": "avgpool", "up": "nearest"},
    "variant/plain_noeca/": {"num_features": 6, "num_levels": 3, "channel_attention": False, "residual": False},
}


def small(**arguments: Any) -> RBQE:
    torch.manual_seed(0)
    return RBQE(**{"num_features": 4, "num_levels": 3, **arguments}).eval()


def recorded(name: str) -> Tensor:
    return torch.from_numpy(RECORDED[name])


class Verdicts(nn.Module):
    """In place of the quality module: says what it was told to, and how many images it was asked about."""

    def __init__(self, *verdicts: list[bool]) -> None:
        super().__init__()
        self.verdicts = list(verdicts)
        self.asked: list[int] = []

    def good_enough(self, images: Tensor) -> Tensor:
        self.asked.append(len(images))
        return torch.tensor(self.verdicts[len(self.asked) - 1])


def work(network: RBQE) -> list[tuple[str, int]]:
    """A list that fills with what is computed: parts of the network, and for how many images."""
    done: list[tuple[str, int]] = []
    for number, level in enumerate(network.levels):
        for name in ("down", "exit"):
            part = level.get_submodule(name)
            part.register_forward_hook(lambda _, x, y, name=f"{name} {number}": done.append((name, len(y))))
    return done


# --------------------------------------------------------------------------- the original


@pytest.mark.parametrize("prefix", VARIANTS, ids=["jpeg", "separable", "plain"])
@torch.no_grad()
def test_recorded_outputs(prefix: str, v1_file: V1File) -> None:
    state = {name.removeprefix(f"{prefix}sd/"): recorded(name) for name in RECORDED if name.startswith(f"{prefix}sd/")}
    network = build_network({"type": "RBQE", **VARIANTS[prefix]})
    load_weights(network, v1_file(state))
    for number in ("", "2", "3"):
        if f"{prefix}x{number}" in RECORDED:
            x, y = recorded(f"{prefix}x{number}"), recorded(f"{prefix}y{number}")
            torch.testing.assert_close(network(x), y, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(network(x, exit=2), y[2], rtol=1e-5, atol=1e-5)


def test_names_of_the_original() -> None:
    network = RBQE()
    assert len(network.state_dict()) == 179
    assert network.upstream_name("up_4_2.conv_lst.5.separable_conv.1.bias") == "levels.4.ups.2.merge.5.1.bias"


def test_checkpoint_of_fewer_levels(v1_file: V1File) -> None:
    state = {name[3:]: recorded(name) for name in RECORDED if name.startswith("sd/")}
    with pytest.raises(UserError, match=r"RBQE.*unexpected"):
        load_weights(RBQE(num_features=8, num_levels=3), v1_file(state))


def test_cost_of_each_exit() -> None:
    network = RBQE()
    assert [round(macs / 1000, 1) for macs in network.macs_per_pixel()] == [215.4, 415.9, 659.5, 950.8, 1290.9]


@pytest.mark.parametrize("style", [{}, {"separable": True, "down": "avgpool", "up": "nearest"}])
@torch.no_grad()
def test_cost_is_what_is_computed(style: dict[str, Any]) -> None:
    network, macs = small(**style), []
    for layer in network.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            layer.register_forward_hook(lambda m, x, y: macs.append(m.weight.numel() * x[0][0, 0].numel()))
        elif isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda m, x, y: macs.append(m.weight.numel() * y[0, 0].numel()))
    x, exits = torch.rand(1, 3, 32, 48), [torch.tensor([False])] * 2
    for number, expected in enumerate(network.macs_per_pixel()):
        macs.clear()
        network(x, exit=number)
        assert sum(macs) == expected * 32 * 48
    macs.clear()
    judging = 2 * network.quality.macs_per_pixel
    network.quality = Verdicts(*[verdict.tolist() for verdict in exits])
    network(x, exit="auto")
    expected = small(**style).macs_per_pixel(judged=True)[-1] - judging
    assert sum(macs) == expected * 32 * 48


# --------------------------------------------------------------------------- ways to leave


@pytest.mark.parametrize("size", [(1, 1), (9, 14), (16, 16)])
@pytest.mark.parametrize("down", ["strideconv", "avgpool"])
@torch.no_grad()
def test_one_exit_is_one_of_all(size: tuple[int, int], down: str) -> None:
    network, x = small(down=down), torch.rand(2, 3, *size)
    outputs = network(x)
    assert outputs.shape == (3, 2, 3, *size)
    assert len({float(output.sum()) for output in outputs}) == 3
    for number, output in enumerate(outputs):
        assert torch.equal(network(x, exit=number), output)


@torch.no_grad()
def test_only_levels_up_to_the_exit_are_computed() -> None:
    network = small()
    done = work(network)
    network(torch.rand(2, 3, 16, 16), exit=1)
    assert done == [("down 0", 2), ("down 1", 2), ("exit 1", 2)]


@torch.no_grad()
def test_each_image_has_its_own_exit() -> None:
    network, x = small(), torch.rand(5, 3, 12, 17)
    outputs = network(x)
    done = work(network)
    network.quality = Verdicts([False, True, False, False, True], [True, False, False])
    y, exits = network.enhance(x)
    assert exits.tolist() == [1, 0, 2, 2, 0]
    assert done == [("down 0", 5), ("exit 0", 5), ("down 1", 3), ("exit 1", 3), ("down 2", 2), ("exit 2", 2)]
    assert network.quality.asked == [5, 3], "the last exit is not judged"
    for image, number in enumerate(exits):
        torch.testing.assert_close(y[image], outputs[number, image], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("verdicts", "exit"), [([[True] * 3], 0), ([[False] * 3, [True] * 3], 1)])
@torch.no_grad()
def test_nothing_is_computed_when_all_have_left(verdicts: list[list[bool]], exit: int) -> None:
    network, x = small(), torch.rand(3, 3, 16, 16)
    expected = network(x, exit=exit)
    done = work(network)
    network.quality = Verdicts(*verdicts)
    assert torch.equal(network(x, exit="auto"), expected)
    assert done == [(f"{part} {number}", 3) for number in range(exit + 1) for part in ("down", "exit")]


@torch.no_grad()
def test_quality_decides() -> None:
    network = small()
    for level in network.levels:
        nn.init.zeros_(level.exit[-1].weight)  # every exit returns the input
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 48, 64)  # scores about 0
    x = torch.cat([torch.rand(1, 3, 48, 64), ramp])
    y, exits = network.enhance(x)
    assert exits.tolist() == [0, 2]
    assert torch.equal(y, x)


@torch.no_grad()
def test_threshold_and_rule_are_handed_on() -> None:
    x = torch.rand(2, 3, 48, 64)
    assert small(threshold=0.0).enhance(x)[1].tolist() == [0, 0]
    assert small(threshold=1.0).enhance(x)[1].tolist() == [2, 2]
    made = small(codec="hevc", quality_rule="matlab").quality
    assert (made.size, made.rule, made.threshold) == (4, "matlab", 0.89)


@pytest.mark.parametrize("exit", [-1, 3, True, 1.0, "last", None])
def test_no_such_exit(exit: Any) -> None:
    with pytest.raises(UserError, match=r'found exit .*, expected "all", "auto" or a number of 0 to 2'):
        small()(torch.rand(1, 3, 8, 8), exit=exit)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 1.5}, r"threshold.*1\.5.*0 <=.*<= 1"),
        ({"threshold": -0.1}, "threshold"),
        ({"num_levels": 0}, "num_levels"),
        ({"codec": "webp"}, '"jpeg" or "hevc"'),
        ({"in_channels": 1}, "in_channels 1 and out_channels 3"),
    ],
)
def test_arguments_that_cannot_be_used(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_network({"type": "RBQE", **arguments})


# --------------------------------------------------------------------------- training


def test_stored_features_stay_as_they_are() -> None:
    network, stored = small(), []
    network.head.register_forward_hook(lambda _, x, y: stored.extend([y, y.clone()]))
    network(torch.rand(1, 3, 16, 16))
    assert torch.equal(stored[0], stored[1])
    assert (stored[0] < 0).any()


@pytest.mark.parametrize("style", [{}, {"channel_attention": False}, {"separable": True}], ids=str)
@torch.no_grad()
def test_starts_near_the_identity_with_signals_everywhere(style: dict[str, Any]) -> None:
    network, x = small(num_features=32, num_levels=5, **style), torch.rand(2, 3, 64, 64)
    powers = []
    for level in network.levels:
        level.down.register_forward_hook(lambda _, x, y: powers.append(float(y.square().mean())))
    for y in network(x):
        assert 0 < float((y - x).abs().mean()) < 0.05
    assert all(0.005 < power < 20 for power in powers), powers


def test_all_exits_learn() -> None:
    network = small(num_features=8).train()
    generator = torch.Generator().manual_seed(1)
    gt = nn.functional.interpolate(torch.rand(8, 3, 4, 4, generator=generator), (16, 16), mode="bicubic")
    lq = gt + 0.1 * torch.randn(gt.shape, generator=generator)
    optimizer = torch.optim.Adam(network.parameters(), 4e-4)
    for _ in range(40):
        optimizer.zero_grad()
        (network(lq) - gt).square().mean().backward()
        optimizer.step()
    before = (lq - gt).square().mean()
    after = (network(lq) - gt).square().mean((1, 2, 3, 4))
    assert (after < 0.97 * before).all(), after / before
