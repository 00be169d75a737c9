import numpy as np
import pytest

from powerqe.dataset.augment import mix
from powerqe.dataset.quality import Range, read_quality
from powerqe.utils.codecs import JPEG


def drawn(quality, count=2000):
    return np.array([read_quality(JPEG(), quality).draw(mix(seed)) for seed in range(count)])


def test_every_quality_of_a_range_is_equally_likely():
    counts = np.bincount(drawn({"min": 5, "max": 14}), minlength=15)[5:]
    assert len(counts) == 10
    assert counts.min() > 150
    assert counts.max() < 250


@pytest.mark.parametrize(("power", "mean"), [(1.0, 0.5), (2.0, 1 / 3), (0.5, 2 / 3)])
def test_a_power_shifts_the_mean_to_its_own(power, mean):
    values = drawn(Range(min=1, max=100, power=power))
    assert values.min() >= 1
    assert values.max() <= 100
    assert (values.mean() - 1) / 99 == pytest.approx(mean, abs=0.02)


def test_a_list_is_drawn_from():
    values, counts = np.unique(drawn([10, 40, 90]), return_counts=True)
    assert values.tolist() == [10, 40, 90]
    assert counts.min() > 550
