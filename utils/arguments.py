"""The command-line arguments that train.py, test.py and friends share."""

import argparse
from collections.abc import Sequence

from powerqe.utils.options.tree import Options, load_options
from powerqe.utils.parser import Parser


def option_parser(description: str | None, examples: Sequence[str] = ()) -> Parser:
    """A parser for --opt, --case, --set and --print-options; see `Parser`."""
    parser = Parser(description, examples=examples)
    parser.add_argument(
        "--opt",
        required=True,
        metavar="FILE",
        help="option file, for example opts/arcnn.yml; docs/options.md explains it",
    )
    parser.add_argument(
        "--case",
        metavar="NAME",
        help="which of the file's cases, for example div2k-qf10; not needed if it has only one",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="options that count instead of those of the file, for example train.niter=1000 dataset.train.bs_pg=4",
    )
    parser.add_argument(
        "--print-options", action="store_true", help="print all options as they would count, as YAML, and stop"
    )
    # torch.distributed.launch passes the local rank as an argument; it is read from the environment instead.
    parser.add_argument("--local-rank", "--local_rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def parse_options(arguments: argparse.Namespace) -> Options | None:
    """The resolved options; None after printing them for --print-options."""
    options = load_options(arguments.opt, arguments.case, arguments.set)
    if arguments.print_options:
        print(options.to_yaml(), end="")
        return None
    return options
