"""Files and folders appear whole or not at all, also when the process is killed."""

import os
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from powerqe.utils import files
from powerqe.utils.files import atomic_folder, atomic_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_path_takes_the_name_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "made/on the way/image.png"
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert temporary.parent == target.parent
        assert temporary.suffix == ".png"
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(target.parent) == ["image.png"]


def test_path_replaces_an_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with atomic_path(str(target)) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), ValueError()])
def test_failed_path_leaves_the_old_file_and_no_temporary(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(type(error)), atomic_path(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_path_that_is_a_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="directory"), atomic_path(tmp_path / "a") as temporary:
        temporary.write_text("x")
    assert names(tmp_path) == ["a"]


def test_bytes_are_on_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync", lambda file: (events.append("sync"), sync(file)))
    monkeypatch.setattr(files.os, "replace", lambda *paths: (events.append("name"), replace(*paths)))
    with atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("x")
    assert events == ["sync", "name", "sync"]


def test_folder_takes_the_name_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "made/store"
    with atomic_folder(target) as temporary:
        (temporary / "inside").mkdir()
        (temporary / "inside/a").write_text("new")
        assert not target.exists()
    assert names(tmp_path / "made") == ["a", "inside", "store"]


def test_folder_replaces_an_old_one_whole(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/old").write_text("old")
    with atomic_folder(tmp_path / "store") as temporary:
        (temporary / "new").write_text("new")
        assert names(tmp_path / "store") == ["old"]
    assert names(tmp_path) == ["new", "store"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_failed_folder_leaves_the_old_one(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/old").write_text("old")
    with pytest.raises(type(error)), atomic_folder(tmp_path / "store") as temporary:  # noqa: PT012
        (temporary / "half").write_text("half")
        raise error
    assert names(tmp_path) == ["old", "store"]


def test_folder_that_cannot_take_the_name_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/old").write_text("old")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Any:
        if self.suffix == ".tmp":
            raise OSError("no more names")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="no more names"), atomic_folder(tmp_path / "store") as temporary:
        (temporary / "new").write_text("new")
    assert names(tmp_path) == ["old", "store"]


def test_folder_after_a_killed_process_of_the_same_number(tmp_path: Path) -> None:
    for left_over in (f".store.{os.getpid()}.tmp", f".store.{os.getpid()}.old"):
        (tmp_path / left_over).mkdir()
        (tmp_path / left_over / "junk").write_text("junk")
    (tmp_path / "store").mkdir()
    with atomic_folder(tmp_path / "store") as temporary:
        (temporary / "new").write_text("new")
    assert names(tmp_path) == ["new", "store"]


KILLED = """
import os, signal, sys
from powerqe.utils.files import atomic_folder, atomic_path
with {writer}({target!r}) as temporary:
    (temporary / "half" if temporary.is_dir() else temporary).write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("writer", [atomic_path, atomic_folder])
def test_killed_while_writing_leaves_the_old(
    tmp_path: Path, root: Path, writer: type[AbstractContextManager[Path]]
) -> None:
    target = tmp_path / "out"
    with writer(target) as temporary:
        (temporary / "old" if temporary.is_dir() else temporary).write_text("old")
    code = KILLED.format(writer=writer.__name__, target=str(target))
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert (target / "old" if target.is_dir() else target).read_text() == "old"
    with writer(target) as temporary:  # and the next one gets through
        (temporary / "old" if temporary.is_dir() else temporary).write_text("new")
    assert (target / "old" if target.is_dir() else target).read_text() == "new"
