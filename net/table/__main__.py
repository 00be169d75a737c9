"""What networks cost: parameters, multiply-accumulates, receptive field, time and memory."""

import argparse
import re
import shlex
import sys
from pathlib import Path

import torch

from powerqe.net.table.asked import asked, every_network, every_weights, without_defaults
from powerqe.net.table.layout import COLUMNS, ordered, to_json, to_markdown, to_text
from powerqe.net.table.rows import Conditions, measured
from powerqe.utils.errors import UserError, command
from powerqe.utils.files import atomic_path
from powerqe.utils.log import progress_bar
from powerqe.utils.parser import Parser

_SMALLEST, _LARGEST = 8, 16384
_EXAMPLES = (
    "python -m powerqe.net.table                                 all networks, as their constructors' defaults make them",
    "python -m powerqe.net.table --weights --sort macs           all published weights, the cheapest first",
    "python -m powerqe.net.table FBCNN dncnn-bsds500-qf10        types of networks, and weights by name or path",
    "python -m powerqe.net.table '{type: EDSR, num_features: 256, num_blocks: 32}'    a network as in an option file",
    "python -m powerqe.net.table --size 3840x2160 --no-time      what a frame of 4K takes; needs no memory itself",
)


@command
def main() -> None:
    """Measure what is asked for, print the table and write it where that is asked for, too."""
    arguments = _parser().parse_args()
    conditions = _conditions(arguments)
    networks = [*asked(arguments.networks), *(every_weights() if arguments.weights else [])]
    missing = [] if networks else without_defaults()
    rows = []
    with progress_bar(None, None, len(networks or every_network()), is_main=True, leave=False) as bar:
        for each in networks or every_network():
            bar.set_description_str(f"{each.spec['type']} {each.configuration}")
            rows.append(measured(each, conditions))
            bar.update()
    rows = ordered(rows, arguments.sort) if arguments.sort else rows
    print(to_text(rows, conditions, missing))
    line = shlex.join(["python", "-m", "powerqe.net.table", *sys.argv[1:]])
    _write(arguments.markdown, to_markdown(rows, conditions, missing, line))
    _write(arguments.json, to_json(rows, conditions))


def _conditions(arguments: argparse.Namespace) -> Conditions:
    """Checked before anything is measured.

    Raises:
        UserError: no size, or none that is sensible; no GPU; no number of runs.
    """
    found = re.fullmatch(r"(\d{1,9})x(\d{1,9})", arguments.size)
    width, height = map(int, found.groups()) if found else (0, 0)
    if not all(_SMALLEST <= side <= _LARGEST for side in (width, height)):
        raise UserError(f"--size: found {arguments.size}, expected WIDTHxHEIGHT such as 256x256, each {_SMALLEST} to "
                        f"{_LARGEST} pixels")  # fmt: skip
    if arguments.repeat is not None and not (arguments.repeat.isdecimal() and int(arguments.repeat)):
        raise UserError(f"--repeat: found {arguments.repeat}, expected a number of runs, 1 or more")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no GPU is there that PyTorch can use; leave --device out, or give cpu")
    is_gpu = arguments.device != "cpu" and torch.cuda.is_available()
    runs = None if arguments.repeat is None else int(arguments.repeat)
    return Conditions(height, width, torch.device("cuda" if is_gpu else "cpu"), arguments.time, runs)


def _write(path: Path | None, text: str) -> None:
    if path is not None:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__, examples=_EXAMPLES)
    add = parser.add_argument
    add("networks", nargs="*", metavar="NETWORK", help="types of networks, weights by name (python -m powerqe.net.weights list "
        "names all) or path, or networks as option files write them (default: every type)")  # fmt: skip
    add("--weights", action="store_true", help="all published weights that are here, each with its own configuration")
    add("--size", default="256x256", metavar="WxH", help="width and height of the picture in pixels; of "
        "super-resolution that of the small one (default: 256x256)")  # fmt: skip
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where networks are timed; auto is the GPU "
        "if there is one (default: auto). OMP_NUM_THREADS=1 before the command gives one thread of a CPU")  # fmt: skip
    add("--repeat", metavar="N", help="time each network N times, after one run that warms up (default: as often as "
        "fits into a second)")  # fmt: skip
    add("--no-time", dest="time", action="store_false", help="time nothing and compute no pictures: what remains is "
        "the same on every machine, and large sizes need no memory")  # fmt: skip
    add("--sort", choices=tuple(COLUMNS), metavar="COLUMN", help=f"sort by {', '.join(COLUMNS)}, smallest first "
        "(default: as they are named; all networks by name)")  # fmt: skip
    add("--markdown", type=Path, metavar="FILE", help="write the table there, too, as a page of Markdown")
    add("--json", type=Path, metavar="FILE", help="write the figures there, too, as bytes, pixels and milliseconds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
