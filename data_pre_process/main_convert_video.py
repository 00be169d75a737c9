"""Convert videos to raw sequences or back, or cut and shrink them: data/SOURCE -> data/TARGET.

Videos (mp4, mkv ...) become <Name>_<W>x<H>_<Frames>.yuv, the form that compression, training and tests take; raw
sequences become mp4 or mkv without loss. Compressed videos carry artifacts of their own; made half as large they are
good enough as clean ground truth, as photographs are.
"""

import argparse
import sys
from collections.abc import Sequence

if not __package__:
    import run_from_checkout  # noqa: F401

from powerqe.data_pre_process import driver
from powerqe.data_pre_process.convert_video import Conversion
from powerqe.utils.errors import UserError, command
from powerqe.utils.video.container import LOSSLESS
from powerqe.utils.video.planes import Region, parse_region


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = driver.parser(
        "Convert a video, or all of a folder, to raw sequences or lossless videos.",
        ["python main_convert_video.py my_videos mine/raw --down 2"],
    )
    parser.add_argument("source", help="video or .yuv file, or folder of them, inside the data folder")
    parser.add_argument("target", help="folder, inside the data folder, for what is made")
    parser.add_argument(
        "--to",
        choices=("yuv", *(suffix[1:] for suffix in LOSSLESS)),
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
        type=driver.positive,
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
        type=_natural,
        metavar="N",
        default=0,
        help="leave out so many frames at the beginning (default: %(default)s)",
    )
    parser.add_argument(
        "--max-frames", type=driver.positive, metavar="N", help="convert so many frames at most (default: all of them)"
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
        "--fps", type=driver.positive, metavar="N", default=25, help="frames per second of .yuv sources (default: 25)"
    )
    driver.add_nworker(parser, "video")
    args = parser.parse_args(argv)
    conversion = Conversion(
        f".{args.to}", args.crop, args.down, args.method, args.start, args.max_frames, args.chroma, args.depth, args.fps
    )
    jobs = conversion.jobs(args.data_root / args.source, args.data_root / args.target)
    for line in conversion.remarks(jobs):
        driver.report(line, args)
    driver.make_files(jobs, args, "video")


def _region(text: str) -> Region:
    try:
        return parse_region(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
