"""Area down-sampling and MATLAB's bicubic interpolation."""

import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerqe.utils.errors import UserError
from powerqe.utils.image.imresize import area_downsample, bicubic_downsample, crop_to_multiple, imresize


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_the_rounded_mean_of_blocks(factor, channels):
    image = noise(5 * factor, 7 * factor, channels)
    means = image.reshape(5, factor, 7, factor, channels).mean(axis=(1, 3))
    small = area_downsample(image, factor)
    assert small.dtype == np.uint8
    assert small.shape == means.shape
    assert np.abs(small - means).max() <= 0.5 + 1e-5


def test_a_side_that_is_no_multiple_is_not_cropped():
    image = np.zeros((4, 7, 1), np.uint8)
    image[:, 6:] = 210  # the last of seven columns covers 3/7 of the last of three output columns
    assert area_downsample(image, 2).squeeze(2).tolist() == [[0, 0, 90]] * 2


def test_bicubic_crops_a_side_that_is_no_multiple():
    image = noise(23, 35, 3)
    np.testing.assert_array_equal(bicubic_downsample(image, 4), imresize(image[:20, :32], Fraction(1, 4)))


@pytest.mark.parametrize("method", [area_downsample, bicubic_downsample])
def test_an_image_smaller_than_the_factor_is_refused(method):
    assert method(noise(3, 3, 3), 3).shape == (1, 1, 3)
    with pytest.raises(UserError, match=r"9x2.*3 times"):
        method(noise(2, 9, 3), 3)


RECORDED = {"half": Fraction(1, 2), "third": Fraction(1, 3), "quarter": Fraction(1, 4), "x2": Fraction(2)}


@pytest.mark.parametrize("name", [*RECORDED, "odd"])
def test_imresize_gives_the_recorded_images_of_the_original(name, root):
    recorded = np.load(root / "tests/data/matlab_imresize_cisr.npz")
    image = recorded["x"][:23, :35] if name == "odd" else recorded["x"]
    result = imresize(image, RECORDED.get(name, Fraction(1, 2)))
    np.testing.assert_array_equal(result, recorded[f"y_{name}"])
    assert result.dtype == np.uint8


def keys(x: float) -> float:
    x = abs(x)
    if x >= 2:
        return 0.0
    return (1.5 * x - 2.5) * x * x + 1 if x < 1 else ((-0.5 * x + 2.5) * x - 4) * x + 2


def resized_row(row: list[int], factor: Fraction) -> list[float]:
    """What MATLAB's documentation says, pixel by pixel."""
    shrink, mirrored, out = min(factor, Fraction(1)), row + row[::-1], []
    for i in range(math.ceil(len(row) * factor)):
        center = (i + Fraction(1, 2)) / factor - Fraction(1, 2)
        reach = 2 / shrink
        taps = range(math.floor(center - reach), math.ceil(center + reach) + 1)
        weights = [keys(float(shrink * (center - j))) for j in taps]
        out.append(sum(w * mirrored[j % len(mirrored)] for w, j in zip(weights, taps, strict=True)) / sum(weights))
    return out


@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=30),
    st.fractions(Fraction(1, 9), 5, max_denominator=9),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_imresize_is_the_mirrored_stretched_cubic(row, factor, upright):
    image = np.array(row, np.uint8).reshape((-1, 1, 1) if upright else (1, -1, 1))
    expected = np.clip(resized_row(row, factor), 0, 255)
    result = imresize(image, factor)
    line = result[:, 0, 0] if upright else result[0, :, 0]
    assert len(line) == math.ceil(len(row) * factor)
    assert np.abs(line - expected).max() <= 0.5 + 1e-9
    assert (result == (result[:1] if not upright else result[:, :1])).all()  # the axis of length 1 stays constant


def column(*values: int) -> np.ndarray:
    return np.array(values, np.uint8)[:, None, None]


def test_halves_go_to_the_even_number():
    """The kernel at 1/4 and 3/4 is 111/128 and 29/128: of 64 pixels 55.5 and 14.5."""
    assert imresize(column(0, 0, 64, 0, 0), 2)[3:7, 0, 0].tolist() == [14, 56, 56, 14]


def test_what_overshoots_is_cut():
    edge = [0] * 4 + [255] * 4
    smooth, sharp = (np.array(resized_row(edge, Fraction(factor))) for factor in ("1/2", "2"))
    for expected, factor in ((smooth, Fraction(1, 2)), (sharp, Fraction(2))):
        assert (expected < -1).any()
        assert (expected > 256).any()
        result = imresize(column(*edge), factor)[:, 0, 0]
        np.testing.assert_array_equal(result, expected.round().clip(0, 255))


@pytest.mark.parametrize("factor", [Fraction(1, 2), Fraction(1, 3), Fraction(1, 4), Fraction(1, 8), 2, 3, 4])
def test_a_part_has_the_pixels_of_the_whole(factor):
    """Two pixels of the smaller image from the edge of the part on, to the bit, whatever else is in the image."""
    image = noise(120, 144, 3)
    part = image[24:96, 48:120]
    unit = Fraction(factor)
    top, left, side = int(24 * unit), int(48 * unit), int(72 * unit)
    whole = imresize(image, factor)[top : top + side, left : left + side]
    margin = 2 * max(1, int(unit))
    inside = np.s_[margin:-margin, margin:-margin]
    np.testing.assert_array_equal(imresize(part, factor)[inside], whole[inside])


def test_every_channel_alone_and_views_too():
    image = noise(33, 47, 3)
    for factor in (Fraction(1, 3), 3, Fraction(3, 2)):
        whole = imresize(image, factor)
        alone = [imresize(image[..., i : i + 1], factor) for i in range(3)]
        np.testing.assert_array_equal(whole, np.concatenate(alone, axis=2))
        np.testing.assert_array_equal(imresize(image[::-1, ::-1][::-1, ::-1], factor), whole)


def test_factor_one_and_bad_factors():
    image = noise(3, 5, 1)
    np.testing.assert_array_equal(imresize(image, 1), image)
    for factor in (0, -2):
        with pytest.raises(ValueError, match="positive"):
            imresize(image, factor)


def test_crop_to_multiple():
    image = noise(8, 11, 3)
    np.testing.assert_array_equal(crop_to_multiple(image, 3), image[:6, :9])
    assert crop_to_multiple(image, 1).shape == image.shape


def test_the_data_scripts_need_no_torch():
    code = "import sys, powerqe.utils.image.imresize; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
