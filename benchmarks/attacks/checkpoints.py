"""Damaged checkpoints: the training goes on from an earlier one, or ends with a line; nothing in a file is run."""

import os
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from powerqe.benchmarks.attacks.damage import changed, damaged
from powerqe.benchmarks.attacks.inputs import Verdict, run_command, try_all
from powerqe.benchmarks.attacks.interrupted import uninterrupted
from powerqe.benchmarks.attacks.tally import Tally
from powerqe.benchmarks.attacks.training import EXPERIMENT, NITER, fresh, is_exact, train
from powerqe.net import build_network, load_weights
from powerqe.utils.errors import UserError

VALUES = (
    None, True, -1, 0, 1, 10**30, 0.5, float("nan"), float("inf"), "", "x", "\ud800", "a\nb", "../../x", b"x", [], {},
    [[]], {"a": 1}, {1: 2}, (1, 2), [None], torch.zeros(()), torch.zeros(0), torch.zeros(3, 3), torch.tensor(False),
    torch.full((4, 3, 3, 3), float("nan")), torch.zeros(2, dtype=torch.int64), torch.zeros(5056, dtype=torch.uint8),
)  # fmt: skip
"""Values to stand where others stood."""


class _Runs:
    """A pickle that runs a command when it is loaded without care."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ../executed",)


def checkpoints(folder: Path, count: int, seed: int) -> Tally:
    """The last checkpoint of a training is damaged; others are there. It is resumed, and its weights are loaded."""
    tally = Tally("damaged checkpoints")
    reference = uninterrupted(folder)
    last = reference / EXPERIMENT / f"ckp-{NITER}.pt"
    content, state = last.read_bytes(), torch.load(last, weights_only=True)
    network = build_network(state["options"]["network"])

    def attempt(number: int, place: Path, log: Path) -> Verdict:
        chance = random.Random(f"{seed} checkpoint {number}")
        files = [place / EXPERIMENT / name for name in (f"ckp-{NITER}.pt", "ckp-last.pt")]
        kept = reference / EXPERIMENT / "ckp-4.pt"
        for path in (place / EXPERIMENT).iterdir():
            path.unlink()
        (place / EXPERIMENT / kept.name).write_bytes(kept.read_bytes())
        is_raw = number % 2 == 0
        for path in files:
            path.unlink(missing_ok=True)
        if is_raw:
            files[0].write_bytes(damaged(content, chance))
        else:
            torch.save(_altered(last, chance), files[0])
        files[1].write_bytes(files[0].read_bytes())
        with suppress(UserError):
            load_weights(network, files[0])
        verdict = run_command(train, log)
        if verdict.word != "read":
            return verdict
        difference = is_exact(place, reference)
        if difference and is_raw:  # wrong values with right checksums cannot be told from right ones
            return Verdict("lost", f"not exact: {difference}")
        return Verdict("read" if difference else "exact")

    def prepare() -> None:
        fresh(reference, Path.cwd())
        (Path.cwd() / EXPERIMENT).mkdir(parents=True, exist_ok=True)

    try_all(tally, count, attempt, folder, prepare)
    return tally


def _altered(path: Path, chance: random.Random) -> Any:
    state = torch.load(path, weights_only=True)
    kind = chance.random()
    if kind < 0.06:
        return chance.choice((None, 3, [], [state], {"state_dict": state}, "x", torch.zeros(3), {}))
    if kind < 0.12:
        return {**state, "iter": _Runs()}
    changed(state, VALUES, chance)
    return state
