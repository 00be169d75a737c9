"""Many synthetic images of text and graphics, as files."""

import argparse
from functools import partial
from pathlib import Path

from powerqe.data_pre_process import driver
from powerqe.data_pre_process.graphics.fonts import Face, bundled_faces, faces_of
from powerqe.data_pre_process.graphics.kinds import KINDS, SMALLEST, WEIGHTS, create_graphic, kind_of
from powerqe.utils.errors import UserError
from powerqe.utils.image.io import list_images, write_image


def create(args: argparse.Namespace) -> None:
    """Make the images that the arguments of `powerqe data create-graphics` describe.

    Raises:
        UserError: images that are too small, an unknown kind, no such folder, or no fonts in it.
    """
    if args.size < SMALLEST:
        raise UserError(f"--size {args.size}: expected at least {SMALLEST} pixels")
    weights = parse_weights(args.kinds) if args.kinds else WEIGHTS
    faces = bundled_faces() + (_faces(args.fonts) if args.fonts else ())
    photos = tuple(list_images(args.photos).values()) if args.photos else ()
    folder = args.data_root / args.name / "raw"
    jobs = []
    for index in range(args.count):
        kind = kind_of(index, weights)
        target = folder / f"s{args.seed}-{index:05}-{kind}.png"
        make = partial(_make, target, kind, args.seed, index, args.size, faces, photos)
        jobs.append(driver.FileJob(Path(kind, f"{index:05}"), target, make, done=target.exists()))
    driver.make_files(jobs, args)


def parse_weights(text: str) -> dict[str, float]:
    """The kinds and their weights of "text:3,screen": a kind without a weight has 1.

    Raises:
        UserError: an unknown kind, or a weight that is no number above 0.
    """
    weights = {}
    for part in text.split(","):
        name, _, weight = part.partition(":")
        if name not in KINDS:
            raise UserError(f"--kinds: unknown kind {name!r}; known: {', '.join(KINDS)}")
        try:
            weights[name] = float(weight or 1)
        except ValueError:
            weights[name] = 0.0
        if not 0 < weights[name] < float("inf"):
            raise UserError(f"--kinds: weight {weight!r} of {name}, expected a number above 0")
    return weights


def _make(
    target: Path, kind: str, seed: int, index: int, size: int, faces: tuple[Face, ...], photos: tuple[Path, ...]
) -> None:
    write_image(target, create_graphic(kind, seed, index, size, faces, photos))


def _faces(folder: Path) -> tuple[Face, ...]:
    if found := faces_of(folder):
        return found
    raise UserError(f"no font with Latin letters in {folder}; it needs files *.ttf *.otf")
