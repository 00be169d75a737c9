"""The mean over eight orientations, and what turns with the image."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from powerqe.inference.self_ensemble import SelfEnsemble, oriented, original
from powerqe.inference.tiled import Tiled
from powerqe.net import build_network, load_weights
from powerqe.net.blocks import PixelShuffleUp, conv
from powerqe.utils.image import io as image_io


def pixels(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("symmetry", range(8))
def test_orientations_are_those_of_the_training_data(symmetry: int):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    seen = oriented(torch.from_numpy(image).permute(2, 0, 1), symmetry)
    assert np.array_equal(seen.permute(1, 2, 0).numpy(), image_io.oriented(image, symmetry))
    assert torch.equal(original(seen, symmetry), torch.from_numpy(image).permute(2, 0, 1))


@torch.no_grad()
def test_mean_over_flips_and_transpositions():
    torch.manual_seed(0)
    network, x = conv(3, 3, 5).eval(), pixels(2, 3, 9, 14)
    outputs = []
    for image in (x, x.mT):  # a convolution of a turned image is that with the kernel turned back
        for axes in ((), (3,), (2,), (2, 3)):
            back = network(image.flip(axes)).flip(axes)
            outputs.append(back if image is x else back.mT)
    before = x.clone()
    result = SelfEnsemble(network)(x)
    torch.testing.assert_close(result, torch.stack(outputs).mean(0))
    assert torch.equal(x, before)
    assert not result.requires_grad
    assert (result - network(x)).abs().max() > 0.01
    turned = SelfEnsemble(network)(x.mT.flip(2))  # the mean does not depend on how the image lies
    torch.testing.assert_close(turned, result.mT.flip(2))


def test_the_mean_is_taken_in_float32_and_not_clamped():
    values = iter([2.0, -1.0, 1 + 2**-7, 0, 0, 0, 0, 0])
    result = SelfEnsemble(lambda x: torch.full_like(x, next(values)))(torch.zeros(1, 3, 4, 4, dtype=torch.bfloat16))
    assert result.dtype == torch.float32
    assert result.unique().tolist() == [(2 + 2**-7) / 8]


class Knowing(nn.Module):
    """Takes a map and tables, enlarges, and says something beside the image."""

    def __init__(self) -> None:
        super().__init__()
        self.up = PixelShuffleUp(4, 3)
        self.calls: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, x: Tensor, noise: Tensor, tables: Tensor) -> tuple[Tensor, Tensor, int]:
        self.calls.append((x, noise, tables))
        return self.up(torch.cat((x, noise), 1)), x.mean((2, 3)) + x[:, :, 0, 0], len(self.calls)


@torch.no_grad()
def test_tables_and_maps_turn_with_the_image_and_the_grid_stays():
    network, x, noise, tables = Knowing(), pixels(1, 3, 10, 21), pixels(1, 1, 10, 21), pixels(1, 2, 8, 8)
    result, mean, calls = SelfEnsemble(network)(x, noise=noise, tables=tables)
    assert result.shape == (1, 4, 30, 63)
    assert len(network.calls) == 8
    for symmetry, (image, turned, seen) in enumerate(network.calls):
        assert image.shape[-2:] == ((24, 16) if symmetry & 4 else (16, 24))
        assert torch.equal(original(image, symmetry)[..., :10, :21], x)
        assert torch.equal(original(turned, symmetry)[..., :10, :21], noise)
        assert torch.equal(seen, tables.mT if symmetry & 4 else tables)
    whole = network.calls[0][0]
    assert torch.equal(whole[..., 10:, :21], x[..., 9:, :].expand(-1, -1, 6, -1))
    torch.testing.assert_close(mean, whole.mean((2, 3)) + whole[:, :, 0, 0])
    assert calls == 1
    assert isinstance(result, Tensor)


@torch.no_grad()
def test_an_image_of_one_block_is_not_taken_for_tables():
    network, x, tables = Knowing(), pixels(1, 3, 8, 8), pixels(1, 2, 8, 8)
    SelfEnsemble(network)(x, noise=pixels(1, 1, 8, 8), tables=tables)
    for symmetry, (_, _, seen) in enumerate(network.calls):
        assert torch.equal(seen, tables.mT if symmetry & 4 else tables)


@torch.no_grad()
def test_frames_of_a_clip_turn_together():
    torch.manual_seed(0)
    network, clip = build_network({"type": "MFQE", "enhancer": "plain"}).eval(), pixels(1, 3, 1, 12, 20)
    outputs = [original(network(oriented(clip, symmetry)), symmetry) for symmetry in range(8)]
    result = SelfEnsemble(network)(clip)
    torch.testing.assert_close(result, torch.stack(outputs).mean(0))
    assert result.shape == (1, 1, 12, 20)
    assert (result - outputs[0]).abs().max() > 1e-4


@pytest.mark.parametrize("named", [{"exit": "all"}, {"exit": 0}])
@torch.no_grad()
def test_together_with_tiles(named: dict[str, Any]):
    torch.manual_seed(0)
    options = {"type": "RBQE", "num_features": 4, "num_levels": 1, "in_channels": 1, "out_channels": 1}
    network, x = build_network(options).eval(), pixels(1, 1, 9, 130)
    tiled = Tiled(network, 16)
    assert len(tiled.tiles(x, **named)) > 2
    whole = SelfEnsemble(network)(x, **named)
    assert whole.shape == network(x, **named).shape
    torch.testing.assert_close(SelfEnsemble(tiled)(x, **named), whole, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_network_with_tables_turns_with_them():
    """Of a turned image with turned tables the result is turned: the mean knows no orientation."""
    torch.manual_seed(0)
    network = SelfEnsemble(build_network({"type": "QCN", "num_features": 8, "num_blocks": 2}).eval())
    x, tables = pixels(1, 3, 16, 24), 255 * pixels(1, 2, 8, 8)
    result = network(x, tables=tables)
    torch.testing.assert_close(network(x.mT, tables=tables.mT), result.mT, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(network(x.flip(3), tables=tables), result.flip(3), rtol=1e-5, atol=1e-6)
    assert (network(x.mT, tables=tables) - result.mT).abs().max() > 1e-3


RECORDED = np.load(Path(__file__).parents[1] / "data/edsr_x2.npz")


def recorded(name: str) -> Tensor:
    return torch.from_numpy(RECORDED[name])


@torch.no_grad()
def test_recorded_outputs_of_edsr(tmp_path: Path):
    """The authors' self-ensemble; their tiles leave seams, so that ours are compared with their whole image."""
    state = {name[3:]: recorded(name) for name in RECORDED if name.startswith("sd/")}
    torch.save(state, tmp_path / "edsr_x2.pt")
    network = build_network({"type": "EDSR", "num_features": 16, "num_blocks": 2, "res_scale": 0.1})
    load_weights(network.eval(), tmp_path / "edsr_x2.pt")
    tiled = Tiled(network, 14)
    assert len(tiled.tiles(recorded("x_chop"))) == 12
    for call, x, y in (
        (SelfEnsemble(network), "x", "y_x8"),
        (SelfEnsemble(Tiled(network, 5)), "x", "y_x8"),
        (tiled, "x_chop", "y_full_of_x_chop"),
    ):
        torch.testing.assert_close(255 * call(recorded(x) / 255), recorded(y), rtol=1e-6, atol=2e-4)
    assert (recorded("y_x8") - recorded("y")).abs().max() > 0.1
    assert (recorded("y_chop") - recorded("y_full_of_x_chop")).abs().max() > 1e-3
