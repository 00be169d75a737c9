"""Trainings whose disk is full at some moment, and has room again when they are resumed."""

import ctypes
import random
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from powerqe.benchmarks.attacks.interrupted import finish, one_error, place, run, uninterrupted
from powerqe.benchmarks.attacks.tally import Tally
from powerqe.benchmarks.attacks.training import EXPERIMENT, training
from powerqe.utils.checkpoint import load_checkpoint, numbered

_MOUNTS = 0x00020000  # CLONE_NEWNS


def full_disks(folder: Path, count: int, seed: int) -> Tally:
    """A disk that is full at some moment, and has room again when the training is resumed."""
    tally = Tally("disk full")
    reference = uninterrupted(folder)
    whole = sum(path.stat().st_size for path in (reference / EXPERIMENT).iterdir())
    largest = max(path.stat().st_size for path in (reference / EXPERIMENT).iterdir())
    can_mount = own_mounts()
    tally.note = "" if can_mount else "no right to mount: a limit on the size of each file in place of a full disk"
    chance = random.Random(f"{seed} disk")
    for _ in range(count):
        size = chance.randint(1, whole if can_mount else largest)
        case = f"{size} bytes"
        with place(folder, reference) as sandbox, disk(sandbox.inside / "exp", size if can_mount else None) as enlarge:
            task = training()
            first = run(task if can_mount else lambda: limited(task, size), sandbox)  # noqa: B023
            if tally.judge(first, case) and not (first.code == 0 or one_error(first)):
                tally.fault("tracebacks", case, f"status {first.code}: {first.text}")
            for path in numbered(sandbox.inside / EXPERIMENT):
                load_checkpoint(path)  # whatever has its name is whole
            enlarge()
            finish(sandbox, reference, tally, case)
    return tally


def own_mounts() -> bool:
    """Give this process mounts of its own, which end with it; False without the right to."""
    if ctypes.CDLL(None).unshare(_MOUNTS):
        return False
    return not subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, timeout=60).returncode


@contextmanager
def disk(folder: Path, size: int | None) -> Iterator[Callable[[], None]]:
    """A file system in memory of some bytes, and a function that makes it larger; none without a size."""
    folder.mkdir()
    if size is None:
        yield lambda: None
        return
    mount = ["mount", "-t", "tmpfs"]
    subprocess.run([*mount, "-o", f"size={size}", "tmpfs", folder], check=True, timeout=60)
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=1g", folder], check=True, timeout=60) and None
    finally:
        subprocess.run(["umount", "-l", folder], check=True, timeout=60)


def limited(task: Callable[[], int], size: int) -> int:
    """Run a task that may write no file larger than `size` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    return task()
