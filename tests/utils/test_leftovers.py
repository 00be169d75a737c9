"""What dead processes have left goes, or comes back; what living ones are writing stays."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from powerqe.dataset.sources import ImageSource
from powerqe.dataset.store import write_store
from powerqe.utils.files import atomic_folder, atomic_path, scratch_folder, write_text
from powerqe.utils.leftovers import MACHINE, is_running, remove_leftovers, temporary_file, temporary_folders

BUSY = """
import signal, sys
from pathlib import Path
from powerqe.utils.files import atomic_folder, atomic_path, scratch_folder
to = Path(sys.argv[1])
with atomic_path(to / "file.pt") as file, atomic_folder(to / "folder.x") as folder, scratch_folder(to / "s"):
    file.write_text("half")
    (folder / "half").write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""
KILLED_BETWEEN_TWO_NAMES = """
import os, signal, sys
from pathlib import Path
from powerqe.utils.files import atomic_folder
rename = Path.rename
Path.rename = lambda path, to: rename(path, to) if to.suffix == ".old" else os.kill(os.getpid(), signal.SIGKILL)
with atomic_folder(sys.argv[1]) as folder:
    (folder / "new").write_text("new")
"""


@pytest.fixture
def writer(tmp_path: Path, root: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that is writing into tmp_path."""
    command = [sys.executable, "-c", BUSY, str(tmp_path)]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_of_a_killed_process_nothing_is_left_and_of_a_living_one_all(tmp_path: Path, writer) -> None:
    before = hidden(tmp_path)
    assert len(before) == 3
    write_text(tmp_path / "a.txt", "first write of this process here")
    remove_leftovers(tmp_path)
    assert hidden(tmp_path) == before
    writer.send_signal(signal.SIGKILL)
    writer.wait(20)
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("write", [atomic_path, atomic_folder, scratch_folder])
def test_the_first_write_in_a_folder_clears_it(tmp_path: Path, writer, write) -> None:
    writer.kill()
    writer.wait(20)
    with write(tmp_path / "new") as made:
        assert {*hidden(tmp_path)} <= {made.name}
        if made.is_dir():
            (made / "x").touch()
        else:
            made.touch()


def test_a_store_that_lost_its_name_comes_back_when_it_is_read(tmp_path: Path, root: Path) -> None:
    write_store(tmp_path / "a.lmdb", [("key", np.full((4, 5, 3), 7, np.uint8))])
    code = [sys.executable, "-c", KILLED_BETWEEN_TWO_NAMES, str(tmp_path / "a.lmdb")]
    assert subprocess.run(code, cwd=root, timeout=60, check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "a.lmdb").exists()
    assert ImageSource(tmp_path / "a.lmdb").stems() == ["key"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.lmdb"]


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(60)
    return process.pid


def test_other_machines_have_a_day_and_other_files_stay(tmp_path: Path) -> None:
    pid, other = dead_process(), "0" * 8 if MACHINE != "0" * 8 else "1" * 8
    yesterday = time.time() - 25 * 3600
    stays = [f".a.{other}-{pid}.tmp.png", f".b.{other}-{pid}.tmp/new", f".c.{MACHINE}-{os.getppid()}.tmp.pt"]
    stays += [".vimrc", f".d.{pid}.txt", f"e.{pid}.tmp", ".f.tmp"]
    goes = [f".g.{other}-{pid}.tmp.png", f".h.{other}-{pid}.tmp/old", f".i.{MACHINE}-{pid}.tmp.pt", f".j.{pid}.tmp.pt"]
    for name in (*stays, *goes):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in (*goes, f".b.{other}-{pid}.tmp", f".h.{other}-{pid}.tmp"):
        os.utime(tmp_path / name, (yesterday, yesterday))
    remove_leftovers(tmp_path)
    assert all((tmp_path / name).exists() for name in stays)
    assert not any((tmp_path / name).exists() for name in goes)


def test_names_of_any_length_and_kind_are_recognized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = dead_process()
    for name in ("a", ".a.b.", "a.12.tmp", f"{'long' * 60}.png", "a." + "s" * 40, "\udcff.png"):
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: pid)
            paths = [temporary_file(tmp_path / name), *temporary_folders(tmp_path / name)]
        for dead in paths:
            dead.touch()
            (tmp_path / name).touch()  # so that nothing is put back
            remove_leftovers(tmp_path)
            assert not dead.exists(), name


def test_processes_that_run() -> None:
    assert is_running(os.getpid())
    assert is_running(os.getppid())
    assert not is_running(dead_process())
    zombie = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert zombie.stdout
    zombie.stdout.read()
    end = time.monotonic() + 20
    while is_running(zombie.pid):  # it has ended, and nobody has asked for its status
        assert time.monotonic() < end
    zombie.wait(20)
