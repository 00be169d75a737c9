"""Pack the images of data/SOURCE into the LMDB store data/SOURCE.lmdb."""

import argparse

from powerqe.arguments.data_scripts import add_data_arguments, add_nworker
from powerqe.arguments.shard import check_alone, refuse_shard

EXAMPLES = ("%(prog)s div2k/raw_ds_2",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add source and format."""
    add_data_arguments(parser)
    refuse_shard(parser, "a store")
    add_nworker(parser)
    parser.add_argument("source", help="folder of images, inside the data folder, for example div2k/raw_ds_2")
    parser.add_argument("--codec", choices=("raw", "png"), default="raw", help="raw: fastest; png: about two thirds of "
                        "the disk space (default: %(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Pack the images, unless the store is up to date."""
    check_alone("a store")
    from powerqe.data_pre_process.pack_images import pack

    folder = args.data_root / args.source
    pack(folder, folder.with_name(f"{folder.name}.lmdb"), args)
