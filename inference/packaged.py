"""Which published weights a wheel carries: those that `powerqe enhance` may choose by itself, unless they are large.

weights/in_wheel.txt names them for setup.py, which cannot import this where nothing is installed yet. It is written by

    python -m powerqe.inference.packaged
"""

import sys
from collections.abc import Iterable
from contextlib import suppress
from itertools import product
from pathlib import Path

from powerqe.inference.choose import TASKS, ImageDescription, choose, choose_for_video
from powerqe.net.weights import Entry, entries
from powerqe.utils.errors import UserError, command
from powerqe.utils.files import write_text
from powerqe.utils.places import WEIGHTS

FILE = "in_wheel.txt"
LARGEST = 9_000_000
"""Bytes of the largest file that a wheel carries; others are fetched."""
_EITHER = (False, True)
_QUALITIES = (None, *range(101))
_QPS = (None, *range(52))


def in_wheel(published: Iterable[Entry]) -> list[str]:
    """The names, in order. What is too large does not take the place of what is chosen without it."""
    small = [entry for entry in published if entry.bytes and entry.bytes <= LARGEST]
    chosen = set()
    for format, is_gray, quality, has_tables, takes_qf in product((*TASKS, ""), _EITHER, _QUALITIES, _EITHER, _EITHER):
        with suppress(UserError):  # nothing suits
            chosen.add(choose(ImageDescription(format, is_gray, quality, has_tables, takes_qf), small)[0].name)
    for qp, has_peaks, takes_qf in product(_QPS, _EITHER, _EITHER):
        with suppress(UserError):
            chosen.add(choose_for_video(qp, has_peaks, takes_qf, small)[0].name)
    return sorted(chosen)


@command
def main() -> None:
    """Write the file for the weights/ of this checkout."""
    write(WEIGHTS)


def write(folder: Path) -> None:
    """Write the names, a line each, next to the index of a folder; raises as `entries`."""
    write_text(folder / FILE, "".join(f"{name}\n" for name in in_wheel(entries(folder))))


if __name__ == "__main__":
    sys.exit(main())
