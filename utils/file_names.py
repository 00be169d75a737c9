"""Names of files: made of names that are no paths, short enough for the file system, and as text that can be shown."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path

LONGEST = 255
"""Bytes of a name in a folder, of the usual file systems."""
_LONGEST_MADE = 230  # of names made here: suffixes and temporary names have room behind them
_CONTROL = r"\x00-\x1f\x7f"
_OF_WINDOWS = r'\\<>:"|?*' if os.name == "nt" else ""
_HARMFUL = re.compile(rf"%(?=[0-9A-Fa-f]{{2}})|[{_CONTROL}/{_OF_WINDOWS}]")


def printable(text: str) -> str:
    """A name as one line of UTF-8: control characters become `\\x0a`, bytes that are no UTF-8 `\\udcff`, as in JSON."""
    return re.sub(f"[{_CONTROL}]", lambda found: f"\\x{ord(found[0]):02x}", valid(text))


def valid(text: str) -> str:
    """A text in UTF-8: bytes of a name that are none, which Python holds as lone surrogates, become `\\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def file_name(name: str, suffix: str = "") -> str:
    """The name of a file (or of a folder) for something that has a name: an image in a store, a test set, a case.

    It is one part of a path, never a way out of the folder: separators, control characters and names of dots only are
    written as `%2F`, and so is a % that would be taken for one of these. So different names stay different. A long name
    is cut, and ends in a mark of the whole.
    """
    text = _HARMFUL.sub(lambda found: f"%{ord(found[0]):02X}", valid(name))
    if not text.strip("."):
        text = text.replace(".", "%2E") or "%"
    return within(text, suffix, _LONGEST_MADE)


def within(stem: str, suffix: str, longest: int = LONGEST) -> str:
    """`stem + suffix`, the stem cut to what a file system takes, and then with a mark of the whole."""
    name = os.fsencode(stem)
    room = longest - len(os.fsencode(suffix))
    if len(name) <= room:
        return stem + suffix
    mark = f"~{hashlib.sha256(name).hexdigest()[:10]}"
    return name[: room - len(mark)].decode("utf-8", "ignore") + mark + suffix


def with_suffix(path: Path, suffix: str) -> Path:
    """As `Path.with_suffix`, with a stem cut if the new name would be too long."""
    return path.with_name(within(path.stem, suffix))


def place_finder() -> Callable[[Path], str]:
    """A function that gives equal texts for paths to one place: through links to folders, or where case is ignored.

    It looks at each folder once.
    """

    @cache
    def known(folder: str) -> tuple[str, bool]:
        real = os.path.realpath(folder)
        return real, _ignores_case(Path(real))

    def place(path: Path) -> str:
        head, name = os.path.split(path)
        folder, ignores_case = known(head)
        text = os.path.join(folder, name)  # noqa: PTH118 - for a million names `Path` is slow
        return unicodedata.normalize("NFC", text).casefold() if ignores_case else text

    return place


def _ignores_case(folder: Path) -> bool:
    """Whether the file system does, as those of macOS and Windows; found out by a folder that is there."""
    there = next(
        (each for each in (folder, *folder.parents) if each.name.swapcase() != each.name and each.exists()), None
    )
    if there is None:
        return False
    other = there.with_name(there.name.swapcase())
    return other.exists() and other.samefile(there)
