"""Compressing folders of images: data/SOURCE -> data/TARGET/<quality name><quality>."""

import argparse
import errno
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from powerqe.data_pre_process import driver
from powerqe.utils.codecs import Codec, check_quality
from powerqe.utils.errors import UserError
from powerqe.utils.image.io import list_images

_QUALITY = re.compile(r"([a-z]+)(\d+)")

SIZES = "sizes.jsonl"
"""The file of bit stream sizes in the folder of the decoded images, one JSON object per line."""


def compress(codec: Codec, qualities: Sequence[int], args: argparse.Namespace) -> None:
    """Compress a folder of images at each of several qualities.

    Args:
        args: the command line: data_root, source, target, and see `driver.make_files`.

    Raises:
        UserError: no such quality, a missing folder, or bad images.
    """
    images = list_images(args.data_root / args.source)
    jobs = []
    for value in [check_quality(codec, value) for value in qualities]:
        target = args.data_root / args.target / f"{codec.quality_name}{value}"
        jobs += [
            driver.ImageJob(path, target / f"{stem}.png", partial(_decoded, codec, value, target / SIZES, stem))
            for stem, path in images.items()
        ]
    driver.convert(jobs, args)


def quality_folders(folder: Path) -> list[Path]:
    """The folders of a codec's qualities, such as qf10, by number.

    Raises:
        UserError: no such folder, or none of a quality in it.
    """
    if not folder.is_dir():
        raise UserError(f"no folder {folder}; compress the images first, for example with `powerqe data compress-jpeg`")
    found = {path: _QUALITY.fullmatch(path.name) for path in folder.iterdir() if path.is_dir()}
    numbers = {path: (match[1], int(match[2])) for path, match in found.items() if match}
    if not numbers:
        raise UserError(f"no folder of a quality, such as qf10, in {folder}; compress the images first")
    return sorted(numbers, key=numbers.__getitem__)


def read_sizes(folder: Path) -> dict[str, int]:
    """Stem -> size of the bit stream in bytes, for the images of a folder whose size is known."""
    try:
        text = (folder / SIZES).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    sizes: dict[str, int] = {}
    for line in text.splitlines():  # a full disk may have cut one off
        with suppress(ValueError, KeyError, TypeError):
            record = json.loads(line)
            sizes[record["image"]] = record["bytes"]  # made again: the last one counts
    return sizes


def _decoded(codec: Codec, quality: int, sizes: Path, stem: str, image: np.ndarray) -> np.ndarray:
    """The decoded image, after a note of the size: an image that is there has its note, whenever the run is stopped."""
    decoded, size = codec.compress(image, quality)
    _append(sizes, json.dumps({"image": stem, "bytes": size}))
    return decoded


def _append(path: Path, line: str) -> None:
    """Add a line in one piece: systems keep whole what is appended by one call, so workers need no lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        data = f"{line}\n".encode()
        if os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)
