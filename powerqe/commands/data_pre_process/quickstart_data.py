"""Save the photographs of the quickstart, from scikit-image, to data/NAME/raw."""

import argparse

from powerqe.arguments.data_scripts import add_data_arguments, add_nworker
from powerqe.arguments.shard import add_shard


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name of the data set."""
    add_data_arguments(parser)
    parser.add_argument(
        "--name", default="quickstart", help="data set, a folder in the data folder (default: %(default)s)"
    )
    add_nworker(parser)
    add_shard(parser, "image")


def run(args: argparse.Namespace) -> None:
    """Save photographs that do not exist yet."""
    from powerqe.data_pre_process.quickstart import save_photographs

    save_photographs(args.data_root / args.name / "raw", args)
