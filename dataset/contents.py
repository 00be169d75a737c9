"""What lies under a path of the options, so that processes can tell whether they have the same data."""

import os
import zlib
from pathlib import Path

from powerqe.dataset.store import BASICSR_INDEX, DATA_FILE, ImageStore
from powerqe.utils.errors import UserError

_READ = 8
"""Files of which a part is read."""
_PART = 1 << 16  # bytes of it
_LOCK = "lock.mdb"


def contents(path: str | os.PathLike[str]) -> dict[str, str]:
    """Names of the images of a store, or of a file or the files in a folder -> size and, of some, a checksum.

    Hidden files do not count. Folders may be large and far away, so only the sizes are looked at, and the middle of a
    few files.
    """
    path = Path(path)
    if (path / DATA_FILE).is_file() and not (path / BASICSR_INDEX).is_file():
        try:
            return ImageStore(path).contents()
        except UserError:  # a store of another kind, or a damaged one
            pass
    folder, files = (path.parent, [path]) if path.is_file() else (path, _files(path))
    names = [file.relative_to(folder).as_posix() for file in files]
    found = {name: f"{file.stat().st_size:,} bytes" for name, file in zip(names, files, strict=True)}
    for number in range(0, len(files), max(1, len(files) // _READ)):
        if files[number].name != DATA_FILE:  # whose pages two copies may have in another order
            found[names[number]] += f" (checksum {_checksum(files[number]):08x})"
    return found


def _files(folder: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names if not name.startswith(".") and name != _LOCK]
    return sorted(file for file in found if file.is_file())


def _checksum(file: Path) -> int:
    with open(file, "rb") as stream:
        stream.seek(max(0, (file.stat().st_size - _PART) // 2))
        return zlib.crc32(stream.read(_PART))
