"""How a process starts and ends: alone, or as one of the ranks of a launcher (torchrun, torch.distributed.launch)."""

import gc
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple, NoReturn

from powerqe.utils.errors import UserError

_LONGEST_WORK = timedelta(days=30)
"""For which rank 0 waits for a rank that has more to do."""


class Place(NamedTuple):
    """This process among `world_size` ones; without a launcher it is rank 0 of 1."""

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1


def is_launched() -> bool:
    """Whether a launcher has started this process, by what it left in the environment."""
    return "TORCHELASTIC_RUN_ID" in os.environ or "MASTER_PORT" in os.environ


def is_restarted() -> bool:
    """Whether torchrun has started this process again after a failure (--max-restarts)."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def launched_place() -> Place:
    """The place that the launcher gave this process in the environment.

    Raises:
        UserError: an environment that no launcher makes.
    """
    place = Place(*(_number(name, default) for name, default in (("RANK", 0), ("LOCAL_RANK", 0), ("WORLD_SIZE", 1))))
    if place.world_size > 1 and not is_launched():
        raise UserError(
            f"environment variable WORLD_SIZE is {place.world_size}, but MASTER_PORT is missing; start with torchrun, "
            "or unset WORLD_SIZE"
        )
    if place.rank >= place.world_size:
        raise UserError(
            f"environment variable RANK is {place.rank}, expected less than WORLD_SIZE = {place.world_size}; start "
            "with torchrun"
        )
    return place


def are_on_one_machine() -> bool:
    """Whether all ranks of the launcher are, as far as it says."""
    world = os.environ.get("WORLD_SIZE", "1")
    return os.environ.get("LOCAL_WORLD_SIZE", world) == world


def told_by_all(value: Any) -> list[Any]:
    """What each rank says at the end of its work, in rank order; on other ranks than 0 an empty list.

    Only the launcher's store is used, no process group: ranks work on without each other, and rank 0 waits for them.
    It alone should end with an error, for a launcher stops all ranks as soon as one has failed.

    Args:
        value: for JSON.
    """
    place = launched_place()
    if place.world_size == 1:
        return [value]
    from torch.distributed.rendezvous import rendezvous

    store, *_ = next(rendezvous("env://", place.rank, place.world_size, timeout=_LONGEST_WORK))
    prefix = f"told/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    store.set(f"{prefix}/{place.rank}", json.dumps(value))
    if place.rank:
        return []
    return [json.loads(store.get(f"{prefix}/{rank}")) for rank in range(place.world_size)]


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import without the garbage collector: what imports make stays, so it would look for garbage in vain.

    It takes a tenth of the time of `import torch`; later collections do not look at these objects either. Where PyTorch
    is there already, others use this process, whose garbage stays theirs.
    """
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def leave(code: int | None) -> NoReturn:
    """End the process with an exit status.

    The interpreter's shutdown does not collect garbage, which takes a sixth of the time of `import torch` and frees
    nothing that the system would not. Ranks skip it altogether: a thread of gloo that lets go of a tensor during it
    aborts the process ("terminate called without an active exception"), after all is done.
    """
    gc.freeze()
    if not is_launched():
        sys.exit(code)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def _number(name: str, default: int) -> int:
    value = os.environ.get(name, str(default))
    if not value.isdigit():
        raise UserError(f"environment variable {name}: found {value!r}, expected a whole number; start with torchrun")
    return int(value)
