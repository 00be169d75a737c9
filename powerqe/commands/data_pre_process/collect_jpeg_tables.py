"""Collect the quantization tables of the JPEG files in data/SOURCE and below, for training on them.

The JSON file data/TARGET has the different ones, the most frequent first, with how many files have them. Cameras,
programs and services have tables of their own; {type: JPEG, tables: {file: ...}} in the chain of ChainedImages
compresses with those of such a file.
"""

import argparse

from powerqe.arguments.data_scripts import add_data_arguments, add_nworker
from powerqe.arguments.types import positive
from powerqe.utils.errors import UserError

EXAMPLES = ("%(prog)s my_photos jpeg_tables.json",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Folder and file, and which tables are taken."""
    add_data_arguments(parser)
    add_nworker(parser)
    add = parser.add_argument
    add("source", help="folder of JPEG files, inside the data folder, for example my_photos")
    add("target", help="file to write, inside the data folder, for example jpeg_tables.json")
    add("--least", type=positive, default=1, metavar="N", help="leave out tables that fewer than N files have "
        "(default: %(default)s)")  # fmt: skip
    add("--libjpeg", action="store_true", help="take tables of libjpeg's quality factors, too, which {quality: ...} "
        "makes anyway")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Collect, unless the file exists."""
    target = args.data_root / args.target
    if target.exists() and not args.force:
        raise UserError(f"{target} exists already; use --force to overwrite")

    from powerqe.data_pre_process.collect_jpeg_tables import collect

    collect(args.data_root / args.source, target, args)
