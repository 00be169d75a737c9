"""Work that overlaps in threads, with results in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from powerqe.utils.memory import is_out_of_memory

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


def work_ahead(function: Callable[[A], B], items: Iterable[A], threads: int, name: str = "") -> Generator[B]:
    """The results of a function for each item, in order, while threads work on those that follow.

    An exception comes where the result would, also one of the items themselves. What is not begun when the iterator is
    closed is never done.

    Args:
        items: taken by the calling thread, `threads` ahead of the result that is given out: so many results wait.
        threads: 0 to work in the calling thread, when a result is asked for.
        name: of the threads.
    """
    if not threads:
        yield from map(function, items)
        return
    pool, waiting = ThreadPoolExecutor(threads, name), deque[Future[B]]()
    failures: list[Exception] = []
    try:
        for item in _before_a_failure(items, failures):
            waiting.append(pool.submit(function, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        if failures:
            raise failures[0]
    finally:
        pool.shutdown(cancel_futures=True)


def _before_a_failure(items: Iterable[A], failures: list[Exception]) -> Iterator[A]:
    try:
        yield from items
    except Exception as error:
        failures.append(error)


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

    with closing(work_ahead(tried, map(begun, items), 1, "second step")) as found:
        for each in found:
            yield ended(each.half, False) if isinstance(each, _Unfit) else each


@dataclass(frozen=True)
class _Unfit(Generic[B]):
    """What is to be done again."""

    half: B
