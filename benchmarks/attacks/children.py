"""Programs under attack: forked from this process, so that PyTorch is imported once, and each with a time limit."""

import ctypes
import faulthandler
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

TRACES = ("Traceback (most recent call last)", "a defect of PowerQE", "Logging error", "terminate called")
"""What no output may contain."""
CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGFPE, -signal.SIGILL, -getattr(signal, "SIGBUS", signal.SIGSEGV)}
_NETWORK_NAMESPACE = 0x40000000
_ORPHANS = 15.0
"""Seconds that children of a dead process have to notice it; the workers of PyTorch's loader look every 5 s."""
_context = multiprocessing.get_context("fork")


class Outcome(NamedTuple):
    """How a program ended.

    Attributes:
        code: exit status, or minus the number of the signal that ended it; None: it or a child of it had to be killed.
        text: all that it printed.
    """

    code: int | None
    text: str

    @property
    def is_clean(self) -> bool:
        """Neither a traceback nor a crash."""
        return self.code not in CRASHES and not any(trace in self.text for trace in TRACES)


class Child:
    """A forked process in a group and a folder of its own.

    Args:
        task: returns the exit status.
        folder: where it works.
        log: file for all that it prints.
        environment: variables to set.
        network: name of a network namespace, of `ip netns`.
    """

    def __init__(
        self,
        task: Callable[[], int | None],
        folder: Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
        network: str | None = None,
    ) -> None:
        self._log = log
        self._process = _context.Process(target=_run, args=(task, folder, log, environment or {}, network))
        sys.stdout.flush()
        sys.stderr.flush()
        self._process.start()

    def wait(self, seconds: float) -> Outcome:
        """Its end, and that of its children; after the limit they are killed."""
        self._process.join(seconds)
        code = self._process.exitcode
        if code is None:  # where it hangs goes to the log
            os.kill(self._process.pid or 0, signal.SIGUSR2)
            time.sleep(0.5)
        elif not self._group_ends():
            code = None
        self.kill()
        return Outcome(code, self._log.read_text(encoding="utf-8", errors="replace"))

    def kill(self) -> None:
        """End it and its children at once."""
        self.signal(signal.SIGKILL)
        self._process.join(60)

    def signal(self, number: int) -> None:
        """Send a signal to it and its children."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid or 0, number)

    def _group_ends(self) -> bool:
        end = time.monotonic() + _ORPHANS
        while time.monotonic() < end:
            try:
                os.killpg(self._process.pid or 0, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.05)
        return False


def run(task: Callable[[], int | None], folder: Path, log: Path, seconds: float, **environment: str) -> Outcome:
    """Fork a process, and wait for its end."""
    return Child(task, folder, log, environment).wait(seconds)


def _run(
    task: Callable[[], int | None], folder: Path, log: Path, environment: Mapping[str, str], network: str | None
) -> None:
    os.setsid()
    redirect(log)
    faulthandler.register(signal.SIGUSR2)
    if network:
        enter(network)
    os.chdir(folder)
    os.environ.update(environment)
    tempfile.tempdir = None
    sys.exit(task())


def redirect(log: Path) -> None:
    """Send all that this process prints to the end of a file, also what libraries print."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def enter(network: str) -> None:
    """Move this process to a network namespace (Python's own os.setns is of 3.12)."""
    with open(f"/run/netns/{network}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _NETWORK_NAMESPACE):
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {network}")
