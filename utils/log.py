"""Logging of a run: lines on the terminal (above a progress bar) and in a file, curves in TensorBoard."""

import logging
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

logger = logging.getLogger("powerqe")


class _TerminalHandler(logging.Handler):
    """Prints above a running tqdm bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stdout)
        sys.stdout.flush()


class _FileHandler(logging.FileHandler):
    """Appends to a file; what a full disk does not take is lost with one line on the terminal."""

    _has_failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._has_failed:
            self._has_failed = True
            tqdm.write(f"{self.baseFilename}: {error.strerror}; lines of the log may be missing", file=sys.stderr)

    def close(self) -> None:
        with suppress(OSError):  # it tries once more to write what the disk did not take
            super().close()


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
        handlers.append(_FileHandler(file, encoding="utf-8", errors="backslashreplace"))
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
    **options: Any,
) -> "tqdm[Any]":
    """A tqdm bar on the main rank, and only where somebody can watch it; of bytes, unit "B", in kB, MB ...

    Args:
        options: others of tqdm.
    """
    hidden = None if is_main else True  # None: hidden unless the output is a terminal
    return tqdm(
        items, title, total, leave, initial=initial, disable=hidden, dynamic_ncols=True, unit=unit,
        unit_scale=unit == "B", **options,
    )  # fmt: skip


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
