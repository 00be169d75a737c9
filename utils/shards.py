"""Work divided among machines and processes that know nothing of each other: each computes the same division.

A *shard* is the part of a machine, `--shard i/n`, with i from 0, as the tasks of a Slurm array and the pods of an
indexed job of Kubernetes are counted. The ranks of a launcher (torchrun) share what is in a shard.
"""

import os
import re
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import NamedTuple

from powerqe.utils.errors import UserError
from powerqe.utils.launcher import Place, are_on_one_machine, launched_place

COUNT = "JOB_COMPLETIONS"
"""The environment variable for the number of pods, `.spec.completions`, which Kubernetes itself does not set."""
_ALL = "or give --shard, 0/1 for all"


class Shard(NamedTuple):
    """Part `index` of `count`, from 0. origin: who said so, "" for nobody."""

    index: int
    count: int
    origin: str = ""

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def title(self) -> str:
        """For messages, with its origin."""
        return f"shard {self} ({self.origin})" if self.origin else f"shard {self}"


WHOLE = Shard(0, 1)


class Part(NamedTuple):
    """What this process does of all the work: its share, as a rank, of a shard."""

    shard: Shard
    place: Place

    @property
    def is_whole(self) -> bool:
        """Whether it does all."""
        return self.shard.count == self.place.world_size == 1

    def of(self, costs: Sequence[float]) -> list[int]:
        """Which of all items are those of this process, in ascending order.

        Args:
            costs: of all items, the same in every process.
        """
        shard = self.of_shard(costs)
        rank = deal([costs[number] for number in shard], self.place.world_size)[self.place.rank]
        return sorted(shard[number] for number in rank)

    def of_shard(self, costs: Sequence[float]) -> list[int]:
        """The same of all ranks together."""
        return sorted(deal(costs, self.shard.count)[self.shard.index])

    def __str__(self) -> str:
        """For messages: "shard 0/3 (--shard), rank 1 of 2"; empty if it does all."""
        shard = [self.shard.title] if self.shard.count > 1 else []
        rank = [f"rank {self.place.rank} of {self.place.world_size}"] if self.place.world_size > 1 else []
        return ", ".join(shard + rank)


ALL = Part(WHOLE, Place())


def part_here(shard: Shard | None) -> Part:
    """The part of this process.

    Args:
        shard: what the command line says; None: what the environment does, else `WHOLE`.

    Raises:
        UserError: an environment that makes no sense.
    """
    return Part(shard or shard_of_environment(os.environ) or WHOLE, launched_place())


def parse_shard(text: str) -> Shard:
    """Of "i/n".

    Raises:
        UserError: anything else, or no such shard.
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    if not found:
        raise UserError(f"found {text!r}, expected i/n such as 0/3, 1/3 and 2/3 of three shards")
    index, count = int(found[1]), int(found[2])
    if index >= count:
        last = f"; the last one of {count} is {count - 1}/{count}" if count else ""
        raise UserError(f"found {text!r}, but shards are counted from 0 and there is at least one{last}")
    return Shard(index, count, "--shard")


def shard_of_environment(environment: Mapping[str, str]) -> Shard | None:
    """The shard of a task of a Slurm array, or of a pod of an indexed job of Kubernetes; None outside of these.

    Raises:
        UserError: numbers from which the shard does not follow.
    """
    if "SLURM_ARRAY_TASK_ID" in environment:
        first, step = (_number(environment, f"SLURM_ARRAY_TASK_{name}", default) for name, default in
                       (("MIN", 0), ("STEP", 1)))  # fmt: skip
        count = _number(environment, "SLURM_ARRAY_TASK_COUNT")
        return _shard("SLURM_ARRAY_TASK_ID", environment, count, first, max(step, 1), "use an array without gaps")
    # A launcher that has ranks in several pods divides the work among them itself.
    if "JOB_COMPLETION_INDEX" in environment and are_on_one_machine():
        if COUNT not in environment:
            raise UserError(
                f"JOB_COMPLETION_INDEX is {environment['JOB_COMPLETION_INDEX']}, but of how many? Set {COUNT} to the "
                f"job's completions, {_ALL}"
            )
        return _shard("JOB_COMPLETION_INDEX", environment, _number(environment, COUNT), 0, 1, f"correct {COUNT}")
    return None


def _shard(name: str, environment: Mapping[str, str], count: int, first: int, step: int, advice: str) -> Shard:
    index, rest = divmod(_number(environment, name) - first, step)
    if rest or not 0 <= index < count:
        raise UserError(f"{name}={environment[name]} is no shard of {count}; {advice}, {_ALL}")
    return Shard(index, count, name)


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name, "" if default is None else str(default))
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise UserError(f"environment variable {name}: found {text!r}, expected a whole number; correct it, {_ALL}")
    return int(text)


def deal(costs: Sequence[float], hands: int) -> list[list[int]]:
    """Indices of the items of each hand: greedily, the most expensive first, to the hand with the least total cost.

    Of equal ones the first, so that the result depends on nothing but the costs.
    """
    dealt: list[list[int]] = [[] for _ in range(hands)]
    loads: list[tuple[float, int]] = [(0, hand) for hand in range(hands)]  # which is a heap
    for number in sorted(range(len(costs)), key=lambda number: -costs[number]):
        load, hand = heappop(loads)
        dealt[hand].append(number)
        heappush(loads, (load + costs[number], hand))
    return dealt


def size_of(path: Path) -> int:
    """Bytes of a file, at least 1, so that files that are not there are dealt out evenly, too."""
    try:
        return max(path.stat().st_size, 1)
    except (OSError, ValueError):
        return 1
