from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerqe.dataset.augment import Dice, mix, random_between, random_crop, random_symmetry
from powerqe.utils.image.crop import CropBox

SEEDS = st.integers(0, 2**64 - 1)


@given(SEEDS, st.integers(1, 50), st.integers(0, 50), st.integers(0, 50))
def test_windows_lie_inside(seed, patch, more_rows, more_columns):
    window = random_crop(seed, patch + more_rows, patch + more_columns, patch)
    assert window.cut(np.zeros((patch + more_rows, patch + more_columns, 1))).shape == (patch, patch, 1)
    assert min(window) >= 0


def test_windows_are_uniform_in_both_directions_and_independent():
    places = Counter(random_crop(seed, 12, 13, 10)[:2] for seed in range(12_000))
    assert len(places) == 3 * 4
    assert all(abs(count - 1000) < 150 for count in places.values())  # 5 standard deviations


def test_scaled_window_is_the_same_part():
    large = np.arange(40 * 40).reshape(40, 40, 1)
    small = large[::4, ::4]
    window = CropBox(2, 3, 5, 4)
    np.testing.assert_array_equal(window.scaled(4).cut(large)[::4, ::4], window.cut(small))


@pytest.mark.parametrize(
    ("flip", "rotate", "expected"),
    [(False, False, {0}), (True, False, {0, 1, 2, 3}), (False, True, {0, 4}), (True, True, set(range(8)))],
)
def test_symmetries_are_uniform(flip, rotate, expected):
    counts = Counter(random_symmetry(seed, flip, rotate) for seed in range(8000))
    assert set(counts) == expected
    assert all(abs(count - 8000 / len(expected)) < 5 * (8000 / len(expected)) ** 0.5 for count in counts.values())


def test_qualities_are_uniform():
    counts = Counter(random_between(seed, 10, 13) for seed in range(4000))
    assert set(counts) == {10, 11, 12, 13}
    assert all(abs(count - 1000) < 150 for count in counts.values())


@given(SEEDS, SEEDS)
def test_mix_depends_on_every_number_and_their_order(a, b):
    assert 0 <= mix(a, b) < 2**64
    if a != b:
        assert mix(a, b) != mix(b, a)
        assert mix(a) != mix(b)


def test_dice_are_uniform_and_depend_on_the_seed_only():
    dice, again = Dice(7), Dice(7)
    thrown = [dice.unit() for _ in range(2000)]
    assert thrown == [again.unit() for _ in range(2000)]
    assert np.histogram(thrown, 10, (0, 1))[0].min() > 150
    assert thrown[:3] != [Dice(8).unit() for _ in range(3)]
    assert {dice.between(2, 4) for _ in range(50)} == {2, 3, 4}
    within = [dice.within(0.5, 2) for _ in range(500)]
    assert 0.5 <= min(within) < 0.6
    assert 1.9 < max(within) < 2


def test_dice_pick_by_weight_and_never_a_weight_of_zero():
    dice = Dice(1)
    counts = np.bincount([dice.pick([0, 3, 0, 1, 0]) for _ in range(4000)], minlength=5)
    assert counts[[0, 2, 4]].tolist() == [0, 0, 0]
    assert counts[1] / 4000 == pytest.approx(0.75, abs=0.03)
