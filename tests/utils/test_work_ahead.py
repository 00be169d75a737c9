import threading
from contextlib import closing

import pytest

from powerqe.utils.work_ahead import in_two_steps, work_ahead


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_order_and_no_more_are_taken_than_promised(threads):
    taken: list[int] = []
    items = (taken.append(number) or number for number in range(10))
    for number, result in enumerate(work_ahead(lambda item: item * item, items, threads)):
        assert result == number**2
        assert len(taken) <= number + 1 + threads
    assert taken == list(range(10))


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_comes_in_the_place_of_its_result(threads):
    found = work_ahead(lambda item: 6 // item, [3, 2, 0, 1], threads)
    assert [next(found), next(found)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_what_is_not_begun_when_the_iterator_is_closed_is_never_done():
    done, go_on = [], threading.Event()
    with closing(work_ahead(lambda item: (item and go_on.wait(20), done.append(item)), iter(range(9)), 1)) as found:
        next(found)
        go_on.set()
    assert len(done) <= 2


@pytest.mark.parametrize("fails", ["first", "second", "neither"])
def test_what_does_not_fit_beside_the_other_step_is_done_again_alone(fails):
    running, calls = set(), []

    def step(name: str, item: int, must_fit: bool) -> int:
        calls.append((name, item))
        if fails == name and item == 2 and must_fit:
            raise MemoryError
        assert must_fit or not running
        return item

    tried: set[int] = set()

    def first(item: int) -> int:
        is_again = item in tried
        tried.add(item)
        return step("first", item, not is_again)

    assert list(in_two_steps(range(4), first, lambda half, must: step("second", half, must), alone=False)) == [
        *range(4)
    ]
    for name in ("first", "second"):
        expected = [0, 1, 2, 3] if name != fails else [0, 1, 2, 2, 3]
        assert sorted(item for one, item in calls if one == name) == expected


@pytest.mark.parametrize("alone", [True, False])
def test_an_error_that_is_no_lack_of_memory_is_raised(alone):
    with pytest.raises(ZeroDivisionError):
        list(in_two_steps([1, 0], lambda item: 1 // item, lambda half, _: half, alone=alone))
    with pytest.raises(RuntimeError, match="other"):
        list(in_two_steps([1], int, lambda *_: (_ for _ in ()).throw(RuntimeError("other")), alone=alone))


def test_steps_that_are_alone_take_turns_and_others_do_not_wait():
    working, beside = threading.Lock(), threading.Event()

    def first(item: int) -> int:
        if item:
            assert beside.wait(20)  # of the item before
        return item

    def second(half: int, must_fit: bool) -> int:
        assert must_fit
        beside.set()
        return half

    assert list(in_two_steps(range(3), first, second, alone=False)) == [0, 1, 2]

    def exclusive(item: int, *_: object) -> int:
        assert working.acquire(blocking=False)
        threading.Event().wait(0.002)
        working.release()
        return item

    assert list(in_two_steps(range(20), exclusive, exclusive, alone=True)) == [*range(20)]
