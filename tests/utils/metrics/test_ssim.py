"""SSIM against recorded scores, scikit-image, and what must hold for any image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from skimage.metrics import structural_similarity

from powerqe.utils.errors import UserError
from powerqe.utils.image.color import luma_uint8
from powerqe.utils.metrics.ssim import SSIM, Window

SCIKIT_IMAGE: dict[Window, dict] = {
    "gaussian11": {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
    "uniform7": {},
}


def to_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 255


def noisy(image: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, strength, image.shape)
    return np.clip(np.round(image + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("window", "paper"), [("gaussian11", "fb"), ("uniform8", "qgcn")])
@pytest.mark.parametrize(("channels", "color"), [(1, "gray"), (3, "color")])
def test_golden_values(score, golden, window: Window, paper: str, channels: int, color: str):
    expected = golden[f"{paper}_{color}"][1]
    assert score("SSIM", channels=channels, window=window) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("window", SCIKIT_IMAGE)
@pytest.mark.parametrize("strength", [0.5, 8.0, 60.0])
def test_agrees_with_scikit_image(window: Window, strength: float):
    target = np.ascontiguousarray(data.astronaut()[:201, 40:191])
    result = noisy(target, strength)
    expected = structural_similarity(target, result, channel_axis=2, data_range=255, **SCIKIT_IMAGE[window])
    assert SSIM(window=window)(to_tensor(result), to_tensor(target)).item() == pytest.approx(expected, abs=5e-6)


def test_bright_flat_images_keep_their_precision():
    """Where the variance is a difference of large numbers float32 could lose it."""
    target = np.full((80, 80, 1), 254, dtype=np.uint8)
    result = noisy(target, 1.0)
    expected = structural_similarity(target[..., 0], result[..., 0], data_range=255, **SCIKIT_IMAGE["gaussian11"])
    assert SSIM()(to_tensor(result), to_tensor(target)).item() == pytest.approx(expected, abs=1e-5)


def test_luma_channel_agrees_with_scikit_image_on_luma():
    target = data.astronaut()[:64, :70]
    result = noisy(target, 10.0)
    y_target, y_result = (luma_uint8(image)[..., 0] for image in (target, result))
    expected = structural_similarity(y_target, y_result, data_range=255, **SCIKIT_IMAGE["gaussian11"])
    value = SSIM(channel="y")(to_tensor(result), to_tensor(target)).item()
    assert value == pytest.approx(expected, abs=2e-3)  # theirs is of rounded luma
    assert value != expected


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["gaussian11", "uniform8", "uniform7"]), st.integers(11, 90), st.integers(11, 60), st.integers(0, 9)
)
def test_properties_at_any_size(window: Window, height: int, width: int, seed: int):
    """Symmetric, at most 1, 1 for equal images, and a batch is its images one by one."""
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randint(0, 256, (2, 2, 3, height, width), generator=generator) / 255
    metric = SSIM(window=window)
    values = metric(x, y)
    assert values.dtype == torch.float64
    assert values.shape == (2,)
    assert torch.equal(values, metric(y, x))
    assert (values < 1).all()
    assert torch.equal(metric(x, x), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(values, torch.cat([metric(x[:1], y[:1]), metric(x[1:], y[1:])]), rtol=0, atol=1e-9)
    flipped = metric(x.flip(-1).mT, y.flip(-1).mT)
    torch.testing.assert_close(values, flipped, rtol=0, atol=1e-6)


@given(st.integers(1, 5))
def test_border_is_cropping_by_hand(border: int):
    target = to_tensor(data.astronaut()[:40, :33])
    result = to_tensor(noisy(data.astronaut()[:40, :33], 20.0))
    inner = (..., slice(border, -border), slice(border, -border))
    assert torch.equal(SSIM(border=border)(result, target), SSIM()(result[inner], target[inner]))


@pytest.mark.parametrize(("window", "side"), [("gaussian11", 11), ("uniform8", 8), ("uniform7", 7)])
def test_image_must_hold_the_window(window: Window, side: int):
    fits = torch.rand(1, 1, side, side + 3, generator=torch.Generator().manual_seed(0))
    assert SSIM(window=window)(fits, fits).item() == 1
    with pytest.raises(UserError, match=f"{side}x{side}"):
        SSIM(window=window)(fits[..., 1:, :], fits[..., 1:, :])


def test_describe_names_the_convention():
    assert SSIM().describe(3) == "RGB, uint8"
    assert SSIM(channel="y", border=2, window="uniform8").describe(3) == "Y, uint8, border 2, 8x8 window"
    assert (SSIM.unit, SSIM.higher_is_better) == ("", True)
