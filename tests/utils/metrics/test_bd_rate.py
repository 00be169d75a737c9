"""utils/metrics/bd_rate.py: distances between curves of quality over rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerqe.utils.errors import UserError
from powerqe.utils.metrics.bd_rate import RatePoint, bd_rate

# Rates and PSNR that implementations of this measure commonly show as their example.
ANCHOR = [RatePoint(686.76, 40.28), RatePoint(309.58, 37.18), RatePoint(157.11, 34.24), RatePoint(85.95, 31.42)]
TEST = [RatePoint(893.34, 40.39), RatePoint(407.8, 37.21), RatePoint(204.93, 34.17), RatePoint(112.75, 31.24)]


def test_a_known_example():
    """The figures: Lagrange's polynomials through the points, integrated by the trapezoidal rule in 200,000 steps."""
    assert bd_rate(ANCHOR, TEST) == pytest.approx(31.397374, abs=1e-6)


FIVE = [
    RatePoint(8450, 29.96),
    RatePoint(15877, 32.87),
    RatePoint(30412, 35.94),
    RatePoint(61250.5, 39.18),
    RatePoint(120000, 42.61),
]
FIVE_OTHERS = [
    RatePoint(7600, 30.21),
    RatePoint(14100, 32.9),
    RatePoint(27000, 35.81),
    RatePoint(52000, 38.97),
    RatePoint(101000, 42.18),
]


@pytest.mark.parametrize(
    ("anchor", "test", "expected"),
    [
        (ANCHOR, TEST, 31.3973740549095),
        (TEST, ANCHOR, -23.894978328706085),
        (FIVE, FIVE_OTHERS, -10.714343565350893),
        (FIVE_OTHERS, FIVE, 12.000072568423171),
        (FIVE, FIVE_OTHERS[:-1], -10.893654579961066),
    ],
)
def test_as_the_package_bjontegaard(anchor, test, expected):
    """The figures: bd_rate(..., method="cubic") of bjontegaard 1.3.0."""
    assert bd_rate(anchor, test) == pytest.approx(expected, abs=1e-7)


def test_the_order_of_the_points_does_not_matter():
    assert bd_rate(ANCHOR[::-1], TEST) == pytest.approx(bd_rate(ANCHOR, TEST))


def test_there_and_back_is_no_way():
    there, back = bd_rate(ANCHOR, TEST), bd_rate(TEST, ANCHOR)
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1)


@given(st.floats(0.1, 10))
def test_a_factor_of_the_rate_is_found(factor):
    curve = [*ANCHOR, RatePoint(1500, 42.9)]  # five points: a fit
    assert bd_rate(curve, [RatePoint(factor * rate, psnr) for rate, psnr in curve]) == pytest.approx(100 * factor - 100)


@pytest.mark.parametrize(
    ("points", "what"),
    [
        (TEST[:3], r"3 points.*needs 4"),
        (
            [*TEST[:3], RatePoint(112.75, 39)],
            r"112.75.*39.000 dB, 204",
        ),
        ([*TEST[:3], TEST[2]], "does not grow"),
        ([*TEST[:3], RatePoint(0, 30)], "not a positive, finite number"),
        ([*TEST[:3], RatePoint(1000, float("inf"))], "not a positive, finite number"),
        ([RatePoint(rate, psnr + 10) for rate, psnr in TEST], "no qualities in common"),
    ],
)
def test_curves_without_a_distance(points, what):
    with pytest.raises(UserError, match=what):
        bd_rate(ANCHOR, points)


def test_the_anchor_is_named():
    with pytest.raises(UserError, match="2 points"):
        bd_rate(ANCHOR[:2], TEST)
