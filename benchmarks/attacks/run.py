"""The command: runs the parts one after the other and writes the table."""

import argparse
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from powerqe import __version__
from powerqe.benchmarks.attacks import checkpoints, disks, files, interrupted, nodes, options, ranks, stores
from powerqe.benchmarks.attacks.tally import FAULTS, Tally
from powerqe.benchmarks.common import machine
from powerqe.utils.errors import PartialFailureError, UserError, command
from powerqe.utils.files import write_text
from powerqe.utils.parser import Parser
from powerqe.utils.text_table import markdown

PARTS: Mapping[str, tuple[Callable[[Path, int, int], Tally], int]] = {
    "kill": (interrupted.kills, 100),
    "stop": (interrupted.stops, 30),
    "ranks": (ranks.two_ranks, 20),
    "disk": (disks.full_disks, 20),
    "node": (nodes.killed, 5),
    "cut": (nodes.cut, 5),
    "slow": (nodes.slow, 5),
    "options": (options.option_files, 1000),
    "checkpoints": (checkpoints.checkpoints, 500),
    "stores": (stores.stores, 300),
    "images": (files.images, 300),
    "videos": (files.videos, 200),
}
"""Name -> function of folder, number of cases and seed; number of cases of the whole test."""
COLUMNS = ("tried", "exact", "read", "refused", *FAULTS)


@command
def main(argv: Sequence[str] | None = None, description: str | None = None) -> None:
    """Run the parts that the command line names."""
    args = _arguments(description).parse_args(argv)
    if sys.platform != "linux":
        raise UserError("this needs Linux: it forks, and counts what is left in /proc and in temporary folders")
    torch.set_num_threads(1)  # a process with threads could not be forked
    os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    tallies = []
    for name in args.only or PARTS:
        function, count = PARTS[name]
        with tempfile.TemporaryDirectory(prefix="torture-") as folder:
            started = time.monotonic()
            tally = function(Path(folder).resolve(), max(1, round(count * args.scale)), args.seed)
            tally.seconds = time.monotonic() - started
        tallies.append(tally)
        counts = ", ".join(f"{tally.counts[column]} {column}" for column in COLUMNS)
        print(f"{tally.title}: {counts} ({tally.seconds:.0f} s)", *tally.findings, sep="\n  ", flush=True)
    if args.out:
        write_text(args.out, _page(tallies, args))
    if bad := [tally.title for tally in tallies if not tally.is_good]:
        raise PartialFailureError(f"faults in: {', '.join(bad)}; see above")


def _arguments(description: str | None) -> argparse.ArgumentParser:
    parser = Parser(description)
    add = parser.add_argument
    add("--only", type=_parts, metavar="PART,...", help=f"of {', '.join(PARTS)} (default: all)")
    add("--scale", type=float, default=1.0, metavar="X", help="part of the full number of cases (default: 1)")
    add("--seed", type=int, default=0, metavar="N", help="of what is random (default: 0)")
    add("--out", type=Path, metavar="FILE", help="page for the table, such as docs/reliability.md")
    return parser


def _parts(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return names


def _page(tallies: Sequence[Tally], args: argparse.Namespace) -> str:
    rows = [[tally.title, *(str(tally.counts[column]) for column in COLUMNS)] for tally in tallies]
    notes = "".join(f"- {tally.title}: {tally.note}.\n" for tally in tallies if tally.note)
    return TEMPLATE.format(
        table=markdown([["attack", *COLUMNS], *rows], 1),
        notes=f"\n{notes}" if notes else "",
        machine=machine(),
        system=f"{platform.system()} {platform.release()}",
        version=__version__,
        commit=_commit(),
        command=shlex.join(["python", "benchmarks/torture.py", *sys.argv[1:]]),
        minutes=sum(tally.seconds for tally in tallies) / 60,
    )


def _commit() -> str:
    folder = Path(__file__).parent
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=folder, capture_output=True, timeout=60)
    return done.stdout.decode().strip() or "unknown"


TEMPLATE = """# Reliability

What happens when a training is killed, a disk is full, a link is cut, or a file is damaged.

{table}{notes}
PowerQE {version}, commit {commit}. {machine}; {system}. {minutes:.0f} minutes:

    {command}
"""
