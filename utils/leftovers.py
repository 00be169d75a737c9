"""Temporary files and folders, by whose names the next start tells those of dead processes from those of living ones.

A name is `.<name>.<machine>-<process>.tmp<suffix>`. `.old` in place of `.tmp` is a folder that was to be replaced.
"""

import hashlib
import os
import platform
import re
import shutil
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from powerqe.utils.file_names import within

_LONGEST_SUFFIX = 16
_NAME = re.compile(
    r"\.(?P<name>.+?)\.(?:(?P<machine>[0-9a-f]{8})-)?(?P<pid>\d+)\.(?P<kind>tmp|old)(\.[^.]*)?", re.DOTALL
)
_FORGOTTEN = 24 * 3600
"""Seconds without a change, after which what another machine has left is no work in progress."""


def _machine() -> str:
    """A mark of this machine and, in a container, of its own numbers of processes."""
    space = ""
    with suppress(OSError):
        space = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]


MACHINE = _machine()


def temporary_file(path: Path) -> Path:
    """A hidden path next to `path` for this process. It ends like `path`, by which writers choose their format.

    What dead processes have left in that folder is removed when this process comes there first.
    """
    stem, suffix = (path.stem, path.suffix) if len(path.suffix) <= _LONGEST_SUFFIX else (path.name, "")
    return _hidden(path, stem, f"tmp{suffix}")


def temporary_folders(path: Path) -> tuple[Path, Path]:
    """As `temporary_file`, for a new folder `path`, and for the one that it replaces."""
    return _hidden(path, path.name, "tmp"), _hidden(path, path.name, "old")


def _hidden(path: Path, stem: str, ending: str) -> Path:
    _remove_once(path.parent.absolute())
    return path.with_name(within(f".{stem}", f".{MACHINE}-{os.getpid()}.{ending}"))


@cache
def _remove_once(folder: Path) -> None:
    remove_leftovers(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders of dead processes; put back a folder that one of them had set aside."""
    try:
        left = [(Path(entry), found) for entry in os.scandir(folder) if (found := _NAME.fullmatch(entry.name))]
    except OSError:
        return  # no such folder, or nothing to be changed there
    for path, found in left:
        with suppress(OSError):  # another process is faster
            if _is_dead(path, found):
                _remove(path, found)


def restored(path: Path) -> Path:
    """The path of a folder, put back if it is missing because a process was killed while it replaced it."""
    if not path.exists():
        remove_leftovers(path.parent)
    return path


def is_running(pid: int) -> bool:
    """Whether this machine has such a process; a killed one whose parent has not noticed yet does not count."""
    if os.name == "nt":
        return _is_running_on_windows(pid)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    return True


def _is_running_on_windows(pid: int) -> bool:
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(0x00100000, False, pid)  # SYNCHRONIZE
    if not handle:
        return False
    is_ended = kernel.WaitForSingleObject(handle, 0) == 0
    kernel.CloseHandle(handle)
    return not is_ended


def _is_dead(path: Path, found: re.Match[str]) -> bool:
    pid = int(found["pid"])
    if found["machine"] == MACHINE:
        return pid != os.getpid() and not is_running(pid)
    if found["machine"] is None:  # of an earlier version
        return pid == os.getpid() or not is_running(pid)
    return time.time() - max(each.lstat().st_mtime for each in (path, *path.glob("*"))) > _FORGOTTEN


def _remove(path: Path, found: re.Match[str]) -> None:
    target = path.with_name(found["name"])
    if found["kind"] == "old" and not target.exists():
        path.rename(target)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
