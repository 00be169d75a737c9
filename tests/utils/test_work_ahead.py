import ctypes
import threading
import time
from concurrent.futures import Future
from contextlib import closing

import pytest

from powerqe.utils.work_ahead import in_two_steps, prefetch, work_ahead


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_order_and_no_more_are_begun_or_taken_than_promised(threads):
    taken, begun = [], []
    items = (taken.append(number) or number for number in range(10))
    for number, result in enumerate(work_ahead(lambda item: begun.append(item) or item * item, items, threads)):
        assert result == number**2
        assert len(begun) <= number + 1 + threads
        assert len(taken) <= number + 1 + threads + bool(threads)
    assert taken == list(range(10))


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_comes_in_the_place_of_its_result(threads):
    found = work_ahead(lambda item: 6 // item, [3, 2, 0, 1], threads)
    assert [next(found), next(found)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(found)


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_of_the_items_comes_after_the_results_of_those_before_it(threads):
    found = work_ahead(lambda item: item, (6 // item for item in [3, 2, 0, 1]), threads)
    assert [next(found), next(found)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_what_is_not_begun_when_the_iterator_is_closed_is_never_done():
    done, go_on = [], threading.Event()
    with closing(work_ahead(lambda item: (item and go_on.wait(20), done.append(item)), iter(range(9)), 1)) as found:
        next(found)
        go_on.set()
    assert len(done) <= 2


def test_weights_are_bounded_and_large_items_are_alone():
    """Those of 6 and more are alone, in this thread; of others at most 5 together are begun."""
    weights, begun, heaviest, alone = [1, 4, 2, 2, 9, 1, 6, 3, 1, 1, 1], [], [], []

    def do(number):
        begun.append(weights[number])
        heaviest.append(sum(begun))
        if threading.current_thread() is threading.main_thread():
            alone.append((number, len(begun)))
        time.sleep(0.003 * weights[number])
        begun.remove(weights[number])
        return number

    results = list(work_ahead(do, range(11), 4, ahead=7, weigh=weights.__getitem__, limit=5))
    assert results == list(range(11))
    assert alone == [(4, 1), (6, 1)]
    assert max(each for each in heaviest if each not in (9, 6)) <= 5


def test_what_has_begun_is_interrupted_and_the_rest_never_begins():
    begun, ended, all_work = [], [], threading.Barrier(4)

    def do(number):
        begun.append(number)
        try:
            if number:
                all_work.wait(20)
                deadline = time.monotonic() + 20
                while time.monotonic() < deadline:
                    time.sleep(0.001)
        except KeyboardInterrupt:
            ended.append(number)
            raise

    with closing(work_ahead(do, range(50), 3, ahead=6)) as results:
        next(results)
        all_work.wait(20)
    assert sorted(ended) == [1, 2, 3]
    assert sorted(begun) == [0, 1, 2, 3]


def test_an_interruption_never_hits_the_pool(caplog, monkeypatch):
    """Which would log it: here the function ends shortly before it comes, and the pool takes its time."""
    begun, go_on = threading.Event(), threading.Event()
    number_of, set_result = ctypes.c_ulong, Future.set_result

    def do(item):
        if item:
            begun.set()
            assert go_on.wait(20)

    def late(thread):
        go_on.set()
        time.sleep(0.05)
        return number_of(thread)

    monkeypatch.setattr(ctypes, "c_ulong", late)
    monkeypatch.setattr(Future, "set_result", lambda *given: time.sleep(0.2) or set_result(*given))
    with closing(work_ahead(do, range(9), 1)) as results:
        next(results)
        assert begun.wait(20)
    assert go_on.is_set()
    assert not caplog.records


def test_some_items_are_ready_and_no_more():
    made = []
    items = prefetch((made.append(number) or number for number in range(9)), 2)
    assert next(items) == 0
    time.sleep(0.05)
    assert made == [0, 1, 2]
    assert list(items) == list(range(1, 9))
    assert list(prefetch(iter(()), 2)) == []


def test_an_error_of_what_is_prefetched_comes_in_its_place_and_closing_ends_the_thread():
    def items():
        yield 1
        raise ValueError("second")

    found = prefetch(items(), 3)
    assert next(found) == 1
    with pytest.raises(ValueError, match="second"):
        next(found)
    endless = prefetch(iter(lambda: 0, 1), 2)
    next(endless)
    endless.close()
    assert not any(thread.name.startswith("ahead") for thread in threading.enumerate())


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


@pytest.mark.parametrize("alone", [True, False])
def test_one_item_goes_through_the_first_step_ahead_of_the_second(alone):
    halves = []
    found = in_two_steps(range(9), lambda item: halves.append(item) or item, lambda half, _: half, alone=alone)
    for number, result in enumerate(found):
        assert result == number
        assert len(halves) <= number + 2


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
