"""Arguments of the commands of `powerqe data`: the data folder, overwriting, number of processes."""

import argparse
import os
from pathlib import Path

from powerqe.arguments.types import positive
from powerqe.utils.places import data_root


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --data-root, --force and --quiet."""
    add_data_root(parser)
    parser.add_argument("--force", action="store_true", help="overwrite files that already exist")
    parser.add_argument("--quiet", action="store_true", help="print error messages only")


def add_data_root(parser: argparse.ArgumentParser) -> None:
    """Add --data-root."""
    parser.add_argument(
        "--data-root",
        type=Path,
        metavar="FOLDER",
        default=data_root(),
        help="folder of all data sets (default: data/ of the clone, or data/ in the working folder)",
    )


def add_nworker(parser: argparse.ArgumentParser, unit: str = "image") -> None:
    """Add --nworker."""
    parser.add_argument(
        "--nworker",
        type=positive,
        metavar="N",
        default=_cores(),
        help=f"{unit}s to process in parallel (default: number of cores, here %(default)s)",
    )


def _cores() -> int:
    """Cores for this process; fewer than those of the machine in a container, a batch job, or beside other ranks."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ranks = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, cores // max(1, int(ranks))) if ranks.isdecimal() else cores
