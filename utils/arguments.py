"""The command-line arguments that train.py, test.py and friends share."""

import argparse

from utils.options import Options, load_options


def option_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser for --opt, --case, --set and --print-options."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--opt", required=True, metavar="FILE", help="option file (YAML) with defaults and cases")
    parser.add_argument("--case", metavar="NAME", help="its case; may be left out when there is only one")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="override options, for example --set train.niter=1000 dataset.train.bs_pg=4",
    )
    parser.add_argument("--print-options", action="store_true", help="print the resolved options as YAML and stop")
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
