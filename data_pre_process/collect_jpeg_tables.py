"""Collect the quantization tables of JPEG files: data/SOURCE -> data/TARGET, a file of the different ones.

Cameras, programs and services have tables of their own. {type: JPEG, tables: {file: ...}} in the chain of
ChainedImages compresses with those of such a file.
"""

import argparse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from powerqe.data_pre_process import driver
from powerqe.utils.codecs.jpeg_tables import nearest_quality, quant_tables, read_tables
from powerqe.utils.codecs.table_file import write_table_file
from powerqe.utils.errors import UserError, resumable
from powerqe.utils.image.io import JPEG_SUFFIXES

_BASELINE = 255  # the largest step of a baseline file


def collect(folder: Path, target: Path, args: argparse.Namespace) -> None:
    """Write the file of the tables. Invalid files are skipped and reported at the end.

    Raises:
        UserError: no such folder, no JPEG file in it, or none with suitable tables.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in JPEG_SUFFIXES and path.is_file())
    if not paths:
        raise UserError(f"no JPEG file in {folder}; they are called *{' *'.join(JPEG_SUFFIXES)}")
    counts, failures = Counter[bytes](), []
    with resumable(), ThreadPoolExecutor(args.nworker) as pool:
        for found in driver.progress(pool.map(_tables_of, paths), args, len(paths)):
            if isinstance(found, bytes):
                counts[found] += 1
            else:
                failures.append(found)
    chosen = {steps: count for steps, count in counts.items() if count >= args.least}
    if not args.libjpeg:
        chosen = {steps: count for steps, count in chosen.items() if not _is_libjpeg(steps)}
    if chosen:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_table_file(target, chosen)
    summary = (
        f"{len(counts)} different tables in {len(paths) - len(failures)} of {len(paths)} files, {len(chosen)} selected"
    )
    if failures:
        summary += f"; left out: {'; '.join(failures[:3])}" + (f"; and {len(failures) - 3} more" * (len(failures) > 3))
    if not chosen:
        raise UserError(f"{folder}: {summary}; --libjpeg includes those of libjpeg's quality factors")
    driver.report(f"{target}: {summary}", args)


def _tables_of(path: Path) -> bytes | str:
    """The steps of a file, see `write_table_file`; or what is wrong with it."""
    try:
        tables = read_tables(path)
    except UserError as error:
        return str(error)
    if tables.max() > _BASELINE:
        return f"{path}: steps above {_BASELINE}, which baseline JPEG does not have"
    return tables.astype(np.uint8).tobytes()


def _is_libjpeg(steps: bytes) -> bool:
    tables = np.frombuffer(steps, np.uint8).reshape(-1, 8, 8).astype(np.float32)
    quality, same = nearest_quality(tables)
    return same and bool((quant_tables(quality, 3)[: len(tables)] == tables).all())
