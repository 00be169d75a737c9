import numpy as np
import pytest

from powerqe.dataset.augment import Dice
from powerqe.dataset.degradations import DegradedPair
from powerqe.dataset.degradations.groups import OneOf, Sequence
from powerqe.utils.errors import UserError

JPEGS = [{"type": "JPEG", "quality": quality} for quality in (10, 20, 30)]


def qualities(step, count=600):
    clean = DegradedPair(*2 * [np.zeros((8, 8, 1), np.uint8)])
    return [step.draw(Dice(seed)).apply(clean, 1).quality for seed in range(count)]


def test_steps_happen_in_order_and_each_to_its_own_share():
    assert set(qualities(Sequence(steps=JPEGS), 20)) == {30}
    drawn = qualities(Sequence(steps=[JPEGS[0], {**JPEGS[1], "share": 0.5}, {**JPEGS[2], "share": 0.5}]))
    shares = [drawn.count(quality) / len(drawn) for quality in (10, 20, 30)]
    assert shares == pytest.approx([0.25, 0.25, 0.5], abs=0.06)


def test_a_sequence_within_a_sequence_happens_as_a_whole():
    inner = {"type": "Sequence", "steps": JPEGS[1:], "share": 0.3}
    drawn = qualities(Sequence(steps=[JPEGS[0], inner]))
    assert set(drawn) == {10, 30}
    assert drawn.count(30) / len(drawn) == pytest.approx(0.3, abs=0.06)


def test_what_steps_need_adds_up():
    steps = [{"type": "JPEG", "quality": 10, "crop": 7}] * 2
    needs = {Sequence(steps=steps).draw(Dice(seed)).needs(50) for seed in range(300)}
    assert min(needs) < 56
    assert max(needs) == 64


def test_needed_size_is_computed_from_the_last_step():
    half, crop = {"type": "Resize", "factor": [0.5, 0.5]}, {"type": "JPEG", "quality": 10, "crop": 7}
    after = {Sequence(steps=[half, crop]).draw(Dice(seed)).needs(50) for seed in range(99)}
    before = {Sequence(steps=[crop, half]).draw(Dice(seed)).needs(50) for seed in range(99)}
    assert after == set(range(100, 116, 2))
    assert before == set(range(100, 108))


def test_one_of_several_by_weight():
    drawn = qualities(OneOf(steps=[{**JPEGS[0], "share": 0.6}, {**JPEGS[1], "share": 0.2}, {**JPEGS[2], "share": 0}]))
    assert set(drawn) == {10, 20}
    assert drawn.count(10) / len(drawn) == pytest.approx(0.75, abs=0.06)


def test_mistakes():
    for group in (Sequence, OneOf):
        with pytest.raises(UserError, match="found no step"):
            group(steps=[])
    with pytest.raises(UserError, match="all shares are 0"):
        OneOf(steps=[{**JPEGS[0], "share": 0}])
    with pytest.raises(UserError, match=r"step 0 \(OneOf\): step 1 \(JPEG\): qf0"):
        Sequence(steps=[{"type": "OneOf", "steps": [JPEGS[0], {"type": "JPEG", "quality": 0}]}])
