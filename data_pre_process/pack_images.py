"""Pack a folder of images in one LMDB store: data/SOURCE -> data/SOURCE.lmdb.

Training reads crops from a raw store many times faster than from PNG files; a PNG store is smaller.
"""

import argparse
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from powerqe.data_pre_process import driver
from powerqe.dataset.store import DATA_FILE, open_store, write_store
from powerqe.utils.errors import UserError, resumable
from powerqe.utils.image.io import list_images, read_image


def pack(folder: Path, store: Path, args: argparse.Namespace) -> None:
    """Write the store, unless one is there that has all images and is newer than they.

    Raises:
        UserError: no such folder, no image in it or a bad image; then no store is written.
    """
    paths = list_images(folder)
    if not args.force and _is_current(store, paths):
        driver.report(f"{store}: exists already; use --force to make it again", args)
        return
    with resumable():
        images = driver.progress(_read_ahead(paths, args.nworker), args, len(paths))
        write_store(store, images, args.codec)
    driver.report(f"{store}: {len(paths)} images packed", args)


def _is_current(store: Path, paths: dict[str, Path]) -> bool:
    try:
        stems = open_store(store).stems()
    except UserError:  # none, damaged, or of another version
        return False
    return stems == list(paths) and all(driver.is_up_to_date(store / DATA_FILE, path) for path in paths.values())


def _read_ahead(paths: dict[str, Path], nworker: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (stem, image) in order while threads read a few images ahead (decoding releases the GIL)."""
    with ThreadPoolExecutor(nworker) as pool:
        waiting = deque()
        for stem, path in paths.items():
            waiting.append((stem, pool.submit(read_image, path, "any")))
            if len(waiting) > 2 * nworker:
                stem, reading = waiting.popleft()
                yield stem, reading.result()
        for stem, reading in waiting:
            yield stem, reading.result()
