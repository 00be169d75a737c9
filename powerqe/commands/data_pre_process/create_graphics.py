"""Make synthetic images of text and graphics in data/NAME/raw, called sSEED-NUMBER-KIND.png.

They show sharp edges, flat regions and few colors, which a network that has only seen photographs blurs. An image
depends on seed, number, kind, size, fonts and photographs only: the same command makes the same files.
"""

import argparse
from pathlib import Path

from powerqe.arguments.data_scripts import add_data_arguments, add_nworker
from powerqe.arguments.types import natural, positive

EXAMPLES = (
    "%(prog)s --count 600",
    "%(prog)s --name graphics-test --seed 1 --count 24",
    "%(prog)s --count 100 --kinds text:3,screen:2,plot --photos PHOTOGRAPHS",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many images of which kinds."""
    add_data_arguments(parser)
    add_nworker(parser)
    add = parser.add_argument
    add("--name", default="graphics", help="data set: a folder of the data folder (default: %(default)s)")
    add("--count", type=positive, default=100, metavar="N", help="how many images (default: %(default)s)")
    add("--size", type=positive, default=512, metavar="PIXELS", help="height and width (default: %(default)s)")
    add("--seed", type=natural, default=0, help="0 for training (the default), 1 for images nothing was trained on")
    add("--kinds", metavar="KIND[:WEIGHT],...", help="which kinds, and how often in relation to each other, such as "
        "text:3,screen (default: all, text and screens most)")  # fmt: skip
    add("--photos", type=Path, metavar="FOLDER", help="photographs to be shown, reduced, in screens and pages")
    add("--fonts", type=Path, metavar="FOLDER", help="more fonts (TTF, OTF) than come with Matplotlib and Pillow")


def run(args: argparse.Namespace) -> None:
    """Make the images that do not exist yet."""
    from powerqe.data_pre_process.create_graphics import create

    create(args)
