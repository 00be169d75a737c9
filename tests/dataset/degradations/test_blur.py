import numpy as np
import pytest

from powerqe.dataset.augment import Dice
from powerqe.dataset.degradations import DegradedPair
from powerqe.dataset.degradations.blur import Blur, gaussian
from powerqe.utils.errors import UserError


def spread(kernel):
    """Covariance of x and y."""
    reach = len(kernel) // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.array([[(kernel * a * b).sum() for a in (x, y)] for b in (x, y)])


def test_a_kernel_has_its_standard_deviations_in_its_directions():
    np.testing.assert_allclose(spread(gaussian(2, 1, 0.7)), [[4, 0], [0, 4]], atol=0.12)
    np.testing.assert_allclose(spread(gaussian(2, 0.5, 0)), [[4, 0], [0, 1]], atol=0.12)
    np.testing.assert_allclose(spread(gaussian(2, 0.5, np.pi / 2)), [[1, 0], [0, 4]], atol=0.12)
    assert spread(gaussian(2, 0.5, np.pi / 4))[0, 1] == pytest.approx(1.5, abs=0.1)
    assert gaussian(3, 0.2, 1).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_only_lq_is_blurred_and_keeps_its_mean(channels):
    image = np.random.default_rng(0).integers(0, 256, (40, 50, channels), np.uint8)
    pair = DegradedPair(image, image, 30)
    deviations = []
    for seed in range(30):
        made = Blur(sigma=(0.5, 3), ratio=(0.3, 1)).draw(Dice(seed)).apply(pair, 1)
        assert made.gt is image
        assert made.lq.shape == image.shape
        assert made.quality == -1
        assert made.lq.mean() == pytest.approx(image.mean(), abs=3)
        deviations.append(made.lq.std())
    assert max(deviations) < image.std()
    assert max(deviations) > 2 * min(deviations)


def test_mistakes():
    for wrong, name in (({"sigma": (0, 1)}, "sigma"), ({"sigma": (1, 2), "ratio": (0.5, 1.5)}, "ratio")):
        with pytest.raises(UserError, match=name):
            Blur(**wrong)
