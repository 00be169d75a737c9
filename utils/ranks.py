"""The processes of a run: rank, device, and communication between ranks."""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from powerqe.utils.errors import LostRankError, UserError
from powerqe.utils.launcher import is_launched, launched_place
from powerqe.utils.rank_watch import RankWatch, first_line, is_loss

T = TypeVar("T")
TIMEOUT = 5.0
"""Minutes after which ranks give up another one that does not answer."""
_LONGEST_WORK = timedelta(hours=12)
"""For which ranks wait for one that answers but has more to do, such as a longer film to validate."""

_MARGIN = 10.0
"""Seconds beyond the time to join, in which PyTorch itself may tell what is wrong."""


class ElsewhereError(UserError):
    """What another rank could not do; all ranks know of it."""


@dataclass(frozen=True)
class Ranks:
    """This process among `world_size` ones; a run without a launcher is rank 0 of 1."""

    rank: int
    local_rank: int
    world_size: int
    device: torch.device
    group: Any = None
    """In which the work's tensors travel; None: the default one."""
    watch: RankWatch | None = None
    """Ends this process when another one is lost."""

    @property
    def is_main(self) -> bool:
        """True on the one rank that writes files and logs."""
        return self.rank == 0

    def share(self, total: int) -> int:
        """How many of `total` things are this rank's when they are dealt out one by one."""
        return len(range(self.rank, total, self.world_size))

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, in rank order, on every rank. Picklable values only."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value, self.group)
        return values

    def any(self, *flags: bool) -> list[bool]:
        """For each flag: is it set on any rank? Goes through the CPU, so the device is not waited for."""
        if self.world_size == 1:
            return list(flags)
        votes = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(votes, dist.ReduceOp.MAX, self.group)
        return [bool(vote) for vote in votes]

    def equalize(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give the tensors of every rank the values of rank 0, in place."""
        if self.world_size == 1:
            return
        mine = list(tensors)
        values: list[Any] = [[tensor.cpu() for tensor in mine] if self.is_main else None]
        dist.broadcast_object_list(values, group=self.group)
        with torch.no_grad():
            for tensor, value in zip(mine, values[0], strict=True):
                tensor.copy_(value)

    def barrier(self) -> None:
        """Wait for all ranks."""
        self.any(False)

    def meet(self, error: Exception | None = None) -> None:
        """Wait for all ranks, and end all if one of them has failed.

        Args:
            error: of this rank.

        Raises:
            Exception: `error`.
            ElsewhereError: the one of another rank, with its number.
        """
        where = f"rank {self.rank} ({socket.gethostname()})"
        failures = self.gather(None if error is None else f"{where}: {_in_words(error)}")
        if error is not None:
            raise error
        for failure in filter(None, failures):
            raise ElsewhereError(failure)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Work of every rank that ends on all if it fails on one. Inside, no collective but `meet`."""
        try:
            yield
        except ElsewhereError:
            raise
        except Exception as error:  # a defect, too, must not leave the others waiting
            self.meet(error)
        else:
            self.meet()

    def decided(self, decide: Callable[[], T]) -> T:
        """What rank 0 decides, on every rank. Picklable values only."""
        with self.together():
            values: list[Any] = [decide() if self.is_main else None]
        if self.world_size > 1:
            dist.broadcast_object_list(values, group=self.group)
        return values[0]

    def advise(self, advice: str) -> None:
        """What the user should do if a rank is lost from now on."""
        if self.watch:
            self.watch.advice = advice


@contextmanager
def start_ranks(device: str = "auto", timeout: float = TIMEOUT) -> Iterator[Ranks]:
    """Join the process group that a launcher described in the environment, if one did; leave it at the end.

    Args:
        device: "auto" (cuda when there is one), "cpu" or "cuda". CPU tensors travel by gloo, CUDA tensors by NCCL.
        timeout: minutes to wait for processes that do not answer, at the start and later.

    Raises:
        UserError: no such device, the group cannot be formed (port in use, unreachable master), or an environment of
            several ranks without a place where they meet.
        LostRankError: a rank, or the link to it, is lost.
    """
    rank, local_rank, world_size = launched_place()
    place = _device(device, local_rank)
    if not is_launched():
        yield Ranks(rank, local_rank, world_size, place)
        return
    backend = "gloo" if place.type == "cpu" else "cpu:gloo,cuda:nccl"
    with _no_endless_wait(timeout):
        _join(timeout)
        group = dist.new_group(backend=backend, timeout=_LONGEST_WORK)
    watch = RankWatch(rank, timeout * 60) if world_size > 1 else None
    if watch:
        watch.start()
    is_whole = True
    try:
        yield Ranks(rank, local_rank, world_size, place, group, watch)
    except RuntimeError as error:
        is_whole = False
        if watch is None or not is_loss(error):
            raise
        raise LostRankError(watch.loss(first_line(error))) from None
    finally:
        if (watch is None or watch.end()) and is_whole:  # or it would wait for those that are lost
            dist.destroy_process_group()


def _device(device: str, local_rank: int) -> torch.device:
    count = torch.cuda.device_count()
    if device == "cpu" or (device == "auto" and not count):
        return torch.device("cpu")
    if local_rank >= count:
        raise UserError(f"device: local rank {local_rank} needs a GPU of its own, but {count} are visible; lower "
                        "--nproc_per_node or set device=cpu")  # fmt: skip
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


@contextmanager
def _no_endless_wait(timeout: float) -> Iterator[None]:
    """End the process if it cannot join in time: when a link breaks meanwhile, gloo waits beyond its own limit."""

    def end() -> None:
        print(
            f"error: {_not_joined(f'no answer for {timeout:.3g} minutes (train.timeout)')}", file=sys.stderr, flush=True
        )
        os._exit(UserError.status)

    limit = threading.Timer(timeout * 60 + _MARGIN, end)
    limit.daemon = True
    limit.start()
    try:
        yield
    finally:
        limit.cancel()


def _join(timeout: float) -> None:
    try:
        dist.init_process_group("gloo", timeout=timedelta(minutes=timeout))
    except (dist.DistError, RuntimeError, ValueError) as error:
        raise UserError(_not_joined(first_line(error))) from None


def _not_joined(reason: str) -> str:
    where = f"{os.environ.get('MASTER_ADDR', '?')}:{os.environ.get('MASTER_PORT', '?')}"
    return (
        f"cannot form the process group at {where}: {reason}; is the port in use, or a rank missing? choose another "
        "port with --master_port"
    )


def _in_words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
