"""The hierarchies of QPs, as the configurations of HM have them."""

import pytest

from powerqe.utils.codecs.qp_patterns import PATTERNS, frame_qps
from powerqe.utils.errors import UserError


@pytest.mark.parametrize(
    ("qp", "expected"),
    [
        (22, [21, 27, 26, 27, 26, 27, 26, 27, 23]),
        (25, [24, 31, 30, 31, 30, 31, 30, 31, 26]),
        (27, [26, 34, 33, 34, 33, 34, 33, 34, 28]),  # logs of HM 16.25 have these at QP 27, 32 and 37
        (30, [29, 38, 36, 38, 36, 38, 36, 38, 31]),
        (32, [31, 40, 39, 40, 39, 40, 39, 40, 33]),
        (37, [36, 45, 44, 45, 44, 45, 44, 45, 38]),
        (42, [41, 50, 49, 50, 49, 50, 49, 50, 43]),
    ],
)
def test_hm18(qp, expected):
    assert frame_qps("ldp-hm18", qp, 9) == expected
    assert frame_qps("ldp-hm18", qp, 19) == expected + expected[1:] + expected[1:3]


def test_hm16_and_flat():
    assert frame_qps("ldp-hm16", 37, 9) == [37, 40, 39, 40, 38, 40, 39, 40, 38]
    assert frame_qps("flat", 30, 4) == [30] * 4


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_one_for_each_frame(pattern, count):
    assert len(frame_qps(pattern, 37, count)) == count


def test_no_such_pattern():
    with pytest.raises(UserError, match=r"unknown.*'ldb'.*ldp-hm16, ldp-hm18"):
        frame_qps("ldb", 37, 3)
