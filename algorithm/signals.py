"""Stopping after the current step on SIGINT, SIGTERM and SIGHUP."""

import signal
from types import FrameType, TracebackType

from powerqe.utils.signals import Repeated, heard


class StopSignals:
    """Inside `with`, a signal only sets `received`; when the user insists (another Ctrl-C), it has its usual effect."""

    def __init__(self) -> None:
        self.received = False
        self._old: dict[int, object] = {}

    def __enter__(self) -> "StopSignals":
        for number in heard():
            self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.received:
            self.received, self._repeated = True, Repeated()
        elif self._repeated.insists(number):
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._old = {}
