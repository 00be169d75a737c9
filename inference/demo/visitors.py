"""The files of the demo's visitors: who uploaded which, how much they are together, and their end."""

import filecmp
import shutil
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from powerqe.utils.errors import UserError
from powerqe.utils.file_lock import only_process

_PREFIX = "powerqe-demo-"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for everything that a server stores, removed with it; those of killed servers are removed, too."""
    _remove_leftovers()
    folder = Path(tempfile.gettempdir()) / f"{_PREFIX}{uuid.uuid4().hex}"
    with only_process(folder, f"{folder} is in use"):
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            _remove(folder)


class Visitors:
    """Which visitor uploaded which files.

    Args:
        folder: holds all files.
        most: largest size of all files together, in bytes.
        shared: files that every visitor may use; copies of them, too.
    """

    def __init__(self, folder: Path, most: int, shared: Sequence[Path] = ()) -> None:
        self._folder, self._most, self._shared = folder.resolve(), most, shared
        self._uploaded: dict[str, set[str]] = defaultdict(set)
        self._expected = 0

    def add(self, visitor: str, paths: Sequence[str]) -> None:
        """Note uploaded files as a visitor's own."""
        for owned in self._uploaded.values():
            owned.difference_update([path for path in owned if not Path(path).exists()])
        self._uploaded[visitor].update(str(Path(path).resolve()) for path in paths)

    def may_enhance(self, visitor: str, path: str) -> bool:
        """Whether a file is the visitor's upload, or one of the shared files."""
        real = self._inside(path)
        return real is not None and (str(real) in self._uploaded.get(visitor, ()) or self._is_shared(real))

    def may_read(self, visitor: str, path: str) -> bool:
        """Whether a file may be sent to a visitor: not the uploads of others. Names of results cannot be guessed."""
        real = self._inside(path)
        owners = [name for name, paths in self._uploaded.items() if str(real) in paths]
        return real is not None and (visitor in owners or not owners)

    @contextmanager
    def room_for(self, size: int) -> Iterator[bool]:
        """Reserve room for an upload of `size` bytes; whether there is so much."""
        self._expected += size
        try:
            yield self._used() + self._expected <= self._most
        finally:
            self._expected -= size

    def _used(self) -> int:
        used = 0
        for path in self._folder.rglob("*"):
            with suppress(OSError):
                used += path.stat().st_size
        return used

    def _inside(self, path: str) -> Path | None:
        """The real path of a regular file in the folder; None for every other path."""
        try:
            real = Path(path).resolve()
            return real if real.is_relative_to(self._folder) and real.is_file() else None
        except (OSError, ValueError):  # such as a name with a null byte, or one that is too long
            return None

    def _is_shared(self, real: Path) -> bool:
        return any(real.name == path.name and filecmp.cmp(real, path, shallow=False) for path in self._shared)


def _remove_leftovers() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(UserError, OSError), only_process(folder, "its server is running"):
            _remove(folder)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
