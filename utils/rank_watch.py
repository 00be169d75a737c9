"""Ranks that watch each other: each ends soon after another process, or the link to it, is lost.

A rank may rightly wait for long, while another validates a film, so the collectives of the work, which have a group of
their own, have a long timeout. A thread of each rank takes part in a small collective of the default group every second
instead. It goes on whatever the main thread waits for, also in C++, where Python heeds no signal.
"""

import os
import select
import signal
import socket
import sys
import threading
import time

import torch
import torch.distributed as dist

from powerqe.utils.signals import STOP

BEAT = 1.0
"""Seconds between two signs of life."""
QUIET = 10.0
"""Seconds without an answer after which a rank that was told to stop waits no more."""


class RankWatch:
    """The thread of one rank, which alone uses the default process group; every rank must have one.

    Args:
        rank: this process, for messages.
        timeout: seconds without an answer after which the process ends.
    """

    def __init__(self, rank: int, timeout: float) -> None:
        self.advice = "start all ranks again"
        """What to do after a loss, for the user; callers replace it as the work goes on."""
        self._rank, self._timeout = rank, timeout
        self._ends = threading.Event()
        self._stop: int | None = None  # the number of the signal that has come
        self._hears, self._told = socket.socketpair()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="rank watch")

    def start(self) -> None:
        """Begin; from now on the thread hears signals, too."""
        self._hears.setblocking(False)
        self._told.setblocking(False)
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(self._told.fileno(), warn_on_full_buffer=False)
        self._thread.start()

    def end(self) -> bool:
        """The work is done, or has failed: the others stop watching, too. False if they do not answer."""
        self._ends.set()
        self._thread.join(3 * BEAT)
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(-1)
        return not self._thread.is_alive()

    def loss(self, reason: str) -> str:
        """The line that tells of a loss."""
        return f"another rank, or the link to it, is lost: {reason}; {self.advice}"

    def _beat(self) -> None:
        reason = None
        while reason is None:
            leaving = torch.tensor([self._ends.is_set()], dtype=torch.int32)
            reason = self._answered(dist.all_reduce(leaving, dist.ReduceOp.MAX, async_op=True))
            if reason is None and leaving.item():
                return
            self._listen(BEAT)
        # A collective of gloo fails at once, so that the main thread tells and cleans up; NCCL waits.
        self._ends.wait(self._timeout if self._stop is None else QUIET)
        if not self._ends.is_set():
            self._end(reason)

    def _answered(self, beat: "dist.Work") -> str | None:
        """Wait for all ranks. Returns None, or why they cannot answer; ends the process if none does."""
        started, stopped = time.monotonic(), None
        while not beat.is_completed():
            self._listen(0.1)
            now = time.monotonic()
            stopped = now if stopped is None and self._stop is not None else stopped
            if now - started > self._timeout:
                self._end(f"no answer for {self._timeout / 60:.3g} minutes (train.timeout)")
            if stopped is not None and now - stopped > QUIET:
                self._end(f"no answer for {now - started:.0f} s")
        try:
            beat.wait()
        except RuntimeError as error:
            return first_line(error)
        return None

    def _listen(self, seconds: float) -> None:
        """Wait, and note a signal to stop; the main thread hears of it by itself, unless it is in C++."""
        if self._ends.is_set():
            time.sleep(min(seconds, 0.1))
        elif select.select([self._hears], [], [], seconds)[0]:
            numbers = set(STOP).intersection(self._hears.recv(64))
            self._stop = self._stop or next(iter(numbers), None)

    def _end(self, reason: str) -> None:
        if self._ends.is_set():  # the main thread has noticed, too
            return
        what = "error" if self._stop is None else "interrupted"
        print(f"{what}: rank {self._rank}: {self.loss(reason)}", file=sys.stderr, flush=True)
        os._exit(2 if self._stop is None else 128 + self._stop)


def first_line(error: BaseException) -> str:
    """The reason in an error of PyTorch, without the place in its sources and general advice."""
    return (str(error) or type(error).__name__).splitlines()[0].rpartition("] ")[2].partition(". ")[0]


def is_loss(error: BaseException) -> bool:
    """Whether a collective failed because another rank is gone."""
    text = str(error)
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in text.lower())
