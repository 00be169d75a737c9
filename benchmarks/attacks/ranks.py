"""Trainings on two ranks of one machine under torchrun's agent, of which one is killed."""

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from powerqe.benchmarks.attacks.children import Outcome, redirect
from powerqe.benchmarks.attacks.interrupted import calls, judge_end, place, run, uninterrupted
from powerqe.benchmarks.attacks.tally import Sandbox, Tally
from powerqe.benchmarks.attacks.training import SECONDS, die, struck, training


def two_ranks(folder: Path, count: int, seed: int) -> Tally:
    """SIGKILL of one of two ranks at random calls; every other time it is rank 0, every second one while it saves."""
    tally = Tally("SIGKILL, 2 ranks under torchrun")
    reference = uninterrupted(folder, task=launched(training(), folder / "ranks"))
    totals = [calls(folder, saving=saving) for saving in (False, True)]
    chance = random.Random(f"{seed} ranks")
    task = training()
    for number in range(count):
        saving = number % 4 == 1  # rank 0 alone saves
        victim, at = number % 2, chance.randint(1, totals[saving])
        if saving:
            victim = 0
        case = f"call {at}{' of saving' * saving} of rank {victim}"

        def attacked() -> int:
            is_victim = os.environ["RANK"] == str(victim)  # noqa: B023
            return struck(task, at, die, saving=saving) if is_victim else task()  # noqa: B023

        with place(folder, reference) as sandbox:
            first = launch(attacked, sandbox)
            tally.judge(first, case)
            tally.add("tried")
            again = launch(task, sandbox)
            if tally.judge(again, f"resumed after {case}"):
                judge_end(sandbox, reference, tally, case, again)
    return tally


def launch(task: Callable[[], int], sandbox: Sandbox) -> Outcome:
    """A task on two ranks: how the agent ended, and what the ranks printed."""
    for log in sandbox.root.glob("log*"):
        log.unlink()
    end = run(launched(task, sandbox.root / "log"), sandbox)
    text = "".join(log.read_text(errors="replace") for log in sorted(sandbox.root.glob("log-*")))
    return Outcome(end.code, text)  # the agent's own lines are PyTorch's


def launched(task: Callable[[], int], log: Path) -> Callable[[], int]:
    """A task that runs another one on two forked ranks, with logs log-0 and log-1."""

    def rank() -> None:
        redirect(log.with_name(f"{log.name}-{os.environ['RANK']}"))
        if code := task():
            sys.exit(code)

    def agent() -> int:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=2,
            run_id="torture",
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            start_method="fork",
            shutdown_timeout=int(SECONDS / 4),
        )
        try:
            elastic_launch(config, rank)()
        except Exception as error:  # ChildFailedError
            print(error)
            return 1
        return 0

    return agent
