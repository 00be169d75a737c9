"""The one error class for mistakes a user can make, and how a command reports it."""

import functools
import os
import sys
import time
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")
PATIENCE = 10.0
"""Seconds after which another rank than 0 reports its error."""


class UserError(Exception):
    """A mistake of the user: the message is one line that says what, where and what to do."""


def command(main: Callable[P, None]) -> Callable[P, int]:
    """Wrap a command's main function so that it returns an exit status.

    Returns 0 on success and 2 on a `UserError`, which is printed as one line `error: ...` without a
    traceback. A full disk or a missing permission is the user's to mend too, so an `OSError` that got
    this far is reported the same way. Every other exception is a defect and keeps its traceback.
    """

    @functools.wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            main(*args, **kwargs)
        except UserError as error:
            return _report(" ".join(str(error).split()))
        except BrokenPipeError:  # the reader of our output (head, less) went away
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:
            return _report(_describe(error))
        return 0

    return run


def _report(message: str) -> int:
    rank = os.environ.get("RANK", "0")
    if rank != "0":
        # Most mistakes are met by every rank. The launcher stops the others as soon as rank 0 has said it.
        time.sleep(PATIENCE)
        message = f"{message} (rank {rank})"
    print(f"error: {message}", file=sys.stderr)
    return 2


def _describe(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}"
