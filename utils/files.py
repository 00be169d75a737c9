"""Writing files so that a reader, or a crash, never sees half of one; and telling one content from another."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from powerqe.utils.errors import UserError
from powerqe.utils.leftovers import temporary_file, temporary_folders


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the same folder that becomes `path` when the block succeeds.

    The bytes are on the disk (fsync) before the name changes, so after a crash `path` is either the old
    file, the new file or absent. When the block raises, the temporary file is removed and `path` is left
    as it was. Missing parent folders are made. The temporary name keeps the suffix of `path`, because
    image and table writers choose their format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_file(path)
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:  # such as a full disk, which Python reports without the file
        if error.errno and error.filename is None:
            error.filename = os.fspath(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder next to `path` that takes its name when the block succeeds.

    An existing `path` is replaced only then. When the block raises, the temporary folder is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = temporary_folders(path)
    shutil.rmtree(temporary, ignore_errors=True)  # of a killed process that had our number
    temporary.mkdir()
    try:
        yield temporary
        for file in (*temporary.rglob("*"), temporary):
            _sync(file)
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
        temporary.rename(path)
        _sync(path.parent)
    finally:
        if old.exists() and not path.exists():  # stopped between the two names
            old.rename(path)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder next to `path` for what that is made of. It is removed in any case."""
    folder, _ = temporary_folders(path)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text as UTF-8, whole or not at all; line ends stay. In a name, bytes that are no UTF-8 become `\\udcff`.

    That is how JSON writes them, too, so there they are read back as they were.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def write_between(path: str | os.PathLike[str], start: str, end: str, text: str) -> None:
    """Put a text between two lines of a file, in place of what is there.

    Raises:
        UserError: no such file, or it lacks the lines.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no file {path}; give one with the lines {start} and {end}, between which the text goes")
    before, found, rest = path.read_text(encoding="utf-8").partition(f"{start}\n")
    _, found_too, after = rest.partition(end)
    if not (found and found_too):
        raise UserError(f"{path} lacks the lines {start} and {end}, between which the text goes")
    write_text(path, f"{before}{start}\n{text}\n{end}{after}")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    """Put a file or a folder on the disk. Windows opens no folder, and syncs only what it has opened for writing."""
    is_folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDWR if os.name == "nt" and not is_folder else os.O_RDONLY)
    except PermissionError:
        if is_folder:
            return
        raise
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
