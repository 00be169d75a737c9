"""Work that overlaps in threads, with results in order."""

import ctypes
import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import repeat, takewhile
from threading import Lock, get_ident
from typing import Any, Generic, TypeVar

from powerqe.utils.memory import is_out_of_memory

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
_END: Any = object()


def work_ahead(
    function: Callable[[A], B],
    items: Iterable[A],
    threads: int,
    *,
    ahead: int | None = None,
    weigh: Callable[[A], float] = lambda _: 0,
    limit: float = math.inf,
) -> Generator[B]:
    """The results of a function for each item, in order, while threads work on those that follow.

    An exception comes where the result would, also one of the items themselves. Then, and when the generator is closed
    early, what has begun is interrupted, what has not is never done, and the threads end.

    Args:
        items: taken by the calling thread, at most one before it can begin.
        threads: 0 to work in the calling thread, when a result is asked for.
        ahead: items that are begun, or done and wait, while a result is in use; by default as many as threads.
        weigh: of an item. Those that are begun, or done and wait, weigh at most `limit` together.
        limit: items of so much are worked on in the calling thread, while nothing else happens.
    """
    if not threads:
        yield from map(function, items)
        return
    ahead = threads if ahead is None else ahead
    pool, interruptible = ThreadPoolExecutor(threads, "ahead"), _Interruptible(function)
    begun: deque[tuple[Future[B], float]] = deque()
    failures: list[Exception] = []
    try:
        for item, weight in _weighed(items, weigh, failures):
            while begun and (len(begun) > ahead or weight + sum(each for _, each in begun) > limit):
                yield begun.popleft()[0].result()
            if weight >= limit:
                yield function(item)
            else:
                begun.append((pool.submit(interruptible, item), weight))
        while begun:
            yield begun.popleft()[0].result()
        if failures:
            raise failures[0]
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        interruptible.interrupt()
        raise
    finally:
        pool.shutdown()


def _weighed(items: Iterable[A], weigh: Callable[[A], float], failures: list[Exception]) -> Iterator[tuple[A, float]]:
    """Ends before an item that fails."""
    try:
        for item in items:
            yield item, weigh(item)
    except Exception as error:
        failures.append(error)


class _Interruptible(Generic[A, B]):
    """A function for several threads, in which it can be interrupted."""

    def __init__(self, function: Callable[[A], B]) -> None:
        self._function, self._busy, self._leaving = function, set[int](), Lock()

    def __call__(self, item: A) -> B:
        thread = get_ident()
        self._busy.add(thread)
        try:
            return self._function(item)
        finally:
            with self._leaving:  # an interruption that comes later would hit the pool
                self._busy.discard(thread)

    def interrupt(self) -> None:
        """As Ctrl-C does to the main thread: at the next step of the interpreter."""
        with self._leaving:
            for thread in tuple(self._busy):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))


def prefetch(items: Iterator[A], ahead: int) -> Generator[A]:
    """The items, of which a thread gets the next few ready while one is in use; as `work_ahead` does."""
    with closing(work_ahead(lambda _: next(items, _END), repeat(None), 1, ahead=ahead)) as found:
        yield from takewhile(lambda item: item is not _END, found)


def in_two_steps(
    items: Iterable[A], first: Callable[[A], B], second: Callable[[B, bool], C], *, alone: bool
) -> Iterator[C]:
    """second(first(item)) for each item, in order: `second` in a thread while the next item is taken and `first` works.

    What does not fit into memory so is done again while the other step waits.

    Args:
        first: in the calling thread.
        second: gets whether it must fit into memory, that is, whether to raise an error if it does not.
        alone: `first` never works while `second` does; only the next item is taken meanwhile.
    """
    turn = Lock()

    def begun(item: A) -> B:
        if not alone:
            try:
                return first(item)
            except Exception:  # whatever a lack of memory has become; another error comes again
                pass
        with turn:
            return first(item)

    def ended(half: B, must_fit: bool) -> C:
        with turn:
            return second(half, must_fit)

    def tried(half: B) -> C | _Unfit[B]:
        try:
            return ended(half, not alone)
        except (RuntimeError, MemoryError) as error:
            if alone or not is_out_of_memory(error):
                raise
        return _Unfit(half)

    with closing(work_ahead(tried, map(begun, items), 1, ahead=0)) as found:
        for each in found:
            yield ended(each.half, False) if isinstance(each, _Unfit) else each


@dataclass(frozen=True)
class _Unfit(Generic[B]):
    """What is to be done again."""

    half: B
