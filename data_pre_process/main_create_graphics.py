"""Make synthetic images of what photographs lack: text, screens, drawings, plots, scans, dithering, patterns.

They show sharp edges, flat regions and few colors, which a network that has only seen photographs blurs. Seed 0 is for
training, seed 1 for tests.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

if not __package__:
    import run_from_checkout  # noqa: F401

from powerqe.data_pre_process import driver
from powerqe.data_pre_process.graphics.fonts import Face, bundled_faces, faces_of
from powerqe.data_pre_process.graphics.kinds import (
    HELD_OUT_SEED,
    KINDS,
    SMALLEST,
    TRAIN_SEED,
    WEIGHTS,
    create_graphic,
    kind_of,
)
from powerqe.utils.errors import UserError, command
from powerqe.utils.image.io import list_images, write_image


@command
def main(argv: Sequence[str] | None = None) -> None:
    args = _arguments(argv)
    faces = bundled_faces() + (_faces(args.fonts) if args.fonts else ())
    photos = tuple(list_images(args.photos).values()) if args.photos else ()
    folder, weights = args.data_root / args.name / "raw", args.kinds
    jobs = []
    for index in range(args.count):
        kind = kind_of(index, weights)
        target = folder / f"s{args.seed}-{index:05}-{kind}.png"
        make = partial(_make, target, kind, args.seed, index, args.size, faces, photos)
        jobs.append(driver.FileJob(target, target, make, done=target.exists()))
    driver.make_files(jobs, args)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = driver.parser(
        "Make synthetic images of text and graphics in data/NAME/raw, called sSEED-NUMBER-KIND.png.\n"
        "An image depends on seed, number, kind, size, fonts and photographs only: the same command makes the same files.",
        [
            "python main_create_graphics.py --count 600",
            f"python main_create_graphics.py --name graphics-test --seed {HELD_OUT_SEED} --count 24",
            "python main_create_graphics.py --count 100 --kinds text:3,screen:2,plot --photos PHOTOGRAPHS",
        ],
    )
    parser.add_argument(
        "--name", default="graphics", help="data set: a folder of the data folder (default: %(default)s)"
    )
    parser.add_argument(
        "--count", type=driver.positive, default=100, metavar="N", help="how many images (default: %(default)s)"
    )
    parser.add_argument(
        "--size", type=_size, default=512, metavar="PIXELS", help="height and width (default: %(default)s)"
    )
    parser.add_argument(
        "--seed",
        type=_seed,
        default=TRAIN_SEED,
        help=f"{TRAIN_SEED} for training (the default), {HELD_OUT_SEED} for images that nothing was trained with",
    )
    parser.add_argument(
        "--kinds",
        type=_weights,
        default=WEIGHTS,
        metavar="KIND[:WEIGHT],...",
        help=f"which kinds, and how often in relation to each other; {', '.join(KINDS)} (default: all, text and screens most)",
    )
    parser.add_argument(
        "--photos", type=Path, metavar="FOLDER", help="photographs to be shown, reduced, in screens and pages"
    )
    parser.add_argument(
        "--fonts", type=Path, metavar="FOLDER", help="more fonts (TTF, OTF) than come with Matplotlib and Pillow"
    )
    driver.add_nworker(parser)
    return parser.parse_args(argv)


def _make(
    target: Path, kind: str, seed: int, index: int, size: int, faces: tuple[Face, ...], photos: tuple[Path, ...]
) -> None:
    write_image(target, create_graphic(kind, seed, index, size, faces, photos))


def _faces(folder: Path) -> tuple[Face, ...]:
    """The fonts of a folder.

    Raises:
        UserError: there are none.
    """
    if found := faces_of(folder):
        return found
    raise UserError(f"no font with Latin letters in {folder}; it needs files *.ttf *.otf")


def _size(text: str) -> int:
    size = driver.positive(text)
    if size < SMALLEST:
        raise argparse.ArgumentTypeError(f"found {size}, expected at least {SMALLEST}")
    return size


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from 0")
    return int(text)


def _weights(text: str) -> dict[str, float]:
    """The kinds and their weights of "text:3,screen": a kind without a weight has 1."""
    weights = {}
    for part in text.split(","):
        name, _, weight = part.partition(":")
        if name not in KINDS:
            raise argparse.ArgumentTypeError(f"unknown kind {name!r}; there are {', '.join(KINDS)}")
        try:
            weights[name] = float(weight or 1)
        except ValueError:
            weights[name] = 0.0
        if not 0 < weights[name] < float("inf"):
            raise argparse.ArgumentTypeError(f"weight {weight!r} of {name}, expected a number above 0")
    return weights


if __name__ == "__main__":
    sys.exit(main())
