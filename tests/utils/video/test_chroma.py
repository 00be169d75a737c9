"""Where chroma lies: a ramp stays a ramp, and the mean stays the mean."""

import numpy as np
import pytest

from powerqe.utils.video.chroma import SITES, enlarged, reduced


@pytest.mark.parametrize("location", range(6))
@pytest.mark.parametrize("steps", [(1, 1), (1, 2), (2, 2)])
def test_a_ramp_is_where_it_was(location, steps):
    site = SITES[location]
    down, right = (offset if step == 2 else 0 for offset, step in zip(site, steps, strict=True))
    y, x = np.mgrid[:8, :12]
    pixels = (3 * y + 5 * x).astype(np.float32)
    rows, columns = np.mgrid[: 8 // steps[0], : 12 // steps[1]]
    samples = (3 * (steps[0] * rows + down) + 5 * (steps[1] * columns + right)).astype(np.float32)
    inside = np.s_[2:-2, 2:-2]
    np.testing.assert_allclose(enlarged(samples, steps, site)[inside], pixels[inside])
    np.testing.assert_allclose(reduced(pixels, steps, site)[1:-1, 1:-1], samples[1:-1, 1:-1])


def test_centered_chroma_is_the_mean_of_its_four_pixels():
    pixels = np.random.default_rng(0).random((4, 6))
    np.testing.assert_allclose(reduced(pixels, (2, 2), SITES[1]), pixels.reshape(2, 2, 3, 2).mean((1, 3)), rtol=1e-6)


@pytest.mark.parametrize("site", SITES)
def test_even_color_stays_also_at_the_border(site):
    assert (enlarged(np.full((1, 2), 7, np.uint8), (2, 2), site) == 7).all()
    assert (reduced(np.full((2, 2), 7, np.uint8), (2, 2), site) == 7).all()
