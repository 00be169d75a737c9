"""Arguments of the commands that make data: the data folder, what is done again, and how many processes work."""

import argparse
import os
from pathlib import Path

from powerqe.arguments.types import positive
from powerqe.utils.places import data_root


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --data-root, --force and --quiet."""
    add_data_root(parser)
    parser.add_argument("--force", action="store_true", help="make again what exists already")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def add_data_root(parser: argparse.ArgumentParser) -> None:
    """Add --data-root."""
    parser.add_argument(
        "--data-root",
        type=Path,
        metavar="FOLDER",
        default=data_root(),
        help="folder of all data sets (default: data/ of the checkout, or data/ here)",
    )


def add_nworker(parser: argparse.ArgumentParser, unit: str = "image") -> None:
    """Add --nworker."""
    parser.add_argument(
        "--nworker",
        type=positive,
        metavar="N",
        default=_cores(),
        help=f"{unit}s converted at once (default: all cores, here %(default)s)",
    )


def _cores() -> int:
    """Cores that this process may use; fewer than the machine has in a container or a batch job."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
