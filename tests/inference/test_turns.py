"""Who uses the network of several images at once."""

import threading
import time

from powerqe.inference.turns import Turns


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
