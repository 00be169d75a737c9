"""Which files are enhanced, and what the results are called."""

import glob
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from utils.errors import UserError
from utils.photo import PHOTO_SUFFIXES
from utils.photo_write import FORMATS

Format = Literal["png", "jpeg", "webp", "tiff", "same"]
FOLDER = Path("enhanced")
"""Where results go if nothing is said."""
_SUFFIX = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tiff"}


class Job(NamedTuple):
    """A file and the name of its result."""

    source: Path
    target: Path


def find_jobs(inputs: Sequence[str], output: Path | None, file_format: Format | None = None) -> list[Job]:
    """The files that a user names, each once, in the order of the names and by name within a folder.

    Args:
        inputs: files, folders (searched to the bottom for known suffixes; hidden ones do not count), or patterns
            such as `photos/*.jpg` and `photos/**/*.jpg`.
        output: a folder; if one file is named, it may be the name of the result. None: `FOLDER`.
        file_format: of the results; None: png, or what the name of the result says.

    Raises:
        UserError: nothing of such a name, a folder without pictures, or a result that would be written over its source.
    """
    found: dict[Path, Path] = {}
    as_file = output is not None and _is_file_name(output)
    folder = FOLDER if output is None else output
    for name in inputs:
        for source, place in _expanded(name, folder):
            found.setdefault(source, place)
    if as_file:
        return [_to_file(list(found), folder, file_format)]
    places = {source: _with_suffix(place, source, file_format or "png") for source, place in found.items()}
    shared = Counter(places.values())
    jobs = [Job(source, _apart(place, source) if shared[place] > 1 else place) for source, place in places.items()]
    for job in jobs:
        check_not_source(job)
    return jobs


def _expanded(name: str, output: Path) -> list[tuple[Path, Path]]:
    """The files that a name means, each with its place below the output folder."""
    path = Path(name)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if _is_picture(file, path, output))
        if not files:
            raise UserError(f"no picture in the folder {path}; it needs files *{' *'.join(PHOTO_SUFFIXES)}")
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


def _is_picture(file: Path, folder: Path, output: Path) -> bool:
    """Results of before are none, where they lie inside of the folder that is searched."""
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    own = output.resolve() != folder.resolve() and file.resolve().is_relative_to(output.resolve())
    return file.suffix.lower() in PHOTO_SUFFIXES and not hidden and not own and file.is_file()


def _with_suffix(place: Path, source: Path, file_format: Format) -> Path:
    if file_format == "same":
        return place if source.suffix.lower() in FORMATS else place.with_suffix(".png")
    return place.with_suffix(_SUFFIX[file_format])


def _apart(place: Path, source: Path) -> Path:
    """a.jpg and a.png of one folder become a.jpg.png and a.png.png."""
    return place.with_name(f"{source.name}{place.suffix}")


def _to_file(sources: list[Path], output: Path, file_format: Format | None) -> Job:
    if len(sources) != 1:
        raise UserError(f"-o {output} is the name of one file, and {len(sources)} are to be enhanced; name a folder")
    wanted = _SUFFIX.get(file_format or "", output.suffix.lower())
    if file_format and FORMATS[wanted] != FORMATS[output.suffix.lower()]:
        raise UserError(f"-o {output} and --format {file_format} contradict each other; leave one out")
    job = Job(sources[0], output)
    check_not_source(job)
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
    return output.suffix.lower() in FORMATS and not output.is_dir()


def check_not_source(job: Job) -> None:
    """Raises `UserError` if the result would take the place of the file itself."""
    if job.target.exists() and job.target.samefile(job.source):
        raise UserError(f"{job.source} would be written over by its own result; choose another folder with -o")
