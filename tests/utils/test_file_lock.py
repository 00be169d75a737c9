"""One process at a time at a file, and nothing left of the lock."""

import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from powerqe.utils.errors import UserError
from powerqe.utils.file_lock import claimed, only_process

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


CLAIM = """
import os, sys
from pathlib import Path
from powerqe.utils.file_lock import claimed
with claimed(Path(sys.argv[1]), "trained", "wait"):
    child = os.fork() if sys.argv[2:] else 1  # which has the lock, too, as a loader's worker has
    if child == 0:
        import time
        time.sleep(2)
        os._exit(0)
    print("mine", flush=True)
    sys.stdin.read()
"""


def claim(folder: Path, root: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CLAIM, str(folder), *more]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
    assert other.stdout
    assert other.stdout.readline() == "mine\n"
    return other


def test_the_error_says_who_is_at_a_folder(tmp_path, root):
    with claim(tmp_path / "exp/x", root) as other:
        with pytest.raises(UserError) as error, claimed(tmp_path / "exp/x", "trained", "wait"):
            pass
        for fact in (str(tmp_path / "exp/x"), str(other.pid), platform.node(), time.strftime("%Y-%m-%d")):
            assert fact in str(error.value)
        with claimed(tmp_path / "exp/x", "tested", "wait"), claimed(tmp_path / "exp/y", "trained", "wait"):
            pass  # other work, and other folders
        other.kill()
    with claimed(tmp_path / "exp/x", "trained", "wait"):
        pass
    assert not any((tmp_path / "exp").iterdir())


def test_children_of_a_killed_process_are_waited_for(tmp_path, root):
    with claim(tmp_path / "x", root, "with a child") as other:
        other.kill()
        other.wait(20)
        with claimed(tmp_path / "x", "trained", "wait"):
            pass
