"""Many damaged inputs in few processes: what crashes or hangs costs one process, and the next case gets a new one."""

import re
import sys
import traceback
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from powerqe.benchmarks.attacks.children import Child, Outcome
from powerqe.benchmarks.attacks.tally import FAULTS, Sandbox, Tally
from powerqe.utils.errors import UserError

SECONDS = 60.0
"""Limit of one case, which takes a fraction of a second on an idle core."""


class Verdict(NamedTuple):
    """What became of a case: exact, read, refused, or a fault; and a text that is searched for traces."""

    word: str
    text: str = ""


Try = Callable[[int, Path, Path], Verdict]
"""A case, by its number, in a folder; the last argument is where this process prints."""


def try_all(tally: Tally, count: int, attempt: Try, folder: Path, prepare: Callable[[], None] = lambda: None) -> None:
    """Try cases 0, 1, ... in a sandbox, and count.

    Args:
        tally: of the part.
        count: number of cases.
        attempt: one case. Whatever it raises but `UserError` is a defect.
        folder: where the sandbox is made.
        prepare: called in each new process, in the folder of the cases.
    """
    sandbox, start = Sandbox(folder / "sandbox"), 0
    while start < count:
        mine, theirs = Pipe(duplex=False)
        task = _Task(start, count, attempt, prepare, theirs, sandbox.log)
        child = Child(task, sandbox.inside, sandbox.log, sandbox.environment)
        theirs.close()
        while start < count and (outcome := _received(mine)) is not None:
            word, said = outcome
            tally.add("tried")
            if tally.judge(said, f"case {start}"):
                tally.fault(word, f"case {start}", said.text) if word in FAULTS else tally.add(word)
            sandbox.check(tally, f"case {start}")
            start += 1
        if start < count:  # it crashed, or hung
            tally.add("tried")
            end = child.wait(1)
            tally.fault("hangs" if end.code is None else "tracebacks", f"case {start}", f"{end.code} {end.text}")
            start += 1
        child.kill()
        mine.close()


def _received(pipe: Connection) -> tuple[str, Outcome] | None:
    """The next verdict; None if the process is dead or has taken too long."""
    try:
        return pipe.recv() if pipe.poll(SECONDS) else None
    except EOFError:
        return None


class _Task(NamedTuple):
    start: int
    count: int
    attempt: Try
    prepare: Callable[[], None]
    pipe: Connection
    log: Path

    def __call__(self) -> int:
        self.prepare()
        for number in range(self.start, self.count):
            begin = self.log.stat().st_size
            try:
                word, text = self.attempt(number, Path.cwd(), self.log)
            except UserError as error:
                word, text = "refused", str(error)
            except Exception:
                word, text = "tracebacks", traceback.format_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            with self.log.open("rb") as log:
                log.seek(begin)
                text += log.read().decode(errors="replace")
            self.pipe.send((word, Outcome(0, text)))
        return 0


def run_command(task: Callable[[], int], log: Path) -> Verdict:
    """The verdict on a command: read, or it said why not in a line and with a status of 1 or 2.

    Args:
        task: the command, in this process.
        log: where this process prints.
    """
    begin = log.stat().st_size
    code = task()
    sys.stdout.flush()
    sys.stderr.flush()
    errors = re.findall(r"^error: .", log.read_bytes()[begin:].decode(errors="replace"), re.MULTILINE)
    if code == 0 and not errors:
        return Verdict("read")
    if code in (1, 2) and len(errors) == 1:
        return Verdict("refused")
    return Verdict("tracebacks", f"status {code} with {len(errors)} lines of errors")
