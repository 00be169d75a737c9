"""The Fréchet distance against its definition, and FID on a stand-in for pyiqa's network."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from powerqe.utils.errors import UserError
from powerqe.utils.metrics import MetricUnavailable, fid
from powerqe.utils.metrics.fid import FID, frechet_distance


def gaussian(count: int, dimensions: int, seed: int = 0) -> torch.Tensor:
    """Features of which each dimension has its own mean and spread, and neighbors are correlated."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(count, dimensions, generator=generator) * torch.linspace(0.5, 2, dimensions)
    return values + 0.5 * values.roll(1, dims=1) + torch.linspace(-1, 1, dimensions) * seed


def by_definition(x: torch.Tensor, y: torch.Tensor) -> float:
    """|m - n|^2 + tr(A + B - 2 (A B)^(1/2)), with the root of the matrix."""
    x, y = x.double().numpy(), y.double().numpy()
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(a @ b)
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(a + b - 2 * root.real)


@pytest.mark.parametrize(("n", "m", "dimensions"), [(40, 40, 6), (50, 9, 6), (9, 50, 6), (7, 6, 5)])
def test_distance_is_the_definition(n, m, dimensions):
    x, y = gaussian(n, dimensions, 1), gaussian(m, dimensions, 2)
    assert frechet_distance(x, y) == pytest.approx(by_definition(x, y), rel=1e-9)


def test_fewer_images_than_features():
    """The covariances are singular; in the plane of the images nothing is missing of the definition."""
    x, y = gaussian(4, 3, 1), gaussian(4, 3, 2)
    plane, _ = torch.linalg.qr(gaussian(8, 3, 3).double())  # an isometry of 3 into 8 dimensions
    expected = by_definition(x, y)
    assert frechet_distance(x.double() @ plane.T, y.double() @ plane.T) == pytest.approx(expected, rel=1e-6)


@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 6), st.floats(-3, 3))
def test_properties(n, m, dimensions, shift):
    x, y = gaussian(n, dimensions, 1), gaussian(m, dimensions, 2)
    distance = frechet_distance(x, y)
    assert distance >= 0
    assert 0 <= frechet_distance(x, x) < 1e-9  # and not -1e-15
    assert frechet_distance(y, x) == pytest.approx(distance, rel=1e-9, abs=1e-9)
    assert frechet_distance(x.flip(0), y) == pytest.approx(distance, rel=1e-9, abs=1e-9)
    moved = x.double() + shift
    assert frechet_distance(x.double(), moved) == pytest.approx(dimensions * shift**2, rel=1e-6, abs=1e-9)


def test_many_images_are_reduced_to_as_many_rows_as_features():
    features = gaussian(50, 6).double()
    root = fid._root_of_covariance(features)
    assert root.shape == (6, 6)
    torch.testing.assert_close(root.T @ root, features.T.cov())


def test_one_dimension_by_hand():
    """Means 1 and 5, variances 2 and 8: 16 + 2 + 8 - 2 sqrt(16)."""
    assert frechet_distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [7.0]])) == pytest.approx(18)


def make_images(count: int = 3, channels: int = 3, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, 20, 24), generator=generator) / 255


def test_pool_is_the_distance_of_the_features(standin):
    metric = FID()
    results, targets = make_images(seed=1), make_images(seed=2)
    features = metric(results, targets)
    assert features.shape == (3, 2, 12)
    one_by_one = [metric(r[None], t[None])[0] for r, t in zip(results, targets, strict=True)]
    torch.testing.assert_close(torch.stack(one_by_one), features)
    expected = frechet_distance(features[:, 0], features[:, 1])
    assert expected > 1e-3
    assert metric.pool(one_by_one) == pytest.approx(expected, rel=1e-4)
    assert metric.pool(list(metric(targets, targets))) == pytest.approx(0, abs=1e-6)
    assert not metric(results.requires_grad_(), targets).requires_grad


def test_features_are_of_the_whole_image_in_the_networks_range(standin):
    """Means of quarters, which resizing keeps: 12 features, all of 2 v - 1 for a flat v."""
    flat = torch.full((1, 3, 20, 24), 51 / 255)
    torch.testing.assert_close(FID()(flat, flat + 0.2), torch.tensor([[[51 / 128 - 1] * 12, [102 / 128 - 1] * 12]]))
    halves = torch.zeros(1, 3, 20, 24)
    halves[..., 12:] = 1
    left, right = FID()(halves, halves)[0, 0].view(3, 2, 2).unbind(dim=-1)
    assert left.max() < -0.9 < 0.9 < right.min()


def test_resizing_is_pillows(standin):
    """clean-fid resizes with Pillow, bicubic, each channel as float."""
    from PIL import Image

    seen = []
    metric = FID()
    metric._inception.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for size in ((20, 24), (640, 401)):
        image = torch.randint(0, 256, (1, 3, *size), generator=torch.Generator().manual_seed(0))
        metric(image / 255, image / 255)
        channels = [Image.fromarray(channel.float().numpy()) for channel in image[0]]
        resized = [np.asarray(plane.resize((299, 299), Image.Resampling.BICUBIC)).clip(0, 255) for plane in channels]
        assert np.abs((seen[-1][0].numpy() + 1) * 128 - np.stack(resized)).max() < 0.02


def test_preparation_and_convention(standin):
    result, target = make_images(seed=1), make_images(seed=2)
    metric = FID()
    assert metric.describe(3) == "RGB, uint8, pyiqa 9.9 fid"
    assert (metric.unit, metric.higher_is_better) == ("", False)
    assert torch.equal(metric(result + 0.4 / 255, target), metric(result, target))
    inner = (..., slice(3, -3), slice(3, -3))
    assert torch.equal(FID(border=3)(result, target), metric(result[inner], target[inner]))
    gray = make_images(channels=1)
    assert torch.equal(metric(gray, gray), metric(gray.expand(-1, 3, -1, -1), gray.expand(-1, 3, -1, -1)))
    with pytest.raises(UserError, match="compare equal sizes"):
        metric(result, target[..., 1:])


def test_a_single_image_has_no_distance_and_few_have_a_caveat(standin):
    metric = FID()
    features = list(metric(make_images(), make_images(seed=1)))
    assert np.isnan(metric.pool(features[:1]))
    assert np.isnan(metric.pool([]))
    assert metric.pool(features[:2]) > 0
    assert "only 2047 images" in (metric.caveat(2047) or "")
    assert metric.caveat(2048) is None


def test_a_pyiqa_of_another_make_is_unavailable(standin, monkeypatch):
    monkeypatch.setattr(standin, "Sets", lambda: torch.nn.Identity())
    with pytest.raises(MetricUnavailable, match=r"9\.9.*PowerQE.*'net'"):
        FID()
    monkeypatch.undo()


def test_a_network_that_fails_is_unavailable(standin):
    metric = FID()
    metric._inception.forward = lambda *_: 1 / 0
    with pytest.raises(MetricUnavailable, match="fid cannot be applied: division by zero"):
        metric(make_images(), make_images())
