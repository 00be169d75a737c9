import numpy as np
import pytest

from powerqe.dataset.augment import Dice
from powerqe.dataset.degradations import DegradedPair
from powerqe.dataset.degradations.noise import GaussianNoise, PoissonNoise
from powerqe.utils.errors import UserError


def errors(step, level, seed=0, channels=3):
    image = np.full((80, 80, channels), level, np.uint8)
    made = step.draw(Dice(seed)).apply(DegradedPair(image, image), 1)
    assert made.gt is image
    assert made.lq.dtype == np.uint8
    return made.lq.astype(float) - level


def test_gaussian_noise_has_its_standard_deviation():
    found = [errors(GaussianNoise(sigma=(2, 20)), 128, seed).std() for seed in range(60)]
    assert 1.9 < min(found) < 4
    assert 18 < max(found) < 20.5
    assert errors(GaussianNoise(sigma=(10, 10)), 128).mean() == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize(("gray", "low", "high"), [(0, 0, 0), (0.5, 10, 30), (1, 40, 40)])
def test_gray_noise_is_the_same_in_all_channels(gray, low, high):
    noises = [errors(GaussianNoise(sigma=(10, 10), gray=gray), 128, seed) for seed in range(40)]
    assert low <= sum(bool((noise == noise[..., :1]).all()) for noise in noises) <= high


@pytest.mark.parametrize("level", [40, 160])
def test_the_variance_of_poisson_noise_grows_with_the_light(level):
    """Of n = level / 255 photons it is n, that is level x 255 / photons in levels."""
    noise = errors(PoissonNoise(photons=(1000, 1000)), level)
    assert noise.var() == pytest.approx(level * 255 / 1000, rel=0.05)
    assert noise.mean() == pytest.approx(0, abs=0.2)


def test_the_same_dice_make_the_same_noise_and_others_another():
    for step in (GaussianNoise(sigma=(5, 9)), PoissonNoise(photons=(50, 90))):
        np.testing.assert_array_equal(errors(step, 99, 4, channels=1), errors(step, 99, 4, channels=1))
        assert (errors(step, 99, 4) != errors(step, 99, 5)).any()


def test_mistakes():
    with pytest.raises(UserError, match="sigma"):
        GaussianNoise(sigma=(3, 2))
    with pytest.raises(UserError, match="photons"):
        PoissonNoise(photons=(0, 2))
