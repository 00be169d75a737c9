"""Several images at once: each in a thread of its own from file to file, with results in the order of the files.

Threads suit this, for what takes time (codecs, networks) leaves the interpreter to others meanwhile. Networks are
fastest with one core for each image; an image so large that there is no memory for several has all cores to itself.
"""

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")
_PIXELS_PER_CORE = 1 << 14
"""With fewer, threads cost more than they save."""


def in_order(
    items: Iterable[T], do: Callable[[T], R], *, threads: int, weigh: Callable[[T], float], limit: float
) -> Generator[R]:
    """What `do` makes of items, in their order. If it is not used up, what has begun is interrupted.

    Args:
        do: called in several threads; for items of `limit` and more in this one, while nothing else happens.
        threads: how many there are; twice as many items are begun, or done and not taken yet.
        weigh: of an item. Those that are begun weigh at most `limit` together.
    """
    begun: deque[tuple[Future[R], float]] = deque()
    busy: set[int] = set()

    def work(item: T) -> R:
        busy.add(threading.get_ident())
        try:
            return do(item)
        finally:
            busy.discard(threading.get_ident())

    pool = ThreadPoolExecutor(threads, "image")
    try:
        for item in items:
            weight = weigh(item)
            while begun and (len(begun) == 2 * threads or weight + sum(each for _, each in begun) > limit):
                yield begun.popleft()[0].result()
            if weight >= limit:
                yield do(item)
            else:
                begun.append((pool.submit(work, item), weight))
        while begun:
            yield begun.popleft()[0].result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for thread in tuple(busy):  # as Ctrl-C does to the main one: at the next step of the interpreter
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))
        raise
    finally:
        pool.shutdown()


class Turns:
    """Which images use the network at a time, and with how many cores each.

    Args:
        most: images at once.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.cores = torch.get_num_threads()
        self._free, self._users = most, 0
        self._changed = threading.Condition()

    @contextmanager
    def use(self) -> Iterator[None]:
        """A thread that will take a turn; the cores are divided among these."""
        with self._changed:
            self._users += 1
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(self.cores)
            with self._changed:
                self._users -= 1

    @contextmanager
    def turn(self, pixels: int, *, alone: bool) -> Iterator[None]:
        """Wait for the turn of an image of so many pixels, `alone` for one without others."""
        wanted = self.most if alone else 1
        with self._changed:
            while not self._changed.wait_for(lambda: self._free >= wanted, timeout=1):
                pass  # so that it can be interrupted
            self._free -= wanted
            share = 1 if alone else min(self._users, self.most)
        try:
            torch.set_num_threads(max(1, min(self.cores // share, pixels // _PIXELS_PER_CORE)))
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()
