"""net/non_local_deblock.py: recorded outputs of the original, the formula, tiles, and memory."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from powerqe.net import load_weights, non_local_deblock
from powerqe.net.non_local_deblock import NonLocalDeblock
from powerqe.utils.image.color import luma

RECORDED = np.load(Path(__file__).parents[1] / "data/cisr_nonlocal.npz")


def recorded(name: str) -> Tensor:
    return torch.from_numpy(RECORDED[name])


def make(**arguments: int) -> NonLocalDeblock:
    torch.manual_seed(0)
    return NonLocalDeblock(**arguments)


def make_images(*size: int, channels: int = 3, seed: int = 0) -> Tensor:
    """Two batches of two images."""
    return torch.rand(2, 2, channels, *size, generator=torch.Generator().manual_seed(seed))


def by_the_formula(network: NonLocalDeblock, a: Tensor, r: Tensor) -> Tensor:
    """Patch by patch, for one image (C, H, W) in 0 ... 255."""
    height, width = a.shape[1:]
    places = [(slice(i, i + 3), slice(j, j + 3)) for i in range(height - 2) for j in range(width - 2)]
    mask = (1 - network.block_edges(a[None], r[None]))[0, 0]
    means = torch.stack([mask[place].mean() for place in places])
    patches = torch.stack([r[:, i, j].flatten() for i, j in places])
    total, count = torch.zeros_like(a), torch.zeros_like(a)
    for i, j in places:
        own = r[:, i, j].flatten()
        h = network.bandwidth(own[None, :, None, None]).squeeze()
        v = means * (-(own - patches).square().sum(1) / (h**2 + 1)).softmax(0)
        w = v / (v.sum() + 0.001)
        total[:, i, j] += sum(weight * a[:, k, m] for weight, (k, m) in zip(w, places, strict=True))
        count[:, i, j] += 1
    return total / count


@pytest.fixture
def authors(tmp_path: Path) -> NonLocalDeblock:
    torch.save({name[3:]: recorded(name) for name in RECORDED if name.startswith("sd/")}, tmp_path / "authors.pt")
    network = NonLocalDeblock()
    load_weights(network, tmp_path / "authors.pt")
    return network


@pytest.mark.parametrize(("x", "reference", "y"), [("x", "ref", "y"), ("x_big", "ref_big", "y_tiled")])
@torch.no_grad()
def test_recorded_outputs(authors: NonLocalDeblock, x: str, reference: str, y: str) -> None:
    found = 255 * authors(recorded(x) / 255, recorded(reference) / 255)
    torch.testing.assert_close(found, recorded(y), rtol=1e-4, atol=1e-3)


def test_recorded_edges_and_constants(authors: NonLocalDeblock) -> None:
    torch.testing.assert_close(authors.block_edges(recorded("x"), recorded("ref")), recorded("block"))
    new = NonLocalDeblock()
    for name in ("kernel", "kernel_y", "sobel_x", "sobel_y"):
        assert torch.equal(getattr(new, name), recorded(f"sd/{name}")), name
    assert sum(p.numel() for p in new.parameters() if p.requires_grad) == 88


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("contrast", "bandwidth"), [(1, None), (0.1, None), (0.005, 0.5)])
@torch.no_grad()
def test_formula(channels: int, contrast: float, bandwidth: float | None) -> None:
    network, (x, reference) = make(in_channels=channels), 0.4 + contrast * make_images(6, 5, channels=channels)
    if bandwidth is not None:
        torch.nn.init.zeros_(network.bandwidth[2].weight)
        torch.nn.init.constant_(network.bandwidth[2].bias, bandwidth)
    found = network(x, reference)
    for image, a, r in zip(found, 255 * x, 255 * reference, strict=True):
        torch.testing.assert_close(255 * image, by_the_formula(network, a, r), rtol=3e-5, atol=1e-3)


def test_gray_images_are_taken_as_they_are() -> None:
    a, r = 255 * make_images(7, 9)
    gray = [255 * luma(image / 255).round(decimals=7) for image in (a, r)]
    torch.testing.assert_close(make(in_channels=1).block_edges(*gray), make().block_edges(a, r))


def test_an_edge_of_the_image_alone_is_a_block_edge() -> None:
    flat, edge = torch.full((1, 1, 8, 9), 100.0), torch.full((1, 1, 8, 9), 100.0)
    edge[..., 4:] = 150
    network = make(in_channels=1)
    inside = (0, 0, slice(1, -1), slice(1, -1))
    assert network.block_edges(edge, flat)[inside].unique(dim=0).tolist() == [[0, 0, 1, 1, 0, 0, 0]]
    assert (network.block_edges(flat, edge) == 0)[inside].all()
    assert network.block_edges(edge, edge)[inside].abs().max() < 1e-6
    assert network.block_edges(edge, 250 - edge)[inside][:, 2:4].min() > 1.99, "the other way round"


@pytest.mark.parametrize(("step", "is_edge"), [(7, False), (8, True)])  # Sobel gradients of 28 and 32, limit 29
def test_limit_of_an_edge(step: int, is_edge: bool) -> None:
    flat, edge = torch.zeros(1, 1, 5, 6), torch.zeros(1, 1, 5, 6)
    edge[..., 3:] = step
    assert bool(make(in_channels=1).block_edges(edge, flat)[0, 0, 2, 2] == 1) is is_edge


@torch.no_grad()
def test_quadrants_overlap_and_are_put_together_without_blending(monkeypatch: pytest.MonkeyPatch) -> None:
    network, (x, reference) = make(), 0.4 + 0.1 * make_images(81, 95)[:, :1]
    whole = network(x, reference)
    with monkeypatch.context() as patch:
        patch.setattr(non_local_deblock, "_LARGEST", 81 * 95 + 1)
        assert not torch.allclose(network(x, reference), whole, atol=1e-3), "far patches would count"
    rows = ((slice(0, 50), slice(0, 40), slice(0, 40)), (slice(31, 81), slice(9, 50), slice(40, 81)))
    columns = ((slice(0, 57), slice(0, 47), slice(0, 47)), (slice(38, 95), slice(9, 57), slice(47, 95)))
    for cut_rows, kept_rows, to_rows in rows:
        for cut_columns, kept_columns, to_columns in columns:
            part = network(x[..., cut_rows, cut_columns], reference[..., cut_rows, cut_columns])
            assert torch.equal(part[..., kept_rows, kept_columns], whole[..., to_rows, to_columns])


@pytest.mark.parametrize("size", [(1, 6500), (3, 2200), (6500, 2), (20, 330), (18, 360)])
@torch.no_grad()
def test_long_images(size: tuple[int, int]) -> None:
    x = torch.full((1, 3, *size), 0.5)
    torch.testing.assert_close(make()(x, x), x, rtol=2e-3, atol=0)  # times 1 / 1.001


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (6, 1)])
@torch.no_grad()
def test_small_images_are_continued_with_their_last_row_and_column(size: tuple[int, int]) -> None:
    x, reference = make_images(*size)
    padding = (0, max(0, 3 - size[1]), 0, max(0, 3 - size[0]))
    found = make()(x, reference)
    continued = make()(F.pad(x, padding, "replicate"), F.pad(reference, padding, "replicate"))
    assert torch.equal(found, continued[..., : size[0], : size[1]])
    assert found.shape == x.shape


def test_rows_a_few_at_a_time_give_the_same_result_and_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    x, reference = make_images(13, 11)
    results = []
    for scratch in (2**22, 1000, 1):
        monkeypatch.setattr(non_local_deblock, "_SCRATCH", scratch)
        network = make()
        y = network(x, reference)
        y.square().mean().backward()
        gradient = torch.cat([p.grad.flatten() for p in network.parameters() if p.requires_grad])
        with torch.no_grad():
            torch.testing.assert_close(network(x, reference), y)
        results.append((y.detach(), gradient))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("with_gradient", [False, True])
def test_all_weights_are_never_there_at_once(with_gradient: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(non_local_deblock, "_SCRATCH", 10_000)
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        return kept.setdefault(tensor.data_ptr(), tensor)

    cdist, pairs = torch.cdist, []
    monkeypatch.setattr(torch, "cdist", lambda a, b, **rest: pairs.append(len(a) * len(b)) or cdist(a, b, **rest))
    x, reference = make_images(32, 32)
    with torch.set_grad_enabled(with_gradient), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        make()(x, reference)
    assert max(pairs) <= 10_000
    assert sum(tensor.numel() for tensor in kept.values()) < 900 * 900, (
        "for the gradient the patches are kept, not the 900 x 900 weights between them"
    )


@given(st.integers(0, 2**32 - 1), st.sampled_from(["noise", "two values", "constant", "far outside"]))
@settings(max_examples=20, deadline=None)
@torch.no_grad()
def test_finite_images_give_finite_images(seed: int, kind: str) -> None:
    both = make_images(7, 6, seed=seed)
    both = {"noise": both, "two values": both.round(), "constant": both[..., :1, :1].expand_as(both)}.get(
        kind, 100 * both - 50
    )
    assert make()(*both).isfinite().all()


def test_every_new_module_can_learn() -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        network = NonLocalDeblock()
        network(*(0.5 + 0.05 * make_images(6, 6))).square().mean().backward()
        assert network.bandwidth[0].weight.grad.any(), "its units would be off for ever"
