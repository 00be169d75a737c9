"""The images and videos of a folder, searched to the bottom, and what is left out there, by kind."""

import os
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from powerqe.utils.image.photo import PHOTO_SUFFIXES
from powerqe.utils.video.suffixes import VIDEO_SUFFIXES

_BY_PLUGIN = (".heic", ".heif", ".avif")
"""Suffixes of images that Pillow opens with some plugin, or if it was built so."""
_MOST_KINDS = 8
"""Kinds that are named; the others are counted together."""


@cache
def known_suffixes() -> tuple[str, ...]:
    """Suffixes of files that are taken for images and videos."""
    from PIL import Image

    there = Image.registered_extensions()
    images = (*PHOTO_SUFFIXES, *_BY_PLUGIN)
    return (*dict.fromkeys(each for each in images if each not in _BY_PLUGIN or each in there), *VIDEO_SUFFIXES)


def wanted_files(folder: Path, output: Path, skipped: Counter[str]) -> list[Path]:
    """The images and videos of a folder, by name.

    Args:
        output: the folder of results. Results of before are none, where it lies inside of the folder that is searched.
        skipped: is added to: kind -> number of files (or folders) that are left out.
    """
    own = Path(os.path.realpath(output))
    if own == Path(os.path.realpath(folder)):
        own = None
    found = []
    for file in _files(folder, own, skipped):
        if kind := _kind(file):
            skipped[kind] += 1
        else:
            found.append(file)
    return sorted(found)


def describe_skipped(skipped: Counter[str]) -> str:
    """How many of which kind, the most frequent first."""
    kinds = sorted(skipped.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in kinds[_MOST_KINDS:])
    return ", ".join(
        [f"{count} {kind}" for kind, count in kinds[:_MOST_KINDS]] + [f"{rest} of other kinds"] * (rest > 0)
    )


def _files(folder: Path, own: Path | None, skipped: Counter[str]) -> Iterator[Path]:
    """All but hidden files and results of before."""

    def unreadable(_error: OSError) -> None:
        skipped["unreadable folder"] += 1

    for place, folders, files in os.walk(folder, onerror=unreadable):
        kept = []
        for name in folders:
            path = Path(place, name)
            if name.startswith("."):
                skipped["hidden"] += 1
            elif own and Path(os.path.realpath(path)).is_relative_to(own):
                skipped["folder of results"] += 1
            elif path.is_symlink():
                skipped["link to a folder"] += 1
            else:
                kept.append(name)
        folders[:] = kept
        for name in files:
            if name.startswith("."):
                skipped["hidden"] += 1
            else:
                yield Path(place, name)


def _kind(file: Path) -> str:
    """Why a file is no image and no video; empty if it is one."""
    suffix = file.suffix.lower()
    if suffix not in known_suffixes():
        hint = " (Pillow cannot open them here)" if suffix in _BY_PLUGIN else ""
        return f"{suffix or 'without suffix'}{hint}"
    if not file.exists():
        return "broken link"
    return "" if file.is_file() else "no regular file"
