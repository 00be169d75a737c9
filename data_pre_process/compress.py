"""The command that every image codec's script is: data/SOURCE -> data/TARGET/<quality name><quality>."""

import argparse
from collections.abc import Sequence
from functools import partial

import numpy as np

from data_pre_process import driver
from utils.codecs import Codec, check_quality


def compress(codec: Codec, argv: Sequence[str] | None = None) -> None:
    """Parse the command line and compress a folder of images at each of its qualities.

    Raises:
        UserError: a mistake on the command line, a missing folder, or bad images.
    """
    name, quality, (low, high) = type(codec).__name__, codec.quality_name, codec.quality_range
    parser = driver.parser(f"Compress the images of a folder with {name}; the decoded images are saved as PNG files.")
    parser.add_argument("source", help="folder of images, inside the data folder, for example div2k/raw_ds_2")
    parser.add_argument(
        "quality",
        type=partial(_qualities, codec),
        help=f"{quality.upper()}, {low} to {high}; several are separated by commas, for example 10,20,30",
    )
    parser.add_argument(
        "target",
        help=f"folder, inside the data folder, that gets one folder {quality}<{quality.upper()}> for each quality",
    )
    driver.add_nworker(parser)
    args = parser.parse_args(argv)
    jobs = []
    for value in args.quality:
        change = partial(_decoded, codec, value)
        jobs += driver.folder_jobs(
            args.data_root / args.source, args.data_root / args.target / f"{quality}{value}", change
        )
    driver.convert(jobs, args)


def _qualities(codec: Codec, text: str) -> list[int]:
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected whole numbers such as 10 or 10,20,30") from None
    return [check_quality(codec, value) for value in dict.fromkeys(values)]


def _decoded(codec: Codec, quality: int, image: np.ndarray) -> np.ndarray:
    return codec.compress(image, quality)[0]
