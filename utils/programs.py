"""Other programs: run to their end, and what goes wrong with them in one line."""

import re
import signal
import subprocess
from collections.abc import Sequence
from subprocess import CompletedProcess

from powerqe.utils.errors import UserError
from powerqe.utils.signals import held_back

_LONGEST = 300  # characters of a program's output in a message
_REASON = re.compile(r"^.*error.*$", re.IGNORECASE | re.MULTILINE)


def run_program(command: Sequence[str]) -> CompletedProcess[str]:
    """Run a program without input; its output and its status, whatever that is.

    It does not hear the signals that stop us, which a terminal sends to it, too; it is killed when we stop.

    Raises:
        UserError: it cannot be started.
    """
    try:
        with held_back():
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                errors="replace",
            )  # fmt: skip
    except OSError as error:
        raise UserError(f"{command[0]} cannot be run: {error.strerror}; is it built for this machine?") from None
    with process:
        try:
            output, errors = process.communicate()
        except BaseException:
            process.kill()
            raise
    return CompletedProcess(command, process.returncode, output, errors)


def failure(done: CompletedProcess[str], *said: str) -> str:
    """How a program ended and why: "bpgenc failed (signal 11, SIGSEGV): no output".

    Args:
        done: the program.
        said: its outputs, the one in which it gives reasons first. The text from the first line on that has the word
            error is quoted, or else the end of the first one with any text.
    """
    texts = [text for text in said if text.strip()]
    reasons = [text[match.start() :] for text in texts if (match := _REASON.search(text))]
    reason = _one_line(reasons[0])[:_LONGEST] if reasons else _one_line(*texts[:1])[-_LONGEST:]
    return f"{done.args[0]} failed ({ending(done.returncode)}): {reason or 'no output'}"


def _one_line(*texts: str) -> str:
    return " ".join(word for text in texts for word in text.split())


def ending(status: int) -> str:
    """The exit status of a program in words: "status 1" or, of a signal, "signal 11, SIGSEGV"."""
    number = -status if status < 0 else status - 128  # shells and containers pass a signal on as 128 + its number
    try:
        return f"signal {number}, {signal.Signals(number).name}"
    except ValueError:
        return f"status {status}"
