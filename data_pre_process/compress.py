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
from powerqe.utils.shards import Part, part_here

_QUALITY = re.compile(r"([a-z]+)(\d+)")

SIZES = "sizes.jsonl"
"""The file of bit stream sizes in the folder of the decoded images, one JSON object per line.

Of several machines each has its own, `sizes.<part>.jsonl`, for in network folders two do not append to one.
"""


def compress(codec: Codec, qualities: Sequence[int], args: argparse.Namespace) -> None:
    """Compress a folder of images at each of several qualities.

    Args:
        args: the command line: data_root, source, target, and see `driver.make_files`.

    Raises:
        UserError: no such quality, a missing folder, or bad images.
    """
    images = list_images(args.data_root / args.source)
    sizes = _name_of_sizes(part_here(args.shard))
    jobs = []
    for value in [check_quality(codec, value) for value in qualities]:
        target = args.data_root / args.target / f"{codec.quality_name}{value}"
        jobs += [
            driver.ImageJob(path, target / f"{stem}.png", partial(_decoded, codec, value, target / sizes, stem))
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
    sizes: dict[str, int] = {}
    for path in sorted(folder.glob(f"{Path(SIZES).stem}*.jsonl"), key=lambda path: path.stat().st_mtime_ns):
        for line in path.read_text(encoding="utf-8").splitlines():  # a full disk may have cut one off
            with suppress(ValueError, KeyError, TypeError):
                record = json.loads(line)
                sizes[record["image"]] = record["bytes"]  # made again: the last one counts
    return sizes


def _name_of_sizes(part: Part) -> str:
    """The file of this part of the work."""
    if part.is_whole:
        return SIZES
    shard, place = part
    return f"{Path(SIZES).stem}.{shard.index}-of-{shard.count}.{place.rank}-of-{place.world_size}.jsonl"


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
