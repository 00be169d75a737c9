"""Files named in a list, one path a line, in place of a folder that would be searched."""

import os
import sys
from pathlib import Path

from powerqe.utils.errors import UserError
from powerqe.utils.launcher import launched_place

STDIN = "-"
_BOM = b"\xef\xbb\xbf"


class FileList:
    """A list of files.

    Args:
        name: of the list; `STDIN`: the standard input.

    Attributes:
        lines: path -> its (first) line. Empty lines do not count; whether the files are there is not looked at.

    Raises:
        UserError: the list cannot be read, names nothing, or has a line that is no path.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[str, int] = {}
        for number, line in enumerate(_read(name).removeprefix(_BOM).split(b"\n"), 1):
            line = line.removesuffix(b"\r")
            if b"\0" in line:
                raise UserError(f"{self.where(number)}: has a null byte; paths are separated by line ends")
            if line:
                self.lines.setdefault(os.fsdecode(line), number)
        if not self.lines:
            raise UserError(f"--list {name}: names no file; write one path a line")

    def where(self, number: int) -> str:
        """A line, for messages."""
        return f"{'standard input' if self.name == STDIN else self.name}, line {number}"

    def explained(self, source: Path, error: str) -> str:
        """What is wrong with a file, with its line."""
        number = self.lines.get(str(source))
        return error if number is None else f"{self.where(number)}: {error}"

    def found(self, output: Path) -> list[tuple[Path, Path]]:
        """Each file with its place below the output folder, which keeps its path, without / or .. at the beginning."""
        return [(Path(name), output / below(name)) for name in self.lines]


def below(name: str) -> str:
    """A path as it is below a folder: `photos/a.jpg` stays, `/data/a.jpg` and `../data/a.jpg` lose the front."""
    path = os.path.normpath(os.path.splitdrive(name)[1]).lstrip(os.sep)
    while path.startswith(f"..{os.sep}"):
        path = path[3:]
    return path


def _read(name: str) -> bytes:
    if name == STDIN:
        if launched_place().world_size > 1:
            raise UserError("--list -: several ranks cannot share the standard input; give them a file")
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise UserError(f"--list: cannot read {name}: {error.strerror}; check the path") from None
