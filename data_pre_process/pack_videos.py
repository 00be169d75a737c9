"""Pack a folder of videos, raw files or folders of frames, in one LMDB store: data/SOURCE -> data/SOURCE.lmdb.

Our own layout keeps single frames, from which training reads crops without decoding anything. The layout of
STDF-PyTorch keeps groups of seven frames as PNG files; an interrupted run goes on where it stopped.
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from powerqe.data_pre_process import driver
from powerqe.dataset.clips import listed_videos, read_list
from powerqe.dataset.stdf_groups import group_frames, write_groups
from powerqe.dataset.store import DATA_FILE, open_store, write_store
from powerqe.dataset.videos import RawFormat, Videos, open_videos
from powerqe.utils.errors import UserError, resumable

STDF_FRAMES = 300


def pack(args: argparse.Namespace) -> None:
    """Pack the videos that the command line names.

    Raises:
        UserError: no videos, or a bad one; then no store is written.
    """
    source = args.data_root / args.source
    if (source / DATA_FILE).is_file():
        raise UserError(f"{source} is a store; give the folder of videos that it was made of")
    store = args.data_root / args.store if args.store else source.with_name(f"{source.name}.lmdb")
    listed = None if args.list is None else read_list(args.list)
    videos = open_videos(source, args.color, RawFormat(args.chroma, args.depth, args.size, _needed(args)), only=listed)
    names = videos.names() if listed is None else listed_videos(listed, videos, args.list)
    (pack_groups if args.layout == "stdf" else pack_frames)(videos, names, store, args)


def _needed(args: argparse.Namespace) -> int | None:
    """How many frames of each video are packed at most."""
    return args.max_frames or (STDF_FRAMES if args.layout == "stdf" else None)


def pack_groups(videos: Videos, names: list[str], store: Path, args: argparse.Namespace) -> None:
    """Write a store in the layout of STDF-PyTorch, unless it is there and newer than the videos."""
    frames = group_frames(videos, names, max_frames=args.max_frames or STDF_FRAMES, targets=args.gt)
    keys = sorted(frame.key.removesuffix(".png") for frame in frames)
    if not args.force and _is_current(store, keys, 1, videos, names):
        driver.report(f"{store}: exists already; use --force to make it again", args)
        return
    with resumable():
        progress = partial(driver.progress, args=args, total=None)
        write_groups(store, videos, frames, nworker=args.nworker, progress=progress)
    driver.report(f"{store}: {len(frames)} frames of {len(names)} videos packed", args)


def pack_frames(videos: Videos, names: list[str], store: Path, args: argparse.Namespace) -> None:
    """Write a store of ours, unless it is there and newer than the videos."""
    places = {
        f"{videos.stem(name)}/{frame_name}": (name, frame)
        for name in names
        for frame, frame_name in enumerate(_frame_names(videos, name, args.max_frames))
    }
    channels = {"y": 1, "rgb": 3}[args.color]
    if not args.force and _is_current(store, sorted(places), channels, videos, names):
        driver.report(f"{store}: exists already; use --force to make it again", args)
        return

    def images() -> Iterator[tuple[str, np.ndarray]]:
        for key, place in driver.progress(places.items(), args, len(places)):
            yield key, videos.read(*place)

    with resumable():
        write_store(store, images(), args.codec)
    driver.report(f"{store}: {len(places)} frames of {len(names)} videos packed", args)


def _frame_names(videos: Videos, name: str, max_frames: int | None) -> Sequence[str]:
    stems = videos.stems(name)
    names = [f"{frame:05d}" for frame in range(videos.count(name))] if stems is None else stems
    return names[:max_frames]


def _is_current(store: Path, keys: list[str], channels: int, videos: Videos, names: list[str]) -> bool:
    """Whether a store has just these images, of so many channels, and is newer than the videos."""
    try:
        opened = open_store(store)
        found = opened.stems() == keys and opened[keys[0]].shape[2] == channels
    except UserError:  # none, damaged, or of another version
        return False
    return found and all(
        driver.is_up_to_date(store / DATA_FILE, file) for name in names for file in _files(videos, name)
    )


def _files(videos: Videos, name: str) -> Iterator[Path]:
    """The file of a video, or its folder and the files in there."""
    yield (path := videos.file(name))
    if path.is_dir():
        yield from path.iterdir()
