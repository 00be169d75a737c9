"""Luma: known colors, scikit-image, and exact rounding."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from skimage.color import rgb2ycbcr

from powerqe.utils.image.color import luma, luma_uint8

PRIMARIES = {  # 8-bit codes of 100 % color bars
    (0, 0, 0): 16,
    (255, 255, 255): 235,
    (255, 0, 0): 81,
    (0, 255, 0): 145,
    (0, 0, 255): 41,
    (255, 255, 0): 210,
}


@pytest.mark.parametrize(("rgb", "code"), PRIMARIES.items())
def test_luma_of_the_color_bars(rgb: tuple[int, int, int], code: int):
    image = np.array(rgb, dtype=np.uint8).reshape(1, 1, 3)
    assert luma_uint8(image).tolist() == [[[code]]]
    tensor = torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1) / 255
    assert round(luma(tensor).item() * 255) == code


def test_luma_is_unrounded_and_keeps_shape_and_type():
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    tensor = torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None].double() / 255
    y = luma(tensor)
    assert y.shape == (1, 1, 5, 7)
    assert y.dtype == torch.float64
    np.testing.assert_allclose(y[0, 0].numpy() * 255, rgb2ycbcr(rgb)[..., 0], rtol=0, atol=1e-9)


@given(st.tuples(*[st.integers(0, 255)] * 3))
@example((0, 204, 68))  # 125.5 exactly
@example((1, 173, 225))
def test_luma_uint8_rounds_halves_up_exactly(rgb: tuple[int, int, int]):
    weights = (Fraction(65481, 1000), Fraction(128553, 1000), Fraction(24966, 1000))
    exact = 16 + sum(weight * value for weight, value in zip(weights, rgb, strict=True)) / 255
    y = luma_uint8(np.array(rgb, dtype=np.uint8).reshape(1, 1, 3))
    assert y.dtype == np.uint8
    assert y.item() == floor(exact + Fraction(1, 2))


def test_luma_uint8_of_an_image_equals_rounded_luma():
    rgb = np.random.default_rng(1).integers(0, 256, (9, 4, 3), dtype=np.uint8)
    y = luma_uint8(rgb)
    assert y.shape == (9, 4, 1)
    np.testing.assert_array_equal(y[..., 0], np.round(rgb2ycbcr(rgb)[..., 0]))
