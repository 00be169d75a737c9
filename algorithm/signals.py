"""Stopping after the current step on SIGINT and SIGTERM."""

import signal
from types import FrameType, TracebackType


class StopSignals:
    """Inside `with`, a first SIGINT or SIGTERM only sets `received`; a second one has its usual effect."""

    def __init__(self) -> None:
        self.received = False
        self._old: dict[int, object] = {}

    def __enter__(self) -> "StopSignals":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._old = {}
