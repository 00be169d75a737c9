"""Several images at once: order, bounds, interruption, and who uses the network."""

import threading
import time
from contextlib import closing

from powerqe.inference.parallel import Turns, in_order


def test_order_and_bounds():
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

    results = list(in_order(range(11), do, threads=4, weigh=weights.__getitem__, limit=5))
    assert results == list(range(11))
    assert alone == [(4, 1), (6, 1)]
    assert max(each for each in heaviest if each not in (9, 6)) <= 5


def test_what_has_begun_is_interrupted_and_the_rest_never_begins():
    begun, ended = [], []

    def do(number):
        begun.append(number)
        try:
            deadline = time.monotonic() + (20 if number else 0)
            while time.monotonic() < deadline:
                time.sleep(0.001)
        except KeyboardInterrupt:
            ended.append(number)
            raise

    with closing(in_order(range(50), do, threads=3, weigh=lambda _: 0, limit=1)) as results:
        next(results)
        while len(begun) < 4:
            time.sleep(0.001)
    assert sorted(ended) == [1, 2, 3]
    assert sorted(begun) == [0, 1, 2, 3]


def test_turns():
    turns, inside, seen = Turns(2), [], []

    def work(alone):
        with turns.use(), turns.turn(1, alone=alone):
            inside.append(alone)
            seen.append(tuple(inside))
            time.sleep(0.01)
            inside.remove(alone)

    threads = [threading.Thread(target=work, args=(number % 3 == 0,)) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {len(each) for each in seen} == {1, 2}
    assert all(len(each) == 1 for each in seen if any(each))
