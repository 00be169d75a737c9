"""Down-sample the images of data/NAME/raw to PNG files in data/NAME/raw_ds_RATIO.

With --method bicubic the folder is data/NAME/raw_bicubic_ds_RATIO.
"""

import argparse

from powerqe.arguments.data_scripts import add_data_arguments, add_nworker
from powerqe.arguments.shard import add_shard
from powerqe.arguments.types import positive

METHODS = ("area", "bicubic")
EXAMPLES = ("%(prog)s div2k 2", "%(prog)s div2k 4 --method bicubic")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add data set, ratio and method."""
    add_data_arguments(parser)
    parser.add_argument("name", help="data set, a folder in the data folder, for example div2k")
    parser.add_argument("ratio", type=positive, help="divisor of height and width, for example 2")
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="area",
        help="area: the mean of RATIO x RATIO pixels, for clean ground truth; bicubic: MATLAB's imresize of the image "
        "cropped to multiples of RATIO, for super-resolution (default: %(default)s)",
    )
    add_nworker(parser)
    add_shard(parser, "image")


def run(args: argparse.Namespace) -> None:
    """Down-sample images that have no result yet."""
    from powerqe.data_pre_process.down_sample import down_sample

    down_sample(args.data_root / args.name, args.ratio, args.method, args)
