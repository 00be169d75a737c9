"""How a command ends: 0, or 2 with one line `error: ...`, or a traceback for a defect."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from powerqe.utils import errors
from powerqe.utils.errors import UserError, command


def test_success_is_zero_and_arguments_pass() -> None:
    seen = []

    @command
    def main(value: int, *, key: str) -> None:
        """What it does."""
        seen.append((value, key))

    assert main(3, key="x") == 0
    assert seen == [(3, "x")]
    assert main.__doc__ == "What it does."


def ends_with(error: Exception, capsys: pytest.CaptureFixture[str]) -> str:
    @command
    def main() -> None:
        raise error

    assert main() == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.endswith("\n")
    assert output.err.count("\n") == 1
    return output.err.rstrip("\n")


def test_user_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(UserError("no folder x;\n  make it"), capsys) == "error: no folder x; make it"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "error: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "error: Permission denied (/a/b)"),
        (OSError("what a library says"), "error: what a library says"),
    ],
)
def test_os_error_is_the_users_to_mend(error: OSError, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(error, capsys) == line


def test_other_ranks_wait_and_name_themselves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited: list[float] = []
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(errors.time, "sleep", waited.append)
    assert ends_with(UserError("no folder x"), capsys) == "error: no folder x (rank 1)"
    assert waited == [errors.PATIENCE]
    monkeypatch.setenv("RANK", "0")
    assert ends_with(UserError("no folder x"), capsys) == "error: no folder x"
    assert len(waited) == 1


def test_defect_keeps_its_traceback() -> None:
    @command
    def main() -> None:
        raise KeyError("a defect")

    with pytest.raises(KeyError):
        main()


def test_exit_of_argparse_passes() -> None:
    @command
    def main() -> None:
        raise SystemExit(2)

    with pytest.raises(SystemExit):
        main()


def test_reader_that_goes_away_is_no_error(root: Path) -> None:
    code = (
        "import sys; from powerqe.utils.errors import command\n@command\ndef main(): print('x' * 100000, flush=True)\n"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", f"{code}sys.exit(main())"], cwd=root, stdout=write, stderr=subprocess.PIPE, timeout=60
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")
