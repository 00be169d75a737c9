"""Pack the videos of data/SOURCE into the LMDB store data/SOURCE.lmdb."""

import argparse

from powerqe.arguments.data_scripts import add_data_arguments, add_nworker
from powerqe.arguments.shard import check_alone, refuse_shard
from powerqe.arguments.types import positive, width_and_height
from powerqe.utils.errors import UserError

EXAMPLES = ("%(prog)s mine/x265_ldp/qp37",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add source, selection and format."""
    add_data_arguments(parser)
    refuse_shard(parser, "a store")
    add_nworker(parser)
    add = parser.add_argument
    add("source", help="folder of *.yuv files or of folders of frames, inside the data folder")
    add("--store", metavar="FOLDER", help="store, inside the data folder (default: SOURCE.lmdb)")
    add(
        "--layout",
        choices=("powerqe", "stdf"),
        default="powerqe",
        help="layout of the store: single frames (powerqe), or groups of seven frames as in STDF-PyTorch (stdf) "
        "(default: %(default)s)",
    )
    add(
        "--gt",
        action="store_true",
        help="with --layout stdf: clean videos, of which only the middle frame of each group is stored",
    )
    add(
        "--max-frames",
        type=positive,
        metavar="N",
        help="pack the first N frames of each video (default: all; 300 with --layout stdf)",
    )
    add("--list", metavar="FILE", help="text file with the videos to pack, one per line, such as sep_trainlist.txt")
    add("--color", choices=("y", "rgb"), default="y", help="store luma or RGB (default: %(default)s)")
    add(
        "--codec",
        choices=("raw", "png"),
        default="raw",
        help="raw: fastest; png: less disk space (default: %(default)s)",
    )
    add(
        "--chroma",
        choices=("400", "420", "422", "444"),
        help="chroma subsampling of .yuv files whose names do not say it (default: 420)",
    )
    add(
        "--depth",
        type=int,
        choices=(8, 10),
        help="bit depth of .yuv files whose names do not say it; 10 bits are rounded to 8 (default: 8)",
    )
    add("--size", type=width_and_height, metavar="WxH", help="width and height of .yuv files without a size in their "
        "name")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Pack the videos, unless the store is up to date."""
    check_alone("a store")
    if args.layout == "stdf" and (args.color, args.codec) != ("y", "raw"):
        raise UserError("--layout stdf stores luma as PNG; remove --color and --codec")
    if args.layout == "powerqe" and args.gt:
        raise UserError("--gt is for --layout stdf only; the other layout stores all frames")

    from powerqe.data_pre_process.pack_videos import pack

    pack(args)
