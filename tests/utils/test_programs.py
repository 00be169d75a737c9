"""utils/programs.py: what went wrong with another program, in one line."""

import sys
from subprocess import CompletedProcess

import pytest

from powerqe.utils.errors import UserError
from powerqe.utils.programs import failure, run_program


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (1, "status 1"),
        (0, "status 0"),
        (128, "status 128"),
        (255, "status 255"),
        (-11, "signal 11, SIGSEGV"),
        (-9, "signal 9, SIGKILL"),
        (139, "signal 11, SIGSEGV"),  # of a shell or container around it
    ],
)
def test_status_and_signal(status, expected):
    assert failure(CompletedProcess(["a/prog"], status), "", " \n") == f"a/prog failed ({expected}): no output"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (("no such\n preset", "banner"), "no such preset"),
        (("", "banner"), "banner"),
        (("usage", "banner\nprog: Error, no\nsuch preset"), "prog: Error, no such preset"),
        (("version 1\nERROR: a", "error: b"), "ERROR: a"),
        (("x" * 400, "b"), "x" * 300),
        (("error " + "x" * 400, "b"), "error " + "x" * 294),
    ],
)
def test_reason(said, reason):
    assert failure(CompletedProcess(["prog"], 1), *said) == f"prog failed (status 1): {reason}"


def test_output_of_any_bytes_and_no_input():
    code = "import sys; sys.stdout.buffer.write(b'a\\xff'); sys.exit(len(sys.stdin.read()))"
    done = run_program([sys.executable, "-c", code])
    assert (done.returncode, done.stdout) == (0, "a\ufffd")


def test_a_program_that_cannot_be_started(tmp_path):
    with pytest.raises(UserError, match=r"no/prog cannot be run: No such file.*"):
        run_program(["no/prog"])
