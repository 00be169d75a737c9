"""Convert videos to raw sequences or back, optionally cropped and down-sampled: data/SOURCE -> data/TARGET.

Videos (mp4, mkv ...) are converted to <Name>_<W>x<H>_<Frames>.yuv, the input of compression, training and tests; raw
sequences to lossless mp4 or mkv. Down-sample compressed videos (--down 2) to use them as ground truth, which averages
out their own artifacts.
"""

import argparse
from typing import TYPE_CHECKING

from powerqe.arguments.data_scripts import add_data_arguments, add_nworker
from powerqe.arguments.shard import add_shard
from powerqe.arguments.types import natural, positive
from powerqe.utils.errors import UserError

if TYPE_CHECKING:
    from powerqe.utils.image.crop import CropBox

TARGETS = ("yuv", "mp4", "mkv")
EXAMPLES = ("%(prog)s my_videos mine/raw --down 2",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add videos, target, crop, scale and range of frames."""
    add_data_arguments(parser)
    parser.add_argument("source", help="video or .yuv file, or a folder of them, inside the data folder")
    parser.add_argument("target", help="folder, inside the data folder, for the results")
    parser.add_argument(
        "--to",
        choices=TARGETS,
        default="yuv",
        help="yuv: raw; mp4: lossless HEVC; mkv: FFV1 (default: %(default)s)",
    )
    parser.add_argument(
        "--crop",
        type=_crop,
        metavar="WxH+X+Y",
        help="crop frames to this part, for example 416x240+0+0 at the top left",
    )
    parser.add_argument(
        "--down",
        type=positive,
        metavar="N",
        default=1,
        help="divide height and width by N (default: 1)",
    )
    parser.add_argument(
        "--method",
        choices=("area", "bicubic"),
        default="area",
        help="down-sampling method: area, the mean of N x N pixels; bicubic, MATLAB's imresize (default: %(default)s)",
    )
    parser.add_argument(
        "--start",
        type=natural,
        metavar="N",
        default=0,
        help="skip the first N frames (default: %(default)s)",
    )
    parser.add_argument("--max-frames", type=positive, metavar="N", help="convert at most N frames (default: all)")
    parser.add_argument(
        "--chroma",
        choices=("400", "420", "422", "444"),
        help="chroma subsampling of .yuv sources whose names do not say it (default: 420), or to convert videos to "
        "(default: that of the video; 400 is gray)",
    )
    parser.add_argument(
        "--depth",
        type=int,
        choices=(8, 10),
        help="bit depth of .yuv sources whose names do not say it (default: 8), or to convert videos to (default: that "
        "of the video, or 8 or 10)",
    )
    parser.add_argument(
        "--fps", type=positive, metavar="N", default=25, help="frame rate of .yuv sources (default: 25)"
    )
    add_nworker(parser, "video")
    add_shard(parser, "video")


def run(args: argparse.Namespace) -> None:
    """Convert videos that have no result yet."""
    from powerqe.data_pre_process import driver
    from powerqe.data_pre_process.convert_video import Conversion

    conversion = Conversion(
        f".{args.to}", args.crop, args.down, args.method, args.start, args.max_frames, args.chroma, args.depth, args.fps
    )
    jobs = conversion.jobs(args.data_root / args.source, args.data_root / args.target)
    driver.make_files(jobs, args, "video", conversion.remarks)


def _crop(text: str) -> "CropBox":
    from powerqe.utils.video.planes import parse_crop

    try:
        return parse_crop(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
