"""The signals that ask a program to stop, and child processes that leave them to it."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

STOP = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_ECHO = 1.0  # seconds


def heard() -> list[signal.Signals]:
    """The signals that stop this process: all, but SIGHUP only if the process was not started with it ignored (nohup).

    A shell ignores SIGINT for what it starts in the background, where it shall stop it nevertheless.
    """
    kept = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN if hasattr(signal, "SIGHUP") else True
    return [number for number in STOP if number in (signal.SIGINT, signal.SIGTERM) or not kept]


class Repeated:
    """Tells a user who insists from one signal that comes several times.

    A batch system signals all processes of a job, and a launcher then passes the signal on: they have it twice.
    """

    def __init__(self) -> None:
        self._first = time.monotonic()

    def insists(self, number: int) -> bool:
        """Whether this is another Ctrl-C, and no echo of the first signal."""
        return number == signal.SIGINT and time.monotonic() - self._first > _ECHO


def leave_to_parent() -> None:
    """In a child process: ignore the signals that a terminal or a batch system sends to all processes of a program.

    Only the main process decides what they mean.
    """
    for number in STOP:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)


@contextmanager
def held_back() -> Iterator[None]:
    """This thread hears no signal until the block ends, and nor does a child process that starts in it, from the first.

    A child of ours then calls `leave_to_parent`; another program never hears them, and is killed if need be. Windows
    has no such thing.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
