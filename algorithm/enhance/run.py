"""File after file: one is read and one is written while a third is enhanced, in the order in which they are named.

So three pictures are in memory at once: about 35 bytes for each pixel of the one that is enhanced and 10 for those of
the two others, and beside them the maps of the network, which are bounded (algorithm/enhance/within_memory.py).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from algorithm.enhance.choose import Wish, choose
from algorithm.enhance.compare import compare_path, draw_comparison
from algorithm.enhance.files import Job, check_not_source
from algorithm.enhance.model import Applying, Model
from algorithm.enhance.picture import Enhanced, enhance_photo
from utils.codecs.jpeg_tables import nearest_quality
from utils.errors import UserError
from utils.photo import Photo, read_photo
from utils.photo_write import misfit, write_photo

T = TypeVar("T")
_TITLE = 28
"""Characters of a name above a picture."""


@dataclass(frozen=True)
class Result:
    """What became of a file.

    Attributes:
        job: the file.
        error: why nothing became of it; empty if something did.
        summary: one line: size, quality, weights, seconds, the file that was written.
    """

    job: Job
    error: str = ""
    summary: str = ""


class Models:
    """The networks that are in use, each loaded once.

    Args:
        weights: for all pictures, a name or a path; None: those that suit a picture.
        applying: how they are applied.

    Raises:
        UserError: see `Model`; at once if weights are named.
    """

    def __init__(self, weights: str | None, applying: Applying) -> None:
        self._weights, self._applying = weights, applying
        self._load = cache(lambda name: Model(name, applying))
        if weights is not None:
            self._load(weights)

    def of(self, photo: Photo) -> tuple[Model, str]:
        """The network for a picture, and a remark on the choice."""
        if self._weights is not None:
            return self._load(self._weights), ""
        quality = None if photo.tables is None else nearest_quality(photo.tables)[0]
        wish = Wish(photo.format, photo.is_grey, quality, photo.tables is not None, self._applying.qf is not None)
        entry, remark = choose(wish)
        return self._load(entry.name), remark


def enhance_files(
    jobs: Sequence[Job],
    models: Models,
    on_result: Callable[[Result], None],
    *,
    force: bool = False,
    compare: bool = False,
) -> None:
    """Enhance files. A bad file hinders no other one.

    Args:
        on_result: is told what became of each file, in their order and as soon as it is known, from another thread.
        force: write over what is there; else such files are left alone, which is an error.
        compare: draw a comparison beside each result.
    """
    with ThreadPoolExecutor(1, "reader") as reader, ThreadPoolExecutor(1, "writer") as writer:

        def read(number: int) -> "Future[Photo | Result] | None":
            job = jobs[number] if number < len(jobs) else None
            return job and reader.submit(_guarded, job, lambda: _read(job, force, compare))

        def finish(job: Job, done: "_Done | Result") -> None:
            on_result(done if isinstance(done, Result) else _guarded(job, partial(_write, job, done, force, compare)))

        reading, writing = read(0), None
        for number, job in enumerate(jobs):
            assert reading is not None
            photo, reading = reading.result(), read(number + 1)
            done = photo if isinstance(photo, Result) else _guarded(job, partial(_enhance, job, photo, models))
            if writing is not None:
                writing.result()
            writing = writer.submit(finish, job, done)
        if writing is not None:
            writing.result()


class _Done(NamedTuple):
    """titles: of the comparison. facts, notes: of the summary."""

    enhanced: Enhanced
    titles: tuple[str, str]
    facts: str
    notes: list[str]


def _guarded(job: Job, do: Callable[[], T]) -> T | Result:
    """What `do` gives, or its failure as a result."""
    try:
        return do()
    except UserError as error:
        message = " ".join(str(error).split())
        return Result(job, message if str(job.source) in message else f"{job.source}: {message}")
    except OSError as error:
        return Result(job, f"{job.source}: cannot write {error.filename or job.target}: {error.strerror or error}")
    except MemoryError:
        return Result(job, f"{job.source}: the picture itself does not fit into memory; cut it into parts")


def _read(job: Job, force: bool, compare: bool) -> Photo:
    for target in (job.target, *([compare_path(job.target)] if compare else [])):
        _check_free(target, force)
    return read_photo(job.source)


def _enhance(job: Job, photo: Photo, models: Models) -> _Done:
    model, remark = models.of(photo)
    start = time.perf_counter()  # without the loading of weights, which only the first picture waits for
    enhanced = enhance_photo(photo, model, str(job.source))
    seconds = time.perf_counter() - start
    height, width = photo.pixels.shape[:2]
    said = qualities(photo, enhanced.estimates)
    facts = [f"{width}x{height}", *said, model.name, f"{seconds:.1f} s"]
    notes = [remark, *enhanced.notes, f"in tiles of {model.tile}" if model.tile else ""]
    name = _shortened(job.source.name, _TITLE)
    titles = ", ".join([f"before: {name}", *said]), f"after: {_shortened(model.name, _TITLE)}"
    return _Done(enhanced, titles, ", ".join(facts), [note for note in notes if note])


def _shortened(name: str, length: int) -> str:
    """A name of at most so many characters, without its middle if need be."""
    half = (length - 1) // 2
    return name if len(name) <= length else f"{name[:half]}…{name[-half:]}"


def _write(job: Job, done: _Done, force: bool, compare: bool) -> Result:
    target, photo, notes = job.target, done.enhanced.photo, done.notes
    if reason := misfit(photo, target.suffix):
        target, notes = target.with_suffix(".png"), [*notes, f"{reason}: saved as PNG"]
        _check_free(target, force)
        check_not_source(job._replace(target=target))
    write_photo(target, photo)
    if compare:
        draw_comparison(compare_path(target), done.enhanced.before, photo, done.titles)
    remarks = f" ({'; '.join(notes)})" if notes else ""
    return Result(job, summary=f"{job.source}: {done.facts} -> {target}{remarks}")


def _check_free(target: Path, force: bool) -> None:
    if target.exists() and not force:
        raise UserError(f"{target} is there already, and was left alone; --force writes over it")


def qualities(photo: Photo | None, estimates: Mapping[str, float]) -> list[str]:
    """What the file's tables say of its quality, and what the network says of it, if that is known."""
    said = []
    if photo is not None and photo.tables is not None:
        quality, is_exact = nearest_quality(photo.tables)
        said.append(f"JPEG quality {'' if is_exact else 'about '}{quality}")
    if "qf" in estimates:
        said.append(f"looks like JPEG quality {estimates['qf']:.0f}")
    return said
