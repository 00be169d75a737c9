"""Pack a folder of images in one LMDB store: data/SOURCE -> data/SOURCE.lmdb.

Training reads crops from a raw store many times faster than from PNG files; a PNG store is smaller.
"""

import argparse
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

if not __package__:
    import run_from_checkout  # noqa: F401

from powerqe.data_pre_process import driver
from powerqe.dataset.store import DATA_FILE, open_store, write_store
from powerqe.utils.errors import UserError, command
from powerqe.utils.image.io import list_images, read_image


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = driver.parser(
        "Pack the images of data/SOURCE in the LMDB store data/SOURCE.lmdb.",
        ["python main_create_lmdb.py div2k/raw_ds_2"],
    )
    driver.add_nworker(parser)
    parser.add_argument("source", help="folder of images, inside the data folder, for example div2k/raw_ds_2")
    parser.add_argument(
        "--codec",
        choices=("raw", "png"),
        default="raw",
        help="raw: fastest crops; png: about two thirds of the disk (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    folder = args.data_root / args.source
    pack(folder, folder.with_name(f"{folder.name}.lmdb"), args)


def pack(folder: Path, store: Path, args: argparse.Namespace) -> None:
    """Write the store, unless one is there that has all images and is newer than they.

    Raises:
        UserError: no such folder, no image in it or a bad image; then no store is written.
    """
    paths = list_images(folder)
    if not args.force and _is_current(store, paths):
        driver.report(f"{store}: was there; --force makes it again", args)
        return
    with driver.stoppable():
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


if __name__ == "__main__":
    sys.exit(main())
