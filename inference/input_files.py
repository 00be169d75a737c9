"""Which files are enhanced, and what the results are called."""

import glob
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from powerqe.inference.folder_search import describe_skipped, known_suffixes, wanted_files
from powerqe.inference.result_names import EnhanceJob, Wanted, check_sources, named_apart
from powerqe.utils.errors import UserError
from powerqe.utils.image.write import FORMATS
from powerqe.utils.log import logger
from powerqe.utils.video.video_file import RAW, VIDEO_SUFFIXES, VIDEO_TARGETS, is_raw, is_video

Format = Literal["png", "jpeg", "webp", "tiff", "same"]
FOLDER = Path("enhanced")
"""Where results go by default."""
_SUFFIX = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tiff"}


def find_jobs(
    inputs: Sequence[str], output: Path | None, file_format: Format | None = None, *, compare: bool = False
) -> list[EnhanceJob]:
    """The input files, each once, in the given order and by name within a folder; what is left out is logged.

    Args:
        inputs: files, folders (searched to the bottom for known suffixes; hidden ones do not count), or patterns
            such as `photos/*.jpg` and `photos/**/*.jpg`.
        output: a folder; if one file is named, it may be the name of the result. None: `FOLDER`.
        file_format: of images; None: png, or by the suffix of the result. Raw videos stay raw, mp4 stays mp4, others
            become mkv.
        compare: whether comparisons are drawn.

    Raises:
        UserError: no such file, a folder without images and videos, a result of another kind, one that would
            overwrite a source, or two of one name that cannot be told apart (see `named_apart`).
    """
    found: dict[Path, tuple[Path, Path]] = {}
    skipped: Counter[str] = Counter()
    as_file = output is not None and _is_file_name(output)
    folder = FOLDER if output is None else output
    for name in inputs:
        for source, place in _expanded(name, folder, skipped):
            found.setdefault(Path(os.path.realpath(source.parent), source.name), (source, place))
    if skipped:
        logger.info(f"{skipped.total()} files and folders are left out: {describe_skipped(skipped)}")
    if as_file:
        return [_to_file([source for source, _ in found.values()], folder, file_format, compare)]
    wanted = [Wanted(source, place, _suffix(source, file_format or "png")) for source, place in found.values()]
    return named_apart(wanted, folder, compare=compare)


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


def _to_file(sources: list[Path], output: Path, file_format: Format | None, compare: bool) -> EnhanceJob:
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
    job = EnhanceJob(sources[0], output)
    check_sources([job], compare=compare)
    return job


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
