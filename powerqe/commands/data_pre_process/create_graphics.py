"""Synthesize images of text and graphics: data/NAME/raw/sSEED-NUMBER-KIND.png.

They have sharp edges, flat regions and few colors, which networks trained on photographs only tend to blur. An image
depends on seed, number, kind, size, fonts and photographs only, so the same command creates the same files.
"""

import argparse
from pathlib import Path

from powerqe.arguments.data_scripts import add_data_arguments, add_nworker
from powerqe.arguments.shard import add_shard
from powerqe.arguments.types import natural, positive

EXAMPLES = (
    "%(prog)s --count 600",
    "%(prog)s --name graphics-test --seed 1 --count 24",
    "%(prog)s --count 100 --kinds text:3,screen:2,plot --photos PHOTOGRAPHS",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add number, size and kinds of images."""
    add_data_arguments(parser)
    add_nworker(parser)
    add_shard(parser, "image")
    add = parser.add_argument
    add("--name", default="graphics", help="data set, a folder in the data folder (default: %(default)s)")
    add("--count", type=positive, default=100, metavar="N", help="number of images (default: %(default)s)")
    add("--size", type=positive, default=512, metavar="PIXELS", help="height and width in pixels (default: "
        "%(default)s)")  # fmt: skip
    add("--seed", type=natural, default=0, help="0 for training (default), 1 for tests")
    add("--kinds", metavar="KIND[:WEIGHT],...", help="kinds and their relative frequencies, for example "
        "text:3,screen (default: all kinds, text and screens most frequently)")  # fmt: skip
    add("--photos", type=Path, metavar="FOLDER", help="photographs for screens and pages (default: textures)")
    add("--fonts", type=Path, metavar="FOLDER", help="additional fonts (TTF, OTF)")


def run(args: argparse.Namespace) -> None:
    """Create images that do not exist yet."""
    from powerqe.data_pre_process.create_graphics import create

    create(args)
