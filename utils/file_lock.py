"""One process at a time at a file; by filelock, for every system has its own way of locking."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from powerqe.utils.errors import UserError
from powerqe.utils.leftovers import MACHINE, is_running

_ORPHANS = 20.0
"""Seconds after which the children of a killed process, which hold its lock, have noticed that it is gone."""


@contextmanager
def only_process(path: Path, busy: str, patience: float = 0) -> Iterator[None]:
    """Inside the block no other process is in such a block of the same path, unless the file system has no locks.

    The lock is a hidden file next to `path`, which is gone afterwards.

    Args:
        path: of the file, or of a folder.
        busy: what is wrong, and what to do.
        patience: seconds to wait for the other process.

    Raises:
        UserError: `busy`, if another process is in it.
    """
    lock_path = path.with_name(f".{path.name.lstrip('.')}.lock")
    lock = FileLock(lock_path, timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(busy) from None
    except (OSError, NotImplementedError):
        yield
        return
    try:
        if not lock_path.exists():  # another process removed it between our opening and our locking
            raise UserError(busy)
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file; there filelock does it
            lock_path.unlink()
        lock.release()


@contextmanager
def claimed(path: Path, doing: str, advice: str) -> Iterator[None]:
    """As `only_process`, and the error says who is at the folder `path`: process, host and since when.

    That stands in a hidden file next to the lock. What a killed process has left there hinders nobody.

    Args:
        path: the folder, which need not exist.
        doing: what is done with it, such as "trained".
        advice: what the user may do instead.

    Raises:
        UserError: another process is in such a block.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    place = path.with_name(f"{path.name}.{doing}")
    owner = path.with_name(f".{place.name}.owner")
    machine, pid, text = _read(owner)
    is_stale = machine == MACHINE and not is_running(pid)
    busy = f"{path} is being {doing} by {text or 'another process'}; {advice}"
    with only_process(place, busy, _ORPHANS if is_stale else 0):
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        mine = f"process {os.getpid()} on {platform.node()} since {since}"
        owner.write_text(f"{MACHINE}\n{os.getpid()}\n{mine}\n", encoding="utf-8")
        try:
            yield
        finally:
            owner.unlink(missing_ok=True)


def _read(owner: Path) -> tuple[str, int, str]:
    """Machine and number of a process, and both in words; nothing if there is none."""
    try:
        machine, pid, text = owner.read_text(encoding="utf-8").splitlines()
        return machine, int(pid), text
    except (OSError, ValueError):
        return "", 0, ""
