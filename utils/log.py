"""Logging of a run: lines on the terminal (above a progress bar) and in a file, curves in TensorBoard."""

import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

logger = logging.getLogger("powerqe")


class _TerminalHandler(logging.Handler):
    """Prints above a running tqdm bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stdout)
        sys.stdout.flush()


def start_log(file: Path | None, is_main: bool = True, *, timed: bool = True) -> None:
    """Send the project's log to the terminal and, if given, append it to `file`. Silent unless `is_main`.

    Args:
        timed: whether lines begin with the time.
    """
    stop_log()
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if not is_main:
        logger.addHandler(logging.NullHandler())
        return
    handlers: list[logging.Handler] = [_TerminalHandler()]
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(file, encoding="utf-8", errors="backslashreplace"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s" if timed else None, "%Y-%m-%d %H:%M:%S"))
        logger.addHandler(handler)


def stop_log() -> None:
    """Close the log's files."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def progress_bar(
    items: Iterable[Any] | None,
    title: str | None,
    total: int | None,
    is_main: bool,
    *,
    initial: int = 0,
    leave: bool = True,
    unit: str = "it",
) -> "tqdm[Any]":
    """A tqdm bar on the main rank, and only where somebody can watch it; of bytes, unit "B", in kB, MB ..."""
    hidden = None if is_main else True  # None: hidden unless the output is a terminal
    return tqdm(
        items, title, total, leave, initial=initial, disable=hidden, dynamic_ncols=True, unit=unit,
        unit_scale=unit == "B",
    )  # fmt: skip


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
