"""Errors and signals that end a command, reported in one line."""

import contextlib
import functools
import io
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, ParamSpec

from powerqe.utils.memory import is_out_of_memory
from powerqe.utils.signals import Repeated, heard

P = ParamSpec("P")
PATIENCE = 10.0
"""Seconds after which another rank than 0 reports its error."""
DEBUG = "POWERQE_DEBUG"
"""Environment variable; 1 shows the traceback behind an error, as the option --debug does."""


class UserError(Exception):
    """A user error: one line with what is wrong, where, and what to do."""

    status = 2


class LostRankError(UserError):
    """A process of several, or the link to it, is gone. Every rank tells, as no other may be left to."""


class PartialFailureError(UserError):
    """Some of many files failed, and the others are done."""

    status = 1


class Interrupted(KeyboardInterrupt):
    """SIGINT, SIGTERM or SIGHUP.

    Attributes:
        number: of the signal.
        advice: what to do next, for the user; may be set by callers.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.advice = ""


def command(main: Callable[P, Any]) -> Callable[P, int]:
    """Wrap a command's main function so that it returns an exit status.

    Returns 0 on success, and 2 on a `UserError` (1 if only some of many files failed), which is printed as one line
    `error: ...` without a traceback. A full disk or a missing permission is the user's to mend too, so an `OSError`
    that got this far is reported the same way, and so is a lack of memory. SIGINT and SIGTERM, even if the process was
    started with them ignored, and SIGHUP, unless it was (nohup), end it by an exception, so that everything is cleaned
    up; the status is then 128 + number of the signal. Every other exception is a defect and keeps its traceback, which
    errors have, too, if the environment variable `DEBUG` is 1.
    """

    @functools.wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        _show_any_name()
        try:
            with _interruptible():
                main(*args, **kwargs)
        except UserError as error:
            return _report(error, " ".join(str(error).split()), error.status)
        except BrokenPipeError:  # the reader of our output (head, less) went away
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:
            return _report(error, _describe(error))
        except KeyboardInterrupt as error:
            return _interrupted(error)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return _report(error, f"not enough memory: {' '.join(str(error).split())[:200]}")
        return 0

    return run


@contextlib.contextmanager
def resumable(advice: str = "run the same command again to go on") -> Iterator[None]:
    """Work that can be continued after an interruption; the message tells how, the innermost best."""
    try:
        yield
    except Interrupted as error:
        error.advice = error.advice or advice
        raise


def failure(error: Exception, source: object, target: object = None) -> str:
    """Why one of many files failed, in one line that names it. A defect, too, is no reason to stop the others.

    Args:
        source: the file.
        target: what was to be written.
    """
    show_traceback(error)
    message = " ".join(str(error).split())
    if is_out_of_memory(error):
        message = "it does not fit into memory; cut it into parts"
    elif isinstance(error, OSError):
        message = f"cannot write {error.filename or target}: {error.strerror or error}"
    elif not isinstance(error, UserError):
        message = f"{type(error).__name__}: {message or 'no reason'} (a defect of PowerQE; --debug shows where)"
    return message if str(source) in message else f"{source}: {message}"


def show_traceback(error: BaseException) -> None:
    """Print the traceback of an error and of what it came from, if the user wants to see it."""
    if os.environ.get(DEBUG, "0") in ("", "0"):
        return
    cause: BaseException | None = error
    while cause is not None:
        cause.__suppress_context__ = False  # `raise UserError from None` hides what it came from
        cause = cause.__cause__ or cause.__context__
    traceback.print_exception(error)


def _show_any_name() -> None:
    """Print what the terminal's encoding lacks, and bytes of names that are no UTF-8, as `\\u4e2d` and `\\udcff`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Raise `Interrupted` on the first SIGINT, SIGTERM or SIGHUP. If the user insists, the process ends at once.

    Nothing is raised into the clean-up, where it could leave child processes that wait for each other. They notice that
    their parent is gone, and the next start removes what is left.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        repeated = Repeated()

        def again(number: int, _frame: FrameType | None) -> None:
            if repeated.insists(number):
                os._exit(128 + number)

        for each in old:
            signal.signal(each, again)
        raise Interrupted(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old: dict[int, Any] = {}
    try:
        for each in heard():
            old[each] = signal.signal(each, stop)
        yield
    finally:
        for each, handler in old.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)


def _interrupted(error: KeyboardInterrupt) -> int:
    show_traceback(error)
    advice = error.advice if isinstance(error, Interrupted) else ""
    if _rank() == "0":
        print(f"interrupted{': ' * bool(advice)}{advice}", file=sys.stderr)
    return 128 + (error.number if isinstance(error, Interrupted) else signal.SIGINT)


def _report(error: Exception, message: str, status: int = 2) -> int:
    show_traceback(error)
    if (rank := _rank()) != "0":
        message = f"{message} (rank {rank})"
    if rank != "0" and not isinstance(error, LostRankError):
        # Most mistakes are met by every rank. The launcher stops the others as soon as rank 0 has reported it.
        time.sleep(PATIENCE)
    print(f"error: {message}", file=sys.stderr)
    return status


def _rank() -> str:
    return os.environ.get("RANK", "0")


def _describe(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}"
