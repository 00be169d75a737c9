"""Area down-sampling."""

import numpy as np
import pytest

from utils.errors import UserError
from utils.resize import area_downsample


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


def test_an_image_smaller_than_the_factor_is_refused():
    assert area_downsample(noise(3, 3, 3), 3).shape == (1, 1, 3)
    with pytest.raises(UserError, match="9x2 pixels cannot be reduced 3 times"):
        area_downsample(noise(2, 9, 3), 3)
