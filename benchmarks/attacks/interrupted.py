"""Trainings that are killed or stopped, and resumed: do they end as if nothing had happened?"""

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from powerqe.benchmarks.attacks import children
from powerqe.benchmarks.attacks.children import Outcome
from powerqe.benchmarks.attacks.tally import Sandbox, Tally
from powerqe.benchmarks.attacks.training import (
    EXPERIMENT,
    SECONDS,
    counted,
    die,
    fresh,
    is_exact,
    make_training,
    struck,
    training,
    warm_up,
)
from powerqe.utils.checkpoint import load_checkpoint

WORKERS = ("--set", "dataset.train.nworker_pg=2", "train.inter_val=1000000")
"""Loader processes, and nothing saved before the end."""


def kills(folder: Path, count: int, seed: int) -> Tally:
    """SIGKILL of one process at random calls; every other one while it is saving."""
    tally = Tally("SIGKILL, 1 rank")
    reference = uninterrupted(folder)
    totals = [calls(folder, saving=saving) for saving in (False, True)]
    chance = random.Random(f"{seed} kill")
    for number in range(count):
        saving = number % 2 == 1
        at = chance.randint(1, totals[saving])
        case = f"call {at}{' of saving' * saving}"
        task = training()
        with place(folder, reference) as sandbox:
            first = run(lambda: struck(task, at, die, saving=saving), sandbox)  # noqa: B023
            if first.code not in (0, -signal.SIGKILL):
                tally.judge(first, case)
            finish(sandbox, reference, tally, case)
    return tally


def stops(folder: Path, count: int, seed: int) -> Tally:
    """SIGTERM to the process group, with loader workers."""
    tally = Tally("SIGTERM to the group, 2 workers")
    reference = uninterrupted(folder, *WORKERS)
    total = calls(folder, *WORKERS)
    chance = random.Random(f"{seed} stop")
    task = training(*WORKERS)
    for _ in range(count):
        at = chance.randint(1, total)
        case = f"call {at}"
        with place(folder, reference) as sandbox:
            first = run(lambda: struck(task, at, lambda: os.killpg(0, signal.SIGTERM)), sandbox)  # noqa: B023
            if tally.judge(first, case):
                if first.code not in (0, 128 + signal.SIGTERM):
                    tally.fault("tracebacks", case, f"status {first.code}: {first.text}")
                check_saved(sandbox.inside, first.text, tally, case)
            finish(sandbox, reference, tally, case, *WORKERS)
    return tally


def check_saved(folder: Path, text: str, tally: Tally, case: str) -> None:
    """All iterations that the log has are in the checkpoint."""
    done = max((int(part.split("/")[0]) for part in text.split("iter ")[1:] if part.split("/")[0].isdigit()), default=0)
    last = folder / EXPERIMENT / "ckp-last.pt"
    saved = load_checkpoint(last)["iter"] if last.exists() else 0
    if saved < done:
        tally.fault("lost", case, f"{done} iterations, saved {saved}: {text}")


def one_error(outcome: Outcome) -> bool:
    """A user's error, in one line."""
    lines = [line for line in outcome.text.splitlines() if line.startswith("error: ")]
    return outcome.code == 2 and len(lines) == 1


# --------------------------------------------------------------------------- the same for all


def uninterrupted(folder: Path, *arguments: str, task: Callable[[], int] | None = None) -> Path:
    """The folder of a training that nothing happened to; the first call makes it."""
    source, reference = folder / "source", folder / "reference"
    if not source.exists():
        make_training(source)
        warm_up(source)
    fresh(source, reference)
    first = children.run(task or training(*arguments), reference, folder / "log", SECONDS)
    assert first.code == 0, first.text
    return reference


def calls(folder: Path, *arguments: str, saving: bool = False) -> int:
    """How many there are in the whole training."""
    copy, file = folder / "counted", folder / "calls"
    fresh(folder / "source", copy)
    task = training(*arguments)
    done = children.run(lambda: counted(task, file, saving=saving), copy, folder / "log", SECONDS)
    assert done.code == 0, done.text
    shutil.rmtree(copy)
    return int(file.read_text())


@contextmanager
def place(folder: Path, reference: Path) -> Iterator[Sandbox]:
    """A sandbox with a copy of the training."""
    root = folder / "case"
    sandbox = Sandbox(root)
    fresh(reference, sandbox.inside)
    try:
        yield sandbox
    finally:
        shutil.rmtree(root)


def run(task: Callable[[], int], sandbox: Sandbox) -> Outcome:
    """A task in a sandbox, with an empty log."""
    sandbox.log.unlink(missing_ok=True)
    return children.run(task, sandbox.inside, sandbox.log, SECONDS, **sandbox.environment)


def finish(sandbox: Sandbox, reference: Path, tally: Tally, case: str, *arguments: str) -> None:
    """Resume to the end, and judge."""
    tally.add("tried")
    again = run(training(*arguments), sandbox)
    if tally.judge(again, f"resumed after {case}"):
        judge_end(sandbox, reference, tally, case, again)


def judge_end(sandbox: Sandbox, reference: Path, tally: Tally, case: str, last: Outcome) -> None:
    """Whether the training is exact, and nothing was left."""
    differs = is_exact(sandbox.inside, reference) if last.code == 0 else f"status {last.code}: {last.text}"
    if differs:
        tally.fault("lost", case, f"not exact: {differs}")
    else:
        tally.add("exact")
    sandbox.check(tally, case)
