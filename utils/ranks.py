"""The processes of a run: rank, device, and communication between ranks."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from powerqe.utils.errors import UserError
from powerqe.utils.launcher import is_launched


@dataclass(frozen=True)
class Ranks:
    """This process among `world_size` ones; a run without a launcher is rank 0 of 1."""

    rank: int
    local_rank: int
    world_size: int
    device: torch.device

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
        dist.all_gather_object(values, value)
        return values

    def any(self, *flags: bool) -> list[bool]:
        """For each flag: is it set on any rank? Goes through the CPU, so the device is not waited for."""
        if self.world_size == 1:
            return list(flags)
        votes = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(votes, dist.ReduceOp.MAX)
        return [bool(vote) for vote in votes]

    def equalize(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give the tensors of every rank the values of rank 0, in place."""
        if self.world_size == 1:
            return
        mine = list(tensors)
        values: list[Any] = [[tensor.cpu() for tensor in mine] if self.is_main else None]
        dist.broadcast_object_list(values)
        with torch.no_grad():
            for tensor, value in zip(mine, values[0], strict=True):
                tensor.copy_(value)

    def barrier(self) -> None:
        """Wait for all ranks."""
        self.any(False)


@contextmanager
def start_ranks(device: str = "auto") -> Iterator[Ranks]:
    """Join the process group that a launcher described in the environment, if one did; leave it at the end.

    Args:
        device: "auto" (cuda when there is one), "cpu" or "cuda". CPU tensors travel by gloo, CUDA tensors by NCCL.

    Raises:
        UserError: no such device, or the group cannot be formed (port in use, unreachable master).
    """
    rank, local_rank, world_size = (_environment(name, default) for name, default in _LAUNCHER.items())
    ranks = Ranks(rank, local_rank, world_size, _device(device, local_rank))
    if not is_launched():
        yield ranks
        return
    try:
        _join(ranks)
        yield ranks
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


_LAUNCHER = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1}


def _environment(name: str, default: int) -> int:
    value = os.environ.get(name, str(default))
    if not value.isdigit():
        raise UserError(f"environment variable {name}: found {value!r}, expected a whole number; start with torchrun")
    return int(value)


def _device(device: str, local_rank: int) -> torch.device:
    count = torch.cuda.device_count()
    if device == "cpu" or (device == "auto" and not count):
        return torch.device("cpu")
    if local_rank >= count:
        raise UserError(f"device: local rank {local_rank} needs a GPU of its own, but {count} are visible; lower "
                        "--nproc_per_node or set device=cpu")  # fmt: skip
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def _join(ranks: Ranks) -> None:
    backend = "gloo" if ranks.device.type == "cpu" else "cpu:gloo,cuda:nccl"
    # A rank may wait while another validates a long film: the default 10 minutes are too short.
    try:
        dist.init_process_group(backend, timeout=timedelta(hours=2))
    except (dist.DistError, RuntimeError, ValueError) as error:
        where = f"{os.environ.get('MASTER_ADDR', '?')}:{os.environ.get('MASTER_PORT', '?')}"
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot form the process group at {where}: {reason}; is the port in use? "
                        "choose another with --master_port") from None  # fmt: skip
