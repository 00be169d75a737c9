"""Pack a folder of videos, raw files or folders of frames, in one LMDB store: data/SOURCE -> data/SOURCE.lmdb.

Our own layout keeps single frames, from which training reads crops without decoding anything. The layout of
STDF-PyTorch keeps groups of seven frames as PNG files; an interrupted run goes on where it stopped.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

if not __package__:
    import run_from_checkout  # noqa: F401

from powerqe.data_pre_process import driver
from powerqe.dataset.clips import listed_videos, read_list
from powerqe.dataset.stdf_groups import group_frames, write_groups
from powerqe.dataset.store import DATA_FILE, open_store, write_store
from powerqe.dataset.videos import RawFormat, Videos, open_videos
from powerqe.utils.errors import UserError, command

STDF_FRAMES = 300


@command
def main(argv: Sequence[str] | None = None) -> None:
    args = _parser().parse_args(argv)
    if args.layout == "stdf" and (args.color, args.codec) != ("y", "raw"):
        raise UserError("--layout stdf keeps luma as PNG files; leave out --color and --codec")
    if args.layout == "powerqe" and args.gt:
        raise UserError("--gt is for --layout stdf; the other layout keeps all frames")
    source = args.data_root / args.source
    if (source / DATA_FILE).is_file():
        raise UserError(f"{source} is a store; give the folder of videos that it was made of")
    store = args.data_root / args.store if args.store else source.with_name(f"{source.name}.lmdb")
    listed = None if args.list is None else read_list(args.list)
    videos = open_videos(source, args.color, RawFormat(args.chroma, args.depth, args.size), only=listed)
    names = videos.names() if listed is None else listed_videos(listed, videos, args.list)
    (pack_groups if args.layout == "stdf" else pack_frames)(videos, names, store, args)


def _parser() -> driver.Parser:
    parser = driver.parser(
        "Pack the videos of data/SOURCE in the LMDB store data/SOURCE.lmdb.",
        ["python main_create_video_lmdb.py mine/x265_ldp/qp37"],
    )
    driver.add_nworker(parser)
    add = parser.add_argument
    add("source", help="folder of *.yuv files or of folders of frames, inside the data folder")
    add("--store", metavar="FOLDER", help="where to write inside the data folder (default: SOURCE.lmdb)")
    add(
        "--layout",
        choices=("powerqe", "stdf"),
        default="powerqe",
        help="how the store is arranged: ours, of single "
        "frames, or that of STDF-PyTorch, of groups of seven (default: %(default)s)",
    )
    add(
        "--gt",
        action="store_true",
        help="with --layout stdf: these are the clean videos, of which each group needs its middle frame only",
    )
    add(
        "--max-frames",
        type=driver.positive,
        metavar="N",
        help="pack the first N frames of each video (default: all; 300 with --layout stdf)",
    )
    add("--list", metavar="FILE", help="text file with the videos to pack, one in each line, such as sep_trainlist.txt")
    add("--color", choices=("y", "rgb"), default="y", help="pack luma, or RGB (default: %(default)s)")
    add(
        "--codec",
        choices=("raw", "png"),
        default="raw",
        help="raw: fastest crops; png: less disk (default: %(default)s)",
    )
    add(
        "--chroma",
        choices=("420", "444"),
        default="420",
        help="sampling of the chroma in raw files (default: %(default)s)",
    )
    add(
        "--depth",
        type=int,
        choices=(8, 10),
        default=8,
        help="bits of a sample in raw files; 10 are rounded to 8 (default: %(default)s)",
    )
    add("--size", type=_size, metavar="WxH", help="width and height of raw files whose names do not say it")
    return parser


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return driver.positive(width), driver.positive(height)


def pack_groups(videos: Videos, names: list[str], store: Path, args: argparse.Namespace) -> None:
    """Write a store in the layout of STDF-PyTorch, unless it is there and newer than the videos."""
    frames = group_frames(videos, names, max_frames=args.max_frames or STDF_FRAMES, targets=args.gt)
    keys = sorted(frame.key.removesuffix(".png") for frame in frames)
    if not args.force and _is_current(store, keys, 1, videos, names):
        driver.report(f"{store}: was there; --force makes it again", args)
        return
    with driver.stoppable():
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
        driver.report(f"{store}: was there; --force makes it again", args)
        return

    def images() -> Iterator[tuple[str, np.ndarray]]:
        for key, place in driver.progress(places.items(), args, len(places)):
            yield key, videos.read(*place)

    with driver.stoppable():
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


if __name__ == "__main__":
    sys.exit(main())
