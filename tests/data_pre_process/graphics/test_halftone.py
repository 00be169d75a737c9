"""The matrix of ordered dithering."""

import numpy as np
import pytest

from powerqe.data_pre_process.graphics.halftone import bayer


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_matrix_has_each_threshold_once(order):
    size = 4**order
    assert np.allclose(np.sort(bayer(order).ravel()), (np.arange(size) + 0.5) / size)


def test_the_matrix_of_two_by_two():
    assert np.array_equal(np.rint(bayer(1) * 4 - 0.5), [[0, 2], [3, 1]])


def test_the_first_dots_are_spread_evenly():
    first = bayer(3) < 1 / 16
    rows, columns = np.nonzero(first)
    assert len(rows) == 4
    assert {(row % 4, column % 4) for row, column in zip(rows, columns, strict=True)} == {(0, 0)}
