"""Fill data/quickstart/raw with photographs that scikit-image carries inside its package; no download.

The number in front fixes the order in which `slice` counts: 01-05 train, 06 validates, 07-09 are for the
test only. The two views of the motorcycle show the same scene and both train.
"""

import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

if not __package__:
    import run_from_checkout  # noqa: F401

from powerqe.data_pre_process import driver
from powerqe.utils.errors import command

TRAIN = ("rocket.jpg", "motorcycle_left.png", "motorcycle_right.png", "retina.jpg", "ihc.png")
VALIDATION = ("hubble_deep_field.jpg",)
TEST = ("astronaut.png", "chelsea.png", "coffee.png")


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = driver.parser("Save the photographs of the quickstart, taken from scikit-image, in data/NAME/raw.")
    parser.add_argument(
        "--name", default="quickstart", help="data set: a folder of the data folder (default: %(default)s)"
    )
    driver.add_nworker(parser)
    args = parser.parse_args(argv)
    package, target = Path(str(files("skimage.data"))), args.data_root / args.name / "raw"
    jobs = [
        driver.Job(package / name, target / f"{number:02}-{Path(name).stem}.png", _as_it_is)
        for number, name in enumerate(TRAIN + VALIDATION + TEST, start=1)
    ]
    driver.convert(jobs, args)


def _as_it_is(image: np.ndarray) -> np.ndarray:
    return image


if __name__ == "__main__":
    sys.exit(main())
