"""Pack the images of data/SOURCE in the LMDB store data/SOURCE.lmdb."""

import argparse

from powerqe.arguments.data_scripts import add_data_arguments, add_nworker

EXAMPLES = ("%(prog)s div2k/raw_ds_2",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, and how its images are stored."""
    add_data_arguments(parser)
    add_nworker(parser)
    parser.add_argument("source", help="folder of images, inside the data folder, for example div2k/raw_ds_2")
    parser.add_argument("--codec", choices=("raw", "png"), default="raw", help="raw: fastest crops; png: about two "
                        "thirds of the disk space (default: %(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Pack, unless an up-to-date store exists."""
    from powerqe.data_pre_process.pack_images import pack

    folder = args.data_root / args.source
    pack(folder, folder.with_name(f"{folder.name}.lmdb"), args)
