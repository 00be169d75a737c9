"""utils/metrics/fluctuation.py: the statistics of a curve of PSNR."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerqe.utils.metrics.fluctuation import deviation, peak_separation, peak_valley_difference, peaks, valleys

WORKED = [36.0, 31.0, 31.6, 31.2, 33.0, 31.4, 32.0, 31.1, 32.8, 31.3]
CURVES = st.lists(st.integers(0, 20).map(float), max_size=30)


def test_the_worked_example():
    assert peaks(WORKED) == [2, 4, 6, 8]
    assert valleys(WORKED) == [1, 3, 5, 7]
    assert peak_valley_difference(WORKED) == pytest.approx(1.1625)  # of 0.5, 1.7, 0.75, 1.7
    assert peak_separation(WORKED) == 2
    assert deviation(WORKED) == pytest.approx(1.4458, abs=5e-5)  # and not 1.5240, divided by n - 1


def test_of_two_equally_near_valleys_the_mean_counts_and_of_others_the_nearest():
    assert peak_valley_difference([5, 1, 4, 2, 5]) == 4 - 1.5
    assert peak_valley_difference([9, 1, 3, 5, 4, 9]) == 5 - 4
    assert peak_valley_difference([9, 4, 5, 3, 1, 9]) == 5 - 4


def test_plateaus_and_ends_are_neither_peaks_nor_valleys():
    curve = [9, 1, 1, 5, 5, 2, 3]
    assert peaks(curve) == []
    assert valleys(curve) == [5]
    assert math.isnan(peak_valley_difference(curve))
    assert math.isnan(peak_valley_difference([1, 5, 1]))  # a peak, but no valley
    assert math.isnan(peak_separation([1, 5, 1]))
    assert math.isnan(deviation([]))


def test_with_the_peaks_of_another_curve_its_frames_are_compared():
    before = [5, 1, 4, 2, 5]
    assert peak_valley_difference([5, 5, 5, 5, 5], before) == 0
    assert peak_valley_difference([7, 5, 4, 5, 7], before) == -1
    with pytest.raises(ValueError, match="3 and 5 frames"):
        peak_valley_difference([1, 2, 3], before)


def test_perfect_frames_are_peaks_but_no_difference_is_taken_from_them():
    inf = math.inf
    assert peaks([1, inf, 1]) == [1]
    assert peak_valley_difference([9, 1, inf, 2, 4, 3, 9]) == 4 - 2.5
    assert deviation([1, inf, 3]) == 1
    assert math.isnan(peak_valley_difference([9, 1, inf, 2, 9]))


@given(CURVES)
def test_turning_a_curve_over_turns_peaks_into_valleys(curve):
    assert peaks([-value for value in curve]) == valleys(curve)
    assert valleys([-value for value in curve]) == peaks(curve)


@given(CURVES, st.integers(-9, 9), st.integers(1, 9))
def test_statistics_follow_shift_and_scale_and_do_not_know_the_direction_of_time(curve, shift, scale):
    moved = [scale * value + shift for value in curve]
    for statistic in (deviation, peak_valley_difference):
        value = statistic(curve)
        if math.isnan(value):
            assert math.isnan(statistic(moved))
        else:
            assert statistic(moved) == pytest.approx(scale * value)
            assert statistic(curve[::-1]) == pytest.approx(value)


@given(CURVES)
def test_a_curve_is_better_at_its_own_peaks(curve):
    assert not peak_valley_difference(curve) < 0
