"""The LMDB layout of STDF-PyTorch: luma in groups of seven consecutive frames, as PNG files.

Videos are counted from 1 in the order of their names, groups of a video from 1 too; a rest of less than seven frames is
left out. The store of the damaged videos has the keys `001/001/im1.png` ... `001/001/im7.png`, that of the clean ones
only `001/001/im4.png`, the target. `meta_info.txt` has a line `<key> (<height>,<width>,1) 1` for each.
`powerqe.dataset.store.BasicSRStore` reads it.
"""

import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import lmdb

from powerqe.dataset.store import BASICSR_INDEX, BATCH_BYTES, DATA_FILE, put
from powerqe.dataset.videos import Videos
from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_folder
from powerqe.utils.image.io import encode_image

GROUP = 7
TARGET = 3

_LEVEL = 1  # of the PNG files
_SOURCE = "source.json"


class GroupFrame(NamedTuple):
    """A frame of a video, and its key in the store."""

    key: str
    name: str
    frame: int


def group_frames(videos: Videos, names: Iterable[str], *, max_frames: int, targets: bool) -> list[GroupFrame]:
    """The frames of a store, in order.

    Args:
        videos: where they are.
        names: of the videos to use, in the order that numbers them.
        max_frames: of each video; the rest is left out.
        targets: only the middle frame of each group, for the clean videos.

    Raises:
        UserError: no video has seven frames.
    """
    places = (TARGET,) if targets else range(GROUP)
    frames = [
        GroupFrame(f"{number:03d}/{group + 1:03d}/im{place + 1}.png", name, GROUP * group + place)
        for number, name in enumerate(names, 1)
        for group in range(min(videos.count(name), max_frames) // GROUP)
        for place in places
    ]
    if not frames:
        raise UserError(
            f"{videos.path}: no video has {GROUP} frames, the group that a store in STDF's layout is made of"
        )
    return frames


def write_groups(
    path: str | os.PathLike[str],
    videos: Videos,
    frames: Sequence[GroupFrame],
    *,
    nworker: int = 1,
    progress: Callable[[Iterable[GroupFrame]], Iterable[GroupFrame]] = iter,
    map_size: int = 1 << 30,
) -> None:
    """Write a store, which appears when it is complete. A run that was interrupted is taken up where it stopped.

    Until then the frames are in the folder `.<name>.part` next to it. A few frames are in memory at once.

    Args:
        path: the folder; an older store there is replaced.
        videos: luma, that is color "y".
        frames: see `group_frames`.
        nworker: frames encoded at once.
        progress: wraps the frames that are still to be written.
        map_size: bytes reserved at first; grows by itself.

    Raises:
        UserError: a frame that cannot be read, or a full disk; what is written stays for the next run.
    """
    path = Path(path)
    work = _work_folder(path, videos, frames)
    try:
        with lmdb.open(str(work), map_size=map_size, lock=False) as environment:
            done = environment.stat()["entries"]  # always the first ones, for they are written in order
            for batch in _batches(_encoded(videos, progress(frames[done:]), nworker)):
                put(environment, lambda batch=batch: batch)
    except lmdb.Error as error:  # for example a full disk
        raise UserError(f"cannot write the store {path}: {error}; free space, or choose another place") from None
    with atomic_folder(path) as folder:
        (work / DATA_FILE).replace(folder / DATA_FILE)
        with (folder / BASICSR_INDEX).open("w", encoding="ascii") as index:
            index.writelines(_index_lines(videos, frames))
    shutil.rmtree(work)


def _work_folder(path: Path, videos: Videos, frames: Sequence[GroupFrame]) -> Path:
    """The folder of an interrupted run, empty unless that run had the same to do."""
    work = path.with_name(f".{path.name}.part")
    source = json.dumps(_fingerprint(videos, frames))
    if not (work / _SOURCE).is_file() or (work / _SOURCE).read_text() != source:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        (work / _SOURCE).write_text(source)
    return work


def _fingerprint(videos: Videos, frames: Sequence[GroupFrame]) -> str:
    """Of what is to be written: keys, files, their sizes and times."""
    digest = hashlib.sha256()
    seen = ""
    for frame in frames:
        digest.update(repr(frame).encode())
        if frame.name != seen:
            seen = frame.name
            state = videos.file(seen).stat()
            digest.update(repr((str(videos.file(seen)), state.st_size, state.st_mtime_ns)).encode())
    return digest.hexdigest()


def _encoded(videos: Videos, frames: Iterable[GroupFrame], nworker: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and PNG file of each frame in order, while threads encode a few ahead (encoding releases the GIL)."""
    with ThreadPoolExecutor(nworker) as pool:
        waiting: deque[tuple[bytes, Future[bytes]]] = deque()
        for key, name, frame in frames:
            waiting.append((key.encode(), pool.submit(encode_image, videos.read(name, frame), effort=_LEVEL)))
            if len(waiting) > 2 * nworker:
                first, encoding = waiting.popleft()
                yield first, encoding.result()
        for first, encoding in waiting:
            yield first, encoding.result()


def _batches(items: Iterable[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    """Items in lists of some megabytes, each for one transaction."""
    batch: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in items:
        batch.append((key, value))
        size += len(value)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    yield batch


def _index_lines(videos: Videos, frames: Iterable[GroupFrame]) -> Iterator[str]:
    name, size = "", ""
    for frame in frames:
        if frame.name != name:  # all frames of a video have one size
            name = frame.name
            size = "({},{},1)".format(*videos.size(name, frame.frame))
        yield f"{frame.key} {size} {_LEVEL}\n"
