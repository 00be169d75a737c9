"""Convert videos to raw sequences or back, or crop and shrink them: data/SOURCE -> data/TARGET.

Videos (mp4, mkv ...) become <Name>_<W>x<H>_<Frames>.yuv, the form that compression, training and tests take; raw
sequences become mp4 or mkv without loss. Compressed videos carry artifacts of their own; made half as large they are
good enough as clean ground truth, as photographs are.
"""

import argparse
from typing import TYPE_CHECKING

from powerqe.arguments.data_scripts import add_data_arguments, add_nworker
from powerqe.arguments.types import natural, positive
from powerqe.utils.errors import UserError

if TYPE_CHECKING:
    from powerqe.utils.video.planes import Region

TARGETS = ("yuv", "mp4", "mkv")
EXAMPLES = ("%(prog)s my_videos mine/raw --down 2",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Videos, what is made of them, and of which frames and pixels."""
    add_data_arguments(parser)
    parser.add_argument("source", help="video or .yuv file, or folder of them, inside the data folder")
    parser.add_argument("target", help="folder, inside the data folder, for what is made")
    parser.add_argument(
        "--to",
        choices=TARGETS,
        default="yuv",
        help="yuv: raw; mp4: lossless HEVC; mkv: FFV1 (default: %(default)s)",
    )
    parser.add_argument(
        "--crop",
        type=_region,
        metavar="WxH+X+Y",
        help="keep this part of each frame only, for example 416x240+0+0 from the top left corner",
    )
    parser.add_argument(
        "--down",
        type=positive,
        metavar="N",
        default=1,
        help="reduce height and width so many times (default: 1)",
    )
    parser.add_argument(
        "--method",
        choices=("area", "bicubic"),
        default="area",
        help="how to reduce: the mean of the pixels, or MATLAB's imresize (default: %(default)s)",
    )
    parser.add_argument(
        "--start",
        type=natural,
        metavar="N",
        default=0,
        help="leave out so many frames at the beginning (default: %(default)s)",
    )
    parser.add_argument(
        "--max-frames", type=positive, metavar="N", help="convert so many frames at most (default: all of them)"
    )
    parser.add_argument(
        "--chroma",
        choices=("420", "444"),
        help="sampling of the chroma: of .yuv sources (default: 420), and what videos are converted to (default: "
        "theirs, else 420)",
    )
    parser.add_argument(
        "--depth",
        type=int,
        choices=(8, 10),
        help="bits of a sample: of .yuv sources (default: 8), and what videos are converted to (default: theirs, else "
        "8 or 10)",
    )
    parser.add_argument(
        "--fps", type=positive, metavar="N", default=25, help="frames per second of .yuv sources (default: 25)"
    )
    add_nworker(parser, "video")


def run(args: argparse.Namespace) -> None:
    """Convert what is missing."""
    from powerqe.data_pre_process import driver
    from powerqe.data_pre_process.convert_video import Conversion

    conversion = Conversion(
        f".{args.to}", args.crop, args.down, args.method, args.start, args.max_frames, args.chroma, args.depth, args.fps
    )
    jobs = conversion.jobs(args.data_root / args.source, args.data_root / args.target)
    for line in conversion.remarks(jobs):
        driver.report(line, args)
    driver.make_files(jobs, args, "video")


def _region(text: str) -> "Region":
    from powerqe.utils.video.planes import parse_region

    try:
        return parse_region(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
