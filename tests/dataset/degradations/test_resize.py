import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerqe.dataset.augment import Dice
from powerqe.dataset.degradations import DegradedPair
from powerqe.dataset.degradations.resize import Resize
from powerqe.utils.errors import UserError

IMAGE = cv2.resize(np.random.default_rng(0).integers(0, 256, (10, 12, 3), np.uint8), (60, 50))
OTHER = 255 - IMAGE


@given(st.floats(0.1, 3), st.integers(1, 40), st.integers(0, 30), st.integers(0, 30), st.integers(0, 99), st.booleans())
def test_what_it_needs_is_enough_and_no_side_becomes_too_short(factor, side, rows, columns, seed, back):
    action = Resize(factor=(factor, factor), back=back).draw(Dice(seed))
    enough = action.needs(side)
    image = np.zeros((enough, enough, 1), np.uint8)
    assert action.apply(DegradedPair(image, image), 1).side >= side
    image = np.zeros((side + rows, side + columns, 1), np.uint8)
    made = action.apply(DegradedPair(image, image), side)
    assert made.lq.shape == made.gt.shape
    assert made.side >= side


@pytest.mark.parametrize("channels", [1, 3])
def test_lq_and_gt_become_smaller_alike(channels):
    lq, gt = IMAGE[..., :channels], OTHER[..., :channels]
    made = Resize(factor=(0.5, 0.5), kernel="area").draw(Dice(0)).apply(DegradedPair(lq, gt, 30), 1)
    means = lq.reshape(25, 2, 30, 2, channels).mean(axis=(1, 3))
    np.testing.assert_allclose(made.lq, means, atol=1.01)  # Pillow rounds rows and columns apart
    np.testing.assert_allclose(made.gt.astype(int), 255 - made.lq.astype(int), atol=2)
    assert made.quality == -1


def test_there_and_back_only_lq_has_lost_detail():
    made = Resize(factor=(0.3, 0.4), back=True).draw(Dice(0)).apply(DegradedPair(IMAGE, OTHER), 50)
    assert made.lq.shape == IMAGE.shape
    assert made.gt is OTHER
    assert made.lq.std() < IMAGE.std()
    assert np.abs(made.lq.astype(int) - IMAGE).mean() < np.abs(IMAGE - IMAGE.mean()).mean()


def test_factors_and_kernels_are_drawn():
    step = Resize(factor=(0.5, 1.5), kernel=["nearest", "cubic"])
    made = [step.draw(Dice(seed)).apply(DegradedPair(IMAGE, IMAGE), 1).lq for seed in range(100)]
    sides = [image.shape[0] for image in made]
    assert 25 <= min(sides) < 30
    assert 70 < max(sides) <= 75
    palette = np.array([0, 255], np.uint8)  # only the nearest kernel makes no new colors
    board = palette[np.random.default_rng(1).integers(0, 2, (50, 60, 1))]
    exact = [set(step.draw(Dice(seed)).apply(DegradedPair(board, board), 1).lq.flat) == {0, 255} for seed in range(100)]
    assert 30 < sum(exact) < 70


def test_mistakes():
    for factor in ((0, 1), (1, 0.5), (-1, 1)):
        with pytest.raises(UserError, match="factor"):
            Resize(factor=factor)
    with pytest.raises(UserError, match="kernel"):
        Resize(factor=(0.5, 1), kernel=[])
