"""Which files are enhanced, and what the results are called."""

import glob
import os
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from powerqe.inference.file_list import FileList
from powerqe.inference.folder_search import describe_skipped, known_suffixes, wanted_files
from powerqe.inference.result_names import EnhanceJob, Wanted, check_sources, named_apart
from powerqe.utils.errors import UserError
from powerqe.utils.image.write import FORMATS
from powerqe.utils.log import logger
from powerqe.utils.shards import ALL, Part, size_of
from powerqe.utils.video.suffixes import RAW, VIDEO_SUFFIXES, VIDEO_TARGETS, is_raw, is_video

Format = Literal["png", "jpeg", "webp", "tiff", "same"]
FOLDER = Path("enhanced")
"""Where results go by default."""
_PIXELS = 4e6  # of an image, to compare it with videos
_PIXELS_PER_BYTE = {"raw": 2 / 3, "coded": 100}  # of videos
_SUFFIX = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tiff"}


def find_jobs(
    inputs: Sequence[str],
    output: Path | None,
    file_format: Format | None = None,
    *,
    listed: FileList | None = None,
    part: Part = ALL,
    compare: bool = False,
) -> list[EnhanceJob]:
    """The input files, each once, in the given order and by name within a folder; what is left out is logged.

    Of a part of the work, what is not whole, the longest videos come first.

    Args:
        inputs: files, folders (searched to the bottom for known suffixes; hidden ones do not count), or patterns
            such as `photos/*.jpg` and `photos/**/*.jpg`.
        output: a folder; if one file is named, it may be the name of the result. None: `FOLDER`.
        file_format: of images; None: png, or by the suffix of the result. Raw videos stay raw, mp4 stays mp4, others
            become mkv.
        listed: more files; whether they are there is not looked at.
        part: of the work, for which the names of all results are considered nevertheless.
        compare: whether comparisons are drawn.

    Raises:
        UserError: no such file, a folder without images and videos, a result of another kind, one that would
            overwrite a source, or two of one name that cannot be told apart (see `named_apart`).
    """
    skipped: Counter[str] = Counter()
    as_file = output is not None and _is_file_name(output)
    folder = FOLDER if output is None else output
    expanded = [pair for name in inputs for pair in _expanded(name, folder, skipped)]
    expanded += listed.found(folder) if listed else []
    found = _each_once(expanded)
    if skipped:
        logger.info(f"{skipped.total()} files and folders are left out: {describe_skipped(skipped)}")
    if as_file:
        jobs = [_to_file([source for source, _ in found], folder, file_format)]
    else:
        wanted = [Wanted(source, place, _suffix(source, file_format or "png")) for source, place in found]
        jobs = named_apart(wanted, folder, compare=compare)
    jobs = _of_part(jobs, part)
    check_sources(jobs, compare=compare)
    return jobs


def _each_once(found: Sequence[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """The pairs with different files, by their names in real folders."""
    real, files = cache(os.path.realpath), {}
    for source, place in found:
        files.setdefault((real(os.path.dirname(source)), source.name), (source, place))  # noqa: PTH120 - it is fast
    return list(files.values())


def _of_part(jobs: list[EnhanceJob], part: Part) -> list[EnhanceJob]:
    if part.is_whole:
        return jobs
    costs = [_cost(job) for job in jobs]
    mine = part.of(costs)
    videos = sorted((number for number in mine if jobs[number].is_video), key=lambda number: -costs[number])
    return [jobs[number] for number in (*videos, *(number for number in mine if not jobs[number].is_video))]


def _cost(job: EnhanceJob) -> float:
    """About how many pixels there are. A million images are not looked at, but counted."""
    if not job.is_video:
        return _PIXELS
    return size_of(job.source) * _PIXELS_PER_BYTE["raw" if is_raw(job.source) else "coded"]


def _expanded(name: str, output: Path, skipped: Counter[str]) -> list[tuple[Path, Path]]:
    """The files that a name means, each with its place below the output folder; counts what is left out."""
    path = Path(name)
    if path.is_dir():
        files = wanted_files(path, output, skipped)
        if not files:
            known = " *".join(known_suffixes())
            what = f" (left out: {describe_skipped(skipped)})" if skipped else ""
            raise UserError(f"no image or video in the folder {path}{what}; it needs files *{known}")
        return [(file, output / file.relative_to(path)) for file in files]
    if path.exists():
        return [(path, output / path.name)]
    if not glob.has_magic(name):
        raise UserError(f"no file or folder {name}; check the path")
    found = glob.glob(name, recursive=True)  # noqa: PTH207 - a pattern as a shell has it, absolute or not
    files = sorted(path for path in map(Path, found) if path.is_file())
    if not files:
        raise UserError(f"no file fits the pattern {name}; check it, and that it stands in quotes")
    base = Path(*_plain_parts(path))
    return [(file, output / file.relative_to(base)) for file in files]


def _plain_parts(path: Path) -> list[str]:
    """The parts of a pattern before the first with a * or the like."""
    parts = list(path.parts)
    return parts[: next(number for number, part in enumerate(parts) if glob.has_magic(part))]


def _suffix(source: Path, file_format: Format) -> str:
    """Of the result."""
    suffix = source.suffix.lower()
    if is_video(source):
        return suffix if suffix in VIDEO_TARGETS else ".mkv"
    if file_format == "same":
        return source.suffix if suffix in FORMATS else ".png"
    return _SUFFIX[file_format]


def unfinished(jobs: Sequence[EnhanceJob], *, compare: bool) -> list[EnhanceJob]:
    """The jobs of which a result is missing; how many others there are is logged."""
    todo = [job for job in jobs if not is_finished(job, compare=compare)]
    if skipped := len(jobs) - len(todo):
        logger.info(f"{skipped} of {len(jobs)} results exist already and are skipped; use --force to overwrite")
    return todo


def is_finished(job: EnhanceJob, *, compare: bool) -> bool:
    """Whether all results of a file are there."""
    return all(path.exists() for path in job.results(compare))


def _to_file(sources: list[Path], output: Path, file_format: Format | None) -> EnhanceJob:
    if len(sources) != 1:
        raise UserError(f"-o {output} is the name of one file, and {len(sources)} are to be enhanced; name a folder")
    if is_video(sources[0]) != is_video(output):
        kinds = ("a video", "an image") if is_video(sources[0]) else ("an image", "a video")
        raise UserError(f"-o {output}: {sources[0]} is {kinds[0]}, and this is the name of {kinds[1]}")
    if is_video(output):
        file_format = None
    wanted = _SUFFIX.get(file_format or "", output.suffix.lower())
    if file_format and FORMATS[wanted] != FORMATS[output.suffix.lower()]:
        raise UserError(f"-o {output} and --format {file_format} contradict each other; leave one out")
    return EnhanceJob(sources[0], output)


def make_folder(output: Path | None) -> None:
    """Make the folder of the results, so that one that cannot be is known before anything is done.

    Args:
        output: as in `find_jobs`.

    Raises:
        UserError: it cannot be made, or nothing can be written there.
    """
    folder = FOLDER if output is None else output.parent if _is_file_name(output) else output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}; choose another one with -o") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"cannot write into the folder {folder}; choose another one with -o")


def _is_file_name(output: Path) -> bool:
    suffix = output.suffix.lower()
    if output.is_dir() or suffix not in (*FORMATS, *VIDEO_SUFFIXES):
        return False
    if suffix in VIDEO_SUFFIXES and suffix not in VIDEO_TARGETS:
        raise UserError(f"-o {output}: videos are written as {', '.join(VIDEO_TARGETS)}, not as {suffix}")
    return True


def check_crf(jobs: Sequence[EnhanceJob], crf: float | None) -> None:
    """Raises `UserError` if a result that is to be compressed is a raw video, which never is."""
    if crf is not None and (raw := next((job for job in jobs if is_raw(job.target)), None)):
        raise UserError(f"--crf: {raw.target} would be raw, {RAW} is never compressed; name a result with -o x.mp4, or "
                        "leave --crf out")  # fmt: skip
