"""The data set of the quickstart: photographs that scikit-image carries inside its package; no download.

The number in front fixes the order in which `slice` counts: 01-05 train, 06 validates, 07-09 are for the
test only. The two views of the motorcycle show the same scene and both train.
"""

import argparse
from importlib.resources import files
from pathlib import Path

import numpy as np

from powerqe.data_pre_process import driver

TRAIN = ("rocket.jpg", "motorcycle_left.png", "motorcycle_right.png", "retina.jpg", "ihc.png")
VALIDATION = ("hubble_deep_field.jpg",)
TEST = ("astronaut.png", "chelsea.png", "coffee.png")


def save_photographs(target: Path, args: argparse.Namespace) -> None:
    """Save the photographs as PNG files in a folder, unless they are there.

    Args:
        args: the command line, see `driver.make_files`.
    """
    package = Path(str(files("skimage.data")))
    jobs = [
        driver.ImageJob(package / name, target / f"{number:02}-{Path(name).stem}.png", _as_it_is)
        for number, name in enumerate(TRAIN + VALIDATION + TEST, start=1)
    ]
    driver.convert(jobs, args)


def _as_it_is(image: np.ndarray) -> np.ndarray:
    return image
