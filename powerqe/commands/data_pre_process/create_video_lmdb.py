"""Pack the videos of data/SOURCE in the LMDB store data/SOURCE.lmdb."""

import argparse

from powerqe.arguments.data_scripts import add_data_arguments, add_nworker
from powerqe.arguments.types import positive, width_and_height
from powerqe.utils.errors import UserError

EXAMPLES = ("%(prog)s mine/x265_ldp/qp37",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder of videos, what of them is packed, and how."""
    add_data_arguments(parser)
    add_nworker(parser)
    add = parser.add_argument
    add("source", help="folder of *.yuv files or of folders of frames, inside the data folder")
    add("--store", metavar="FOLDER", help="where to write inside the data folder (default: SOURCE.lmdb)")
    add(
        "--layout",
        choices=("powerqe", "stdf"),
        default="powerqe",
        help="how the store is arranged: ours, of single "
        "frames, or that of STDF-PyTorch, of groups of seven (default: %(default)s)",
    )
    add(
        "--gt",
        action="store_true",
        help="with --layout stdf: these are the clean videos, of which each group needs its middle frame only",
    )
    add(
        "--max-frames",
        type=positive,
        metavar="N",
        help="pack the first N frames of each video (default: all; 300 with --layout stdf)",
    )
    add("--list", metavar="FILE", help="text file with the videos to pack, one in each line, such as sep_trainlist.txt")
    add("--color", choices=("y", "rgb"), default="y", help="pack luma, or RGB (default: %(default)s)")
    add(
        "--codec",
        choices=("raw", "png"),
        default="raw",
        help="raw: fastest crops; png: less disk (default: %(default)s)",
    )
    add(
        "--chroma",
        choices=("420", "444"),
        default="420",
        help="sampling of the chroma in raw files (default: %(default)s)",
    )
    add(
        "--depth",
        type=int,
        choices=(8, 10),
        default=8,
        help="bits of a sample in raw files; 10 are rounded to 8 (default: %(default)s)",
    )
    add("--size", type=width_and_height, metavar="WxH", help="width and height of raw files whose names do not say it")


def run(args: argparse.Namespace) -> None:
    """Pack, unless an up-to-date store exists."""
    if args.layout == "stdf" and (args.color, args.codec) != ("y", "raw"):
        raise UserError("--layout stdf keeps luma as PNG files; leave out --color and --codec")
    if args.layout == "powerqe" and args.gt:
        raise UserError("--gt is for --layout stdf; the other layout keeps all frames")

    from powerqe.data_pre_process.pack_videos import pack

    pack(args)
