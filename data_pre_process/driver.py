"""Making many files at once, in several processes, so that it can be interrupted and resumed."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from functools import partial
from multiprocessing import parent_process
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from tqdm import tqdm

from powerqe.utils.errors import PartialFailureError, UserError, failure, resumable
from powerqe.utils.file_names import place_finder
from powerqe.utils.image.io import list_images, read_image, write_image
from powerqe.utils.launcher import told_by_all
from powerqe.utils.shards import Part, part_here, size_of
from powerqe.utils.signals import held_back, leave_to_parent

T = TypeVar("T")
Change = Callable[[np.ndarray], np.ndarray]


class ImageJob(NamedTuple):
    """One image to make: `change` of the image `source`, written to `target`."""

    source: Path
    target: Path
    change: Change


class FileJob(NamedTuple):
    """One file to make, of any kind.

    source: what it is made of, for the user. target: its name. make: makes it, whole or not at all, in a worker
    process; a `UserError` is about this file only. done: whether it is there already. long: whether it takes so long
    that an interruption gives it up; `make` is then left by an exception.
    """

    source: Path
    target: Path
    make: Callable[[], None]
    done: bool
    long: bool = False


def is_up_to_date(target: Path, source: Path) -> bool:
    """Whether `target` is there and no older than `source`, so that it need not be made again."""
    return target.exists() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns


# --------------------------------------------------------------------------- conversion


def folder_jobs(source: Path, target: Path, change: Change) -> list[ImageJob]:
    """One job for each image of a folder: the same stem, as PNG, in `target`.

    Raises:
        UserError: no such folder or no image in it.
    """
    return [ImageJob(path, target / f"{stem}.png", change) for stem, path in list_images(source).items()]


def convert(jobs: Sequence[ImageJob], args: argparse.Namespace) -> None:
    """Do the jobs with images that are not done already; see `make_files`."""
    files = [
        FileJob(job.source, job.target, partial(_convert, job), is_up_to_date(job.target, job.source)) for job in jobs
    ]
    make_files(files, args)


def make_files(
    jobs: Sequence[FileJob],
    args: argparse.Namespace,
    unit: str = "image",
    remarks: Callable[[Sequence[FileJob]], Iterable[str]] = lambda _: (),
) -> None:
    """Do the jobs in `args.nworker` processes, without those already done unless `args.force`.

    Of the jobs only those of `args.shard`, and of this rank, are done; the largest first.

    A bad file hinders no other one. When the run is interrupted (Ctrl-C, SIGTERM) the files in work are
    finished, or given up if they take long; the others are left for the next run.

    Args:
        jobs: the files to make.
        args: the command line.
        unit: what a file is, in the words of the user.
        remarks: on the jobs that are done here, to be printed first.

    Raises:
        PartialFailureError: some files could not be made; they are named, and all others were made.
        UserError: none could be made, or two have one name, or one has the name of a source; then nothing is made.
    """
    check_names(jobs)
    part = part_here(args.shard)
    jobs = _of_part(jobs, part)
    for line in remarks(jobs):
        report(line, args)
    todo = [job for job in jobs if args.force or not job.done]
    failures: list[str] = []
    with resumable(), _pool(args.nworker) as pool:
        with held_back():  # submitting starts the workers
            runs = [pool.submit(_do, job) for job in todo]
        for run in progress(as_completed(runs), args, len(runs), unit):
            if failure := run.result():
                failures.append(failure)
    folders = ", ".join(dict.fromkeys(str(job.target.parent) for job in jobs))
    made = f"{len(todo) - len(failures)} {unit}s written, {len(jobs) - len(todo)} existed already"
    report(f"{f'{part}: ' if not part.is_whole else ''}{f'{folders}: ' if folders else ''}{made}", args)
    told = told_by_all([len(jobs), failures])
    if failures := sorted(failure for _, some in told for failure in some):
        total = sum(count for count, _ in told)
        kind = PartialFailureError if len(failures) < total else UserError
        raise kind(_summary(failures, total, unit))


def _of_part(jobs: Sequence[FileJob], part: Part) -> Sequence[FileJob]:
    if part.is_whole:
        return jobs
    costs = [size_of(job.source) for job in jobs]
    return [jobs[number] for number in sorted(part.of(costs), key=lambda number: -costs[number])]


def check_names(jobs: Iterable[FileJob | ImageJob]) -> None:
    """Raise `UserError` if two files to be made have one name, or one the name of a source."""
    place = place_finder()
    sources = {place(job.source): job.source for job in jobs}
    made: dict[str, Path] = {}
    for job in jobs:
        name = place(job.target)
        if name in sources:
            raise UserError(f"{sources[name]} would be replaced by what is made of {job.source}; name another folder")
        if (other := made.setdefault(name, job.source)) is not job.source:
            raise UserError(f"{other} and {job.source} would both become {job.target}; rename one of them")


def progress(
    items: Iterable[T], args: argparse.Namespace, total: int | None = None, unit: str = "image"
) -> Iterable[T]:
    """The items under a progress bar, which shows on a terminal only."""
    return tqdm(items, total=total, unit=unit, disable=True if args.quiet else None)


def report(message: str, args: argparse.Namespace) -> None:
    """Print what was done, unless --quiet is given."""
    if not args.quiet:
        print(message)


def _convert(job: ImageJob) -> None:
    write_image(job.target, job.change(read_image(job.source, "any")))


def _do(job: FileJob) -> str | None:
    """Do one job; returns what was wrong with its source, or None."""
    with _working:
        try:
            with _can_be_given_up() if job.long else nullcontext():
                job.make()
        except Exception as error:
            return failure(error, job.source, job.target)
    return None


def _summary(failures: list[str], total: int, unit: str) -> str:
    shown = "; ".join(failures[:3])
    more = f"; and {len(failures) - 3} more" if len(failures) > 3 else ""
    return f"{len(failures)} of {total} {unit}s failed: {shown}{more}"


# --------------------------------------------------------------------------- worker processes

_working = threading.Lock()  # held in a worker while it has a file in the making
_stop = RawValue("b", 0)  # in a worker: shared with the main process, which sets one of these
_INTERRUPTED, _BROKEN = 1, 2  # finish, and the main process ends all; leave, for it waits until all have left
_MOST_ON_WINDOWS = 61  # worker processes that a pool can wait for there
_PATIENCE = 0.2  # seconds between two checks


class _GivenUp(BaseException):
    """Leaves a long job."""


@contextmanager
def _pool(nworker: int) -> Iterator[ProcessPoolExecutor]:
    """A pool that drops the waiting jobs, and waits for the running ones, when the block is left early.

    Raises:
        UserError: a worker process has ended, noticed when it is given work or its result is read.
    """
    stop = RawValue("b", 0)
    nworker = min(nworker, _MOST_ON_WINDOWS) if sys.platform == "win32" else nworker
    pool = ProcessPoolExecutor(nworker, initializer=_start_worker, initargs=(stop,))
    try:
        yield pool
    except BrokenProcessPool:
        stop.value = _BROKEN
        raise UserError("a worker process was killed, probably for lack of memory; use a smaller --nworker") from None
    except BaseException:
        stop.value = _INTERRUPTED
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(stop: Any) -> None:
    """A worker finishes the file it is at; only the main process decides when to stop."""
    global _stop
    _stop = stop
    leave_to_parent()
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    """Give up a long job when the run is interrupted, and do not outlive a main process that was killed outright."""
    parent = parent_process()
    assert parent is not None
    while parent.is_alive() and not _stop.value:
        parent.join(_PATIENCE)
    _stop.value = _stop.value or _INTERRUPTED
    if hasattr(signal, "pthread_kill"):  # not on Windows; it wakes the main thread from waiting for a program, too
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    if _stop.value != _BROKEN:
        parent.join()
    with _working:
        os._exit(1)


@contextmanager
def _can_be_given_up() -> Iterator[None]:
    """Let SIGTERM end the block; it is ignored again from then on, so that nothing disturbs the clean-up."""

    def give_up(number: int, _frame: Any) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise _GivenUp

    signal.signal(signal.SIGTERM, give_up)
    try:
        if _stop.value:  # since before the signal would have been heard
            raise _GivenUp
        yield
    except _GivenUp:
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
