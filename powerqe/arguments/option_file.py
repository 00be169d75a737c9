"""--opt, --case, --set: the options of a training, a test or a publication."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from powerqe.utils.options.tree import Options


def add_option_file(parser: argparse.ArgumentParser) -> None:
    """Add --opt, --case, --set and --print-options."""
    parser.add_argument(
        "--opt",
        required=True,
        metavar="FILE",
        help="option file, for example opts/arcnn.yml, or the name of an included one (arcnn); see docs/options.md",
    )
    parser.add_argument(
        "--case",
        metavar="NAME",
        help="case of the option file, for example div2k-qf10; optional if it has only one",
    )
    add_set(parser)
    parser.add_argument("--print-options", action="store_true", help="print the resolved options as YAML and exit")
    # torch.distributed.launch passes the local rank as an argument; it is read from the environment instead.
    parser.add_argument("--local-rank", "--local_rank", type=int, default=0, help=argparse.SUPPRESS)


def add_set(parser: argparse.ArgumentParser) -> None:
    """Add --set."""
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="override options, for example train.niter=1000 dataset.train.bs_pg=4",
    )


def read_options(args: argparse.Namespace) -> "Options | None":
    """The resolved options; None after printing them for --print-options."""
    options = resolved(args.opt, args.case, args.set)
    if args.print_options:
        print(options.to_yaml(), end="")
        return None
    return options


def resolved(file: str, case: str | None, overrides: Sequence[str]) -> "Options":
    """The options of a case with overrides; raises as `load_options`."""
    import powerqe.algorithm  # noqa: F401 - registers all components
    from powerqe.utils.options.tree import load_options

    return load_options(file, case, overrides)
