"""One process at a time at a file, and nothing left of the lock."""

import subprocess
import sys

import pytest
from filelock import FileLock

from powerqe.utils.errors import UserError
from powerqe.utils.file_lock import only_process

OTHER = """
import sys
from pathlib import Path
from powerqe.utils.file_lock import only_process
with only_process(Path(sys.argv[1]), "busy"):
    print("mine", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_refused_until_the_block_ends(tmp_path, root):
    path = tmp_path / "file"
    command = [sys.executable, "-c", OTHER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as other:
        assert other.stdin
        assert other.stdout
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(UserError, match="busy"), only_process(path, "busy"):
            pass
        other.stdin.close()
        assert other.wait(30) == 0
    with only_process(path, "busy"):
        assert [each.name for each in tmp_path.iterdir()] == [".file.lock"]
    assert not any(tmp_path.iterdir())


def test_a_killed_process_holds_nothing(tmp_path, root):
    command = [sys.executable, "-c", OTHER, str(tmp_path / "file")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as other:
        assert other.stdout
        assert other.stdout.readline() == b"mine\n"
        other.kill()
        other.wait(30)
    with only_process(tmp_path / "file", "busy"):
        pass


def test_a_lock_that_was_removed_meanwhile_does_not_count(tmp_path, monkeypatch):
    acquire = FileLock.acquire

    def acquire_too_late(self: FileLock) -> None:
        acquire(self)
        (tmp_path / ".file.lock").unlink()

    monkeypatch.setattr(FileLock, "acquire", acquire_too_late)
    with pytest.raises(UserError, match="busy"), only_process(tmp_path / "file", "busy"):
        pass


def test_where_nothing_can_be_locked_the_work_is_done(tmp_path, monkeypatch):
    def refuse(self: FileLock) -> None:
        raise OSError("no locks")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with only_process(tmp_path / "file", "busy"), only_process(tmp_path / "file", "busy"):
        pass
