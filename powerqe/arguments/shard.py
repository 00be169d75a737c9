"""--shard: the part of a machine of work that several share."""

import argparse
from typing import Any

from powerqe.utils.errors import UserError


def add_shard(parser: argparse.ArgumentParser, unit: str = "file") -> None:
    """Add --shard."""
    parser.add_argument("--shard", type=_shard, metavar="i/n", help=f"do part i of n of the {unit}s, i from 0 to "
        "n - 1, so that n machines share the work (default: the task of a Slurm array, or of an indexed Kubernetes "
        "job with the number of pods in JOB_COMPLETIONS, else all; 0/1: all)")  # fmt: skip


def refuse_shard(parser: argparse.ArgumentParser, made: str) -> None:
    """Say of --shard that one process makes what the command makes.

    Args:
        made: that thing, such as "a store".
    """

    def refuse(_text: str) -> Any:
        raise argparse.ArgumentTypeError(f"one process makes {made}; leave it out")

    parser.add_argument("--shard", type=refuse, help=argparse.SUPPRESS)


def check_alone(made: str) -> None:
    """Raise `UserError` if a launcher has started several processes of what `refuse_shard` says."""
    from powerqe.utils.launcher import launched_place

    if (count := launched_place().world_size) > 1:
        raise UserError(f"one process makes {made}, and the launcher has started {count}; start it without one")


def _shard(text: str) -> Any:
    from powerqe.utils.shards import parse_shard

    try:
        return parse_shard(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
