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
    tallies, commit = [], _commit()
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
        write_text(args.out, _page(tallies, args, commit))
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


def _page(tallies: Sequence[Tally], args: argparse.Namespace, commit: str) -> str:
    rows = [[tally.title, *(str(tally.counts[column]) for column in COLUMNS)] for tally in tallies]
    notes = "".join(f"- {tally.title}: {tally.note}.\n" for tally in tallies if tally.note)
    return TEMPLATE.format(
        table=markdown([["attack", *COLUMNS], *rows], 1),
        notes=f"\n{notes}" if notes else "",
        machine=machine(),
        system=f"{platform.system()} {platform.release()}",
        version=__version__,
        commit=commit,
        command=shlex.join(["python", "benchmarks/torture.py", *sys.argv[1:]]),
        scale=args.scale,
        minutes=sum(tally.seconds for tally in tallies) / 60,
    )


def _commit() -> str:
    folder = Path(__file__).parent
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=folder, capture_output=True, timeout=60)
    return done.stdout.decode().strip() or "unknown"


TEMPLATE = """# Reliability

What happens when a training is killed, a disk is full, a link is cut, or a file is damaged.

{table}{notes}
- **exact**: the training, resumed, ended with the networks, moving averages, optimizer states and generators of an
  uninterrupted one, bit by bit. **read**, **refused**: the input was read, or refused in one line.
- **lost**: iterations that the log has and the checkpoint has not, or another end. **tracebacks**: crashes and statuses
  that are not documented, too. **hangs**: not ended in two minutes (a file: one), or a child process remained.
  **leftovers**: temporary files after the next start had ended. **outside**: files written in the folders above the
  working folder or in the home folder.
- A moment is the number of a function call in the process under attack, drawn from all calls of the training; half of
  the SIGKILLs (on two ranks a quarter) are drawn from those while it is saving. So a case can be repeated, however
  loaded the machine is.
- A full disk is a file system in memory of random size; two nodes are two network namespaces with a link between them.
  For two nodes `train.timeout` is 9 seconds; a survivor ends with one line within it and a minute.
- Half of the checkpoints have damaged bytes, and an earlier checkpoint beside them: all that are not refused must be
  exact. The others have other values and right checksums.

PowerQE {version}, commit {commit}. {machine}; {system}.
Part of the full number of cases: {scale:g}. {minutes:.0f} minutes:

    {command}
"""
