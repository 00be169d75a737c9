"""Gather the qualities of a codec in one folder, to train a blind network on all of them.

data/DATASET/CODEC_ds_2/qf10/0001.png appears as data/DATASET/CODEC_ds_2_combined/0001-qf10.png. The
ground truth needs no such folder: the data sets find it by the stem.
"""

import argparse
import os
import shutil
from contextlib import suppress
from pathlib import Path

from powerqe.data_pre_process import driver
from powerqe.data_pre_process.compress import quality_folders
from powerqe.utils.errors import resumable
from powerqe.utils.files import atomic_path
from powerqe.utils.image.io import list_images


def combine(source: Path, target: Path, args: argparse.Namespace) -> None:
    """Link source/<quality>/<stem>.png as target/<stem>-<quality>.png.

    Raises:
        UserError: no folder of a quality in `source`, or one without images.
    """
    links = {
        target / f"{stem}-{folder.name}{image.suffix}": image
        for folder in quality_folders(source)
        for stem, image in list_images(folder).items()
    }
    target.mkdir(exist_ok=True)
    for path in target.iterdir():
        if path.is_symlink() and not path.exists():  # its image was removed
            path.unlink()
    todo = [link for link in links if args.force or not _is_done(link, links[link])]
    with resumable():
        for link in driver.progress(todo, args):
            _link(links[link], link)
    driver.report(f"{target}: {len(todo)} images linked, {len(links) - len(todo)} existed already", args)


def _is_done(link: Path, image: Path) -> bool:
    if link.is_symlink():
        return str(link.readlink()) == _relative(image, link)
    return driver.is_up_to_date(link, image)  # a hard link or a copy


def _link(image: Path, link: Path) -> None:
    """Link relatively, so that the data folder can move; where that is not possible, hard link or copy."""
    link.unlink(missing_ok=True)
    for make, goal in ((link.symlink_to, _relative(image, link)), (link.hardlink_to, image)):
        with suppress(OSError):
            make(goal)
            return
    with atomic_path(link) as temporary:
        shutil.copy2(image, temporary)


def _relative(image: Path, link: Path) -> str:
    return os.path.relpath(image, link.parent)
