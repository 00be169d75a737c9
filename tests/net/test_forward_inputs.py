"""Which tensors are images, and how large they are."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from powerqe.net.forward_inputs import ratio_of


@given(st.integers(24, 200), st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 3, 4]))
def test_ratio_of_a_rounded_or_padded_map(pixels: int, stride: int, scale: int):
    padded = -(-pixels // 8) * 8
    for features in (pixels // stride, -(-pixels // stride), padded // stride):
        assert ratio_of(features, pixels, 8) == Fraction(1, stride)
    assert ratio_of(scale * pixels, pixels, 8) == ratio_of(scale * padded, pixels, 8) == scale
    assert ratio_of(scale * pixels, pixels, 1) == scale
