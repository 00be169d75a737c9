"""Collect the quantization tables of the JPEG files in data/SOURCE and its subfolders, for training.

Cameras, programs and services use their own tables. The JSON file data/TARGET lists them with the number of files, the
most frequent first; the step {type: JPEG, tables: {file: ...}} of ChainedImages compresses with them.
"""

import argparse

from powerqe.arguments.data_scripts import add_data_arguments, add_nworker
from powerqe.arguments.shard import check_alone, refuse_shard
from powerqe.arguments.types import positive
from powerqe.utils.errors import UserError

EXAMPLES = ("%(prog)s my_photos jpeg_tables.json",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add source, target and selection."""
    add_data_arguments(parser)
    refuse_shard(parser, "the file of tables")
    add_nworker(parser)
    add = parser.add_argument
    add("source", help="folder of JPEG files, inside the data folder, for example my_photos")
    add("target", help="output file, inside the data folder, for example jpeg_tables.json")
    add("--least", type=positive, default=1, metavar="N", help="minimum number of files with a table (default: "
        "%(default)s)")  # fmt: skip
    add("--libjpeg", action="store_true", help="include the tables of libjpeg's quality factors, which need no file")


def run(args: argparse.Namespace) -> None:
    """Collect the tables, unless the target exists."""
    check_alone("the file of tables")
    target = args.data_root / args.target
    if target.exists() and not args.force:
        raise UserError(f"{target} exists already; use --force to overwrite")

    from powerqe.data_pre_process.collect_jpeg_tables import collect

    collect(args.data_root / args.source, target, args)
