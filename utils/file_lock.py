"""One process at a time at a file; by filelock, for every system has its own way of locking."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from powerqe.utils.errors import UserError


@contextmanager
def only_process(path: Path, busy: str) -> Iterator[None]:
    """Inside the block no other process is in such a block of the same path, unless the file system has no locks.

    The lock is a hidden file next to `path`, which is gone afterwards.

    Raises:
        UserError: `busy`, if another process is in it.
    """
    lock_path = path.with_name(f".{path.name.lstrip('.')}.lock")
    lock = FileLock(lock_path, timeout=0)
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
