"""Programs that run beside a test, as a shell without job control starts them in the background, and never for ever."""

import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer
from typing import IO

import pytest

ROOT = Path(__file__).resolve().parents[1]
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


class Forked:
    """A script of the checkout in a process of its own, forked from one that has imported PyTorch and PowerQE already.

    To the script it is a start like any other, but for the two seconds that imports take.

    Args:
        command: path of the script, and its arguments.
        variables: its whole environment.
        outputs: a new folder for what it prints.
    """

    IS_POSSIBLE = sys.platform == "linux"
    _IMPORTED = ("powerqe.algorithm.experiment", "powerqe.algorithm.trainer", "powerqe.commands.train",
                 "powerqe.commands.test", "powerqe.commands.enhance", "powerqe.evaluation.tester",
                 "powerqe.inference.enhance_files", "torch.utils.tensorboard", "torchvision")  # fmt: skip

    def __init__(self, command: Sequence[str], folder: Path, variables: Mapping[str, str], outputs: Path) -> None:
        self._command, self._outputs = list(command), outputs
        outputs.mkdir()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(self._IMPORTED))
        with pytest.MonkeyPatch.context() as patch:  # if the server is started now
            patch.setenv("OMP_NUM_THREADS", "1")
            patch.setenv("PYTHONPATH", str(ROOT))
            self._process = context.Process(target=_become, args=(self._command, folder, dict(variables), outputs))
            self._process.start()

    def kill(self) -> None:
        """By SIGKILL."""
        self._process.kill()

    def result(self, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Wait for its end, and kill it after `seconds`."""
        self._process.join(seconds)
        if self._process.is_alive():
            self.kill()
            raise subprocess.TimeoutExpired(self._command, seconds)
        status = self._process.exitcode
        assert status is not None
        return subprocess.CompletedProcess(self._command, status, self._said("1"), self._said("2"))

    def _said(self, name: str) -> str:
        return (self._outputs / name).read_text(encoding="utf-8")


def environment_of(**more: str) -> dict[str, str]:
    """That of this process, in which PowerQE is found and computes in one thread."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def free_port() -> int:
    """Of this machine, for the place where ranks meet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def forked_ranks(
    commands: Sequence[Sequence[str]], folder: Path, outputs: Path, variables: Mapping[str, str] | None = None
) -> list[Forked]:
    """One rank for each command, as a launcher starts them."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(len(commands))}
    outputs.mkdir()
    started = []
    for rank, command in enumerate(commands):
        own = {**(variables or environment_of()), **place, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        started.append(Forked(command, folder, own, outputs / str(rank)))
    return started


def _become(command: list[str], folder: Path, variables: dict[str, str], outputs: Path) -> None:
    """Be that script."""
    for number in (1, 2):
        os.dup2(os.open(outputs / str(number), os.O_WRONLY | os.O_CREAT), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.path[:0] = variables.get("PYTHONPATH", "").split(os.pathsep)
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")
