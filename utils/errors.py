"""The one error class for mistakes a user can make, and how a command reports it."""

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")


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
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            return 2
        except BrokenPipeError:  # the reader of our output (head, less) went away
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:
            print(f"error: {_describe(error)}", file=sys.stderr)
            return 2
        return 0

    return run


def _describe(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}"
