"""PSNR, and the preparation that all metrics share."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from powerqe.utils.errors import UserError
from powerqe.utils.image.color import luma
from powerqe.utils.metrics import METRICS
from powerqe.utils.metrics.psnr import PSNR
from powerqe.utils.options.components import validate_component


def make_images(seed: int, channels: int = 3, number: int = 2, height: int = 19, width: int = 13) -> list[torch.Tensor]:
    """Two (N, C, H, W) of 8-bit values."""
    generator = torch.Generator().manual_seed(seed)
    shape = (2, number, channels, height, width)
    return list(torch.randint(0, 256, shape, generator=generator) / 255)


def test_golden_values(score, golden):
    assert score("PSNR") == pytest.approx(golden["fb_color"][0], abs=1e-6)
    assert score("PSNR", channels=1) == pytest.approx(golden["fb_gray"][0], abs=1e-6)
    assert score("PSNR", border=8) == pytest.approx(golden["edsr_rgb"], abs=1e-4)
    for name, value in (("cisr", golden["cisr"][0]), ("edsr_y", golden["edsr_y"])):
        assert score("PSNR", channel="y", border=2) == pytest.approx(value, abs=1e-5), name


@given(st.integers(0, 1000))
def test_agrees_with_scikit_image_per_image(seed: int):
    result, target = make_images(seed)
    expected = [
        peak_signal_noise_ratio((t * 255).round().byte().numpy(), (r * 255).round().byte().numpy())
        for r, t in zip(result, target, strict=True)
    ]
    values = PSNR()(result, target)
    assert values.dtype == torch.float64
    assert values.shape == (2,)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-9)


def test_equal_images_are_infinite_and_nan_is_not_hidden():
    result, target = make_images(0)
    target[0] = result[0]
    result[1, 0, 0, 0] = torch.nan
    values = PSNR()(result, target)
    assert values[0] == torch.inf
    assert values[1].isnan()


def test_one_step_of_one_pixel_in_a_large_image():
    target = torch.full((1, 3, 512, 512), 100 / 255)
    result = target.clone()
    result[0, 0, 0, 0] += 1 / 255
    assert PSNR()(result, target).item() == pytest.approx(10 * np.log10(255**2 * 3 * 512**2), abs=1e-9)


@given(st.integers(0, 1000))
def test_is_symmetric(seed: int):
    result, target = make_images(seed)
    assert torch.equal(PSNR()(result, target), PSNR()(target, result))


@given(st.integers(0, 1000), st.sampled_from([1, 3]), st.integers(1, 6))
def test_border_is_cropping_by_hand(seed: int, channels: int, border: int):
    result, target = make_images(seed, channels)
    inner = (..., slice(border, -border), slice(border, -border))
    assert torch.equal(PSNR(border=border)(result, target), PSNR()(result[inner], target[inner]))


def test_result_is_clamped():
    result, target = make_images(1)
    spread = torch.where(result > 0.5, result + 3 * (result == 1), result - 3 * (result == 0))
    spread[0, 0, 0, 0], result[0, 0, 0, 0] = 1.7, 1.0
    spread[0, 0, 0, 1], result[0, 0, 0, 1] = -0.7, 0.0
    for rounding in ("uint8", "float"):
        metric = PSNR(rounding=rounding)
        assert torch.equal(metric(spread, target), metric(result, target))


def test_rounding_is_that_of_an_8_bit_file():
    target = torch.full((1, 1, 4, 4), 100 / 255)
    result = target + 0.4 / 255
    assert PSNR()(result, target).item() == torch.inf
    expected = 10 * np.log10(255**2 / 0.4**2)
    assert PSNR(rounding="float")(result, target).item() == pytest.approx(expected, abs=1e-3)


def test_luma_is_taken_of_the_rounded_image_and_not_rounded_itself():
    generator = torch.Generator().manual_seed(3)
    result, target = torch.rand(2, 1, 3, 8, 9, generator=generator)
    luma_steps = [luma((image.double() * 255).round() / 255) * 255 for image in (result, target)]
    mse = (luma_steps[0] - luma_steps[1]).square().mean().item()
    assert PSNR(channel="y")(result, target).item() == pytest.approx(10 * np.log10(255**2 / mse), abs=1e-5)


def test_one_channel_is_luma_already():
    result, target = make_images(4, channels=1)
    assert torch.equal(PSNR(channel="y")(result, target), PSNR()(result, target))


@pytest.mark.parametrize(
    ("options", "channels", "text"),
    [
        ({}, 3, "RGB, uint8"),
        ({}, 1, "Y, uint8"),
        ({"channel": "y", "border": 2}, 3, "Y, uint8, border 2"),
        ({"rounding": "float"}, 3, "RGB, float"),
        ({}, 4, "4 channels, uint8"),
    ],
)
def test_describe_names_the_convention(options, channels: int, text: str):
    assert PSNR(**options).describe(channels) == text


def test_is_a_registered_metric_with_its_options():
    assert {"LPIPS", "PSNR", "PSNRB", "SSIM"} <= set(METRICS.names())
    assert (PSNR.unit, PSNR.higher_is_better) == ("dB", True)
    with pytest.raises(UserError, match=r"border"):
        validate_component("metric", {"type": "PSNR", "border": -1})
    with pytest.raises(UserError, match=r"channel"):
        validate_component("metric", {"type": "PSNR", "channel": "luma"})


@pytest.mark.parametrize("border", [6, 9, -1])
def test_border_that_leaves_nothing_is_an_error(border: int):
    with pytest.raises(UserError, match="border"):
        PSNR(border=border)(*make_images(0, width=12))


def test_different_sizes_are_an_error():
    result, target = make_images(0)
    with pytest.raises(UserError, match=r"19x12.*3 channels.*19x13"):
        PSNR()(result[..., 1:], target)


def test_luma_of_four_channels_is_an_error():
    with pytest.raises(UserError, match="found 4 channels"):
        PSNR(channel="y")(*make_images(0, channels=4))
