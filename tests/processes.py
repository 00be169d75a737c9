"""Programs that run beside a test, as a shell without job control starts them in the background, and never for ever."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer
from typing import IO

_IGNORE_SIGINT = "trap '' INT; exec \"$@\""


@contextmanager
def in_background(
    command: Sequence[object],
    folder: Path,
    *,
    errors: IO[str] | int = subprocess.STDOUT,
    seconds: float = 240,
    **environment: str,
) -> Iterator[subprocess.Popen[str]]:
    """A program in a process group of its own, with SIGINT ignored and its output in a pipe.

    It and its children are killed at the end of the block, and after `seconds` at the latest, so that reading its
    output ends.
    """
    process = subprocess.Popen(
        ["bash", "-c", _IGNORE_SIGINT, "bash", *map(str, command)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        start_new_session=True,
        preexec_fn=_heed_hangup,
    )
    guard = Timer(seconds, _kill, (process.pid,))
    guard.start()
    with process:
        try:
            yield process
        finally:
            guard.cancel()
            _kill(process.pid)


def _heed_hangup() -> None:
    """As started from a terminal, also where the tests run under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
