"""Children leave the signals to their parent; a signal that comes twice is one."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from powerqe.dataset.loader import make_loader
from powerqe.utils import signals
from powerqe.utils.programs import run_program
from powerqe.utils.signals import STOP, Repeated, held_back

PROGRAM = "import os, signal; {before}; [os.kill(os.getpid(), n) for n in {numbers}]; print('alive')"
NUMBERS = [int(number) for number in STOP]


def test_another_program_does_not_hear_what_is_sent_to_all() -> None:
    done = run_program([sys.executable, "-c", PROGRAM.format(before="pass", numbers=NUMBERS)])
    assert (done.returncode, done.stdout) == (0, "alive\n")
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & set(STOP)  # we hear them again


def test_a_program_is_killed_when_we_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: "subprocess.Popen[str]") -> tuple[str, str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_program(["sleep", "60"])
    assert time.monotonic() - started < 30


class Deadly:
    """A data set whose samples are signals to the process that reads them, from its first moment on."""

    def __getitem__(self, draw: int) -> dict[str, object]:
        for number in STOP:
            os.kill(os.getpid(), number)
        return {"name": "a", "group": "", "quality": draw}


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="workers that inherit handlers")
def test_loader_workers_survive() -> None:
    (batch,) = iter(make_loader(Deadly(), [[7]], 1, context="fork"))  # type: ignore[arg-type]
    assert batch["quality"].tolist() == [7]


def test_only_another_ctrl_c_after_a_while_is_insisting(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(signals.time, "monotonic", lambda: now[0])
    repeated = Repeated()
    now[0] = 0.5
    assert not repeated.insists(signal.SIGINT)
    now[0] = 1.5
    assert repeated.insists(signal.SIGINT)
    assert not repeated.insists(signal.SIGTERM)


def test_signals_wait_for_the_end_of_the_block() -> None:
    heard: list[int] = []
    old = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with held_back():
            signal.raise_signal(signal.SIGTERM)  # to this thread; others may have it otherwise
            assert heard == []
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, old)
