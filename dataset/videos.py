"""Where videos lie: folders of raw files, folders of frames and LMDB stores, behind one small interface."""

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import numpy as np

from powerqe.dataset.sources import Images
from powerqe.dataset.store import DATA_FILE, open_store
from powerqe.utils.errors import UserError
from powerqe.utils.image.crop import CropBox
from powerqe.utils.image.io import SUFFIXES, in_color, list_images, read_image
from powerqe.utils.leftovers import restored
from powerqe.utils.video.colors import named_color
from powerqe.utils.video.pixels import FramePixels
from powerqe.utils.video.planes import crop
from powerqe.utils.video.yuv import (
    Chroma,
    Depth,
    Frame,
    Geometry,
    YUVReader,
    count_frames,
    count_named_frames,
    named_geometry,
    sequence_stem,
)

Color = Literal["rgb", "y"]
V = TypeVar("V")

OPEN = 8
"""Files and folders of one source that a process has open at once."""

_CHROMA_REACH = 2  # pixels of luma: one sample of 4:2:0 chroma, the reach of its interpolation


class Videos(Protocol):
    """Videos by name.

    A name is what the files are called, without the number of frames (`RaceHorses_416x240_300.yuv` is
    `RaceHorses_416x240`: there are two RaceHorses) and with _ for / (Vimeo's `00001/0001` is `00001_0001`).
    """

    path: Path

    def names(self) -> list[str]:
        """All names, in order."""
        ...

    def count(self, name: str, /) -> int:
        """Frames of a video."""
        ...

    def stems(self, name: str, /) -> Sequence[str] | None:
        """What its frames are called, in order; None where they have no names."""
        ...

    def size(self, name: str, frame: int, /) -> tuple[int, int]:
        """Rows and columns of a frame."""
        ...

    def read(self, name: str, frame: int, box: CropBox | None = None, /) -> np.ndarray:
        """A frame or a part of it, uint8 (H, W, 1 or 3), perhaps a read-only view; nothing else is converted."""
        ...

    def stem(self, name: str, /) -> str:
        """The name of its file without suffix, or of its folder."""
        ...

    def file(self, name: str, /) -> Path:
        """The file or folder of a video, or the place where it would be in a store."""
        ...

    def where(self, name: str, /) -> str:
        """The name of a video in messages."""
        ...


class RawFormat(NamedTuple):
    """Format of raw files, where their names do not say it.

    chroma: subsampling; None: 4:2:0. depth: bits; None: 8. size: (width, height) of files without geometry in their
    names. frames: how many from the start are enough, where a file has fewer than its name promises; None: all.
    """

    chroma: Chroma | None = None
    depth: Depth | None = None
    size: tuple[int, int] | None = None
    frames: int | None = None


def open_videos(
    path: str | os.PathLike[str],
    color: Color = "y",
    raw: RawFormat = RawFormat(),  # noqa: B008 - immutable
    *,
    kept: int = 2,
    only: Iterable[str] | None = None,
) -> Videos:
    """The videos of a folder with `*.yuv` files, of a folder of folders of image files, or of a store.

    Args:
        path: of the folder or store. Its images are called `<sequence>/<frame>`; frames are ordered by name, numbers
            in it by their value.
        color: "y" is the luma as the raw file has it, or the one of RGB images (BT.601 studio range, rounded); "rgb"
            of a raw file see `powerqe.utils.video.colors`.
        raw: of `*.yuv` files. 10 bits are rounded to 8.
        kept: decoded frames to keep, so that each is decoded once when windows slide over a sequence.
        only: sequences that are wanted; spares listing all folders where there are many.

    Raises:
        UserError: nothing there, two videos of one name, or a raw file whose size does not fit its geometry.
    """
    if not restored(Path(path)).is_dir():
        raise UserError(f"no folder of videos {path}; check the path")
    if (Path(path) / DATA_FILE).is_file():
        return ImageVideos(path, open_store(path), color, kept)
    if _raw_files(path):
        return RawVideos(path, color, raw, kept)
    return ImageVideos(path, FrameFolders(path, only), color, kept)


def _raw_files(path: str | os.PathLike[str]) -> list[str]:
    """Their names, sorted; strings, because paths take ten times as long to sort."""
    names = (file.name for file in Path(path).iterdir())
    return sorted(name for name in names if name.lower().endswith(".yuv") and not name.startswith("."))


def sequence_name(stem: str) -> str:
    """The name of a video (see `Videos`) from that of its file or folder."""
    return sequence_stem(stem).replace("/", "_")


# --------------------------------------------------------------------------- raw files


class RawVideos:
    """The `*.yuv` files of a folder; each is opened at first access, by the process that reads it."""

    def __init__(self, path: str | os.PathLike[str], color: Color, raw: RawFormat, kept: int) -> None:
        self.path = Path(path)
        self._raw, self._channels = raw, 1 if color == "y" else 3
        self._files = _by_name({file[:-4]: file for file in _raw_files(path)}, path)
        self._geometries = {name: self._geometry(name) for name in self._files}
        self._pixels = {name: self.pixels(name, self._channels) for name in self._files}
        self._counts = {name: self._count(name) for name in self._files}
        self._readers = Recent(self._reader, OPEN)
        self._rgb = Recent(self._converted, kept)

    def names(self) -> list[str]:
        return list(self._files)

    def count(self, name: str) -> int:
        return self._counts[name]

    def stems(self, name: str) -> None:
        return None

    def size(self, name: str, frame: int) -> tuple[int, int]:
        geometry = self._geometries[name]
        return geometry.height, geometry.width

    def geometry(self, name: str) -> Geometry:
        """Of the frames of a file."""
        return self._geometries[name]

    def pixels(self, name: str, channels: int) -> FramePixels:
        """Of the frames of a file, with 8 bits."""
        return FramePixels(channels, self._geometries[name]._replace(depth=8), named_color(self.file(name)))

    def read(self, name: str, frame: int, box: CropBox | None = None) -> np.ndarray:
        if self._channels == 1:
            planes = self._readers(name)[frame]
            return self._pixels[name].seen(planes if box is None else planes._replace(y=box.cut(planes.y)))
        if box is None:
            return self._rgb(name, frame)
        region = self._region(box, *self.size(name, frame))
        return box.within(region).cut(self._converted(name, frame, region))

    def frame(self, name: str, frame: int) -> Frame:
        """A frame, as the file has it."""
        return self._readers(name)[frame]

    def stem(self, name: str) -> str:
        return self._files[name][:-4]

    def file(self, name: str) -> Path:
        return self.path / self._files[name]

    def where(self, name: str) -> str:
        return f"{self.path}/{self._files[name]}"

    def _geometry(self, name: str) -> Geometry:
        """From the file's name or the one size of all; raises `UserError` if there can be no such frames."""
        chroma, depth, size, _ = self._raw
        if size is None:
            return named_geometry(self.where(name), chroma, depth)
        return Geometry(*size, chroma or "420", depth or 8).check(self.where(name))

    def _count(self, name: str) -> int:
        file, geometry = self.file(name), self._geometries[name]
        if self._raw.size is not None:
            return count_frames(file, geometry)
        return count_named_frames(file, geometry, self._raw.frames)

    def _reader(self, name: str) -> YUVReader:
        return YUVReader(self.file(name), self._geometries[name])

    def _region(self, box: CropBox, height: int, width: int) -> CropBox:
        """The box and all around it that takes part in its colors, beginning and ending with whole chroma."""
        top, left = (max(0, start - _CHROMA_REACH) // 2 * 2 for start in box[:2])
        bottom = min(height, -(-(box.top + box.height + _CHROMA_REACH) // 2) * 2)
        right = min(width, -(-(box.left + box.width + _CHROMA_REACH) // 2) * 2)
        return CropBox(top, left, bottom - top, right - left)

    def _converted(self, name: str, frame: int, region: CropBox | None = None) -> np.ndarray:
        planes = self._readers(name)[frame]
        if region is not None:
            planes = crop(planes, region, self._geometries[name].chroma)
        return self._pixels[name].seen(planes)


# --------------------------------------------------------------------------- frames


class ImageVideos:
    """Videos as single images: in folders of frames or in a store."""

    def __init__(self, path: str | os.PathLike[str], images: Images, color: Color, kept: int) -> None:
        self.path = Path(path)
        self._images = images
        self._color: Color = color
        self._channels = {"rgb": 3, "y": 1}[color]
        grouped = _grouped(images.stems(), self.path)
        self._stems = _by_name({stem: stem for stem in grouped}, path)
        self._frames = {name: grouped[stem] for name, stem in self._stems.items()}
        self._stored = Recent(self._load, kept)

    def names(self) -> list[str]:
        return list(self._stems)

    def count(self, name: str) -> int:
        return len(self._frames[name])

    def stems(self, name: str) -> Sequence[str]:
        return self._frames[name]

    def size(self, name: str, frame: int) -> tuple[int, int]:
        height, width, _ = self._stored(name, frame).shape
        return height, width

    def read(self, name: str, frame: int, box: CropBox | None = None) -> np.ndarray:
        image = self._stored(name, frame)
        image = image if box is None else box.cut(image)
        return image if image.shape[2] == self._channels else in_color(image, self._color, self.where(name))

    def stem(self, name: str) -> str:
        return self._stems[name]

    def file(self, name: str) -> Path:
        return self.path / self._stems[name]

    def where(self, name: str) -> str:
        return f"{self.path}[{self._stems[name]}]"

    def _load(self, name: str, frame: int) -> np.ndarray:
        return self._images[f"{self._stems[name]}/{self._frames[name][frame]}"]


class FrameFolders:
    """Folders of image files, at any depth, as images called `<folder>/<stem>`.

    Args:
        path: what the folders are named from.
        only: the folders that are wanted, of which some may not be there; None: all.
    """

    def __init__(self, path: str | os.PathLike[str], only: Iterable[str] | None = None) -> None:
        self.path = Path(path)
        self._only = None if only is None else list(only)
        self._listing = Recent(self._list, OPEN)

    def stems(self) -> list[str]:
        """All frames; raises `UserError` when there is none, or an image that is in no folder."""
        if any(file.suffix.lower() in SUFFIXES for file in self.path.iterdir()):
            raise UserError(f"{self.path} holds images; expected folders of frames, one for each video, or *.yuv files")
        stems = [f"{folder}/{stem}" for folder in self._folders() for stem in self._list(folder)]
        if not stems:
            raise UserError(f"no video in {self.path}; it needs *.yuv files, or folders of frames")
        return stems

    def where(self, stem: str) -> str:
        """The name of an image in messages."""
        folder, _, name = stem.rpartition("/")
        return str(self._listing(folder)[name])

    def __getitem__(self, stem: str) -> np.ndarray:
        """The image as stored, uint8 (H, W, 1 or 3)."""
        folder, _, name = stem.rpartition("/")
        listing = self._listing(folder)
        if name not in listing:
            raise UserError(f"no frame {name} in {self.path / folder} any more; start again")
        return read_image(listing[name], "any")

    def _list(self, folder: str) -> dict[str, Path]:
        return list_images(self.path / folder)

    def _folders(self) -> Iterator[str]:
        if self._only is not None:
            yield from (folder for folder in self._only if (self.path / folder).is_dir())
            return
        for folder, subfolders, files in os.walk(self.path):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            if any(Path(file).suffix.lower() in SUFFIXES and not file.startswith(".") for file in files):
                yield Path(folder).relative_to(self.path).as_posix()


def _grouped(stems: Iterable[str], path: Path) -> dict[str, tuple[str, ...]]:
    """The frames of each sequence, in order. Sequences whose frames are called alike share one tuple."""
    frames: dict[str, list[str]] = {}
    for stem in stems:
        folder, _, name = stem.rpartition("/")
        if not folder:
            raise UserError(f"{path} holds the image {stem}; those of a video are called <sequence>/<frame>")
        frames.setdefault(folder, []).append(name)
    alike: dict[tuple[str, ...], tuple[str, ...]] = {}
    ordered = {folder: tuple(sorted(names, key=by_number)) for folder, names in sorted(frames.items())}
    return {folder: alike.setdefault(names, names) for folder, names in ordered.items()}


def by_number(name: str) -> list[Any]:
    """A key that sorts im2 before im10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _by_name(found: dict[str, V], path: object) -> dict[str, V]:
    """What was found by its stem, by the name of the video."""
    named: dict[str, V] = {}
    for stem, value in found.items():
        name = sequence_name(stem)
        if name in named:
            raise UserError(f"{path} holds two videos called {name}; keep one of them")
        named[name] = value
    return named


class Recent(Generic[V]):
    """The last few results of a function; those before are dropped, and a copy for another process has none."""

    def __init__(self, make: Callable[..., V], capacity: int) -> None:
        self._make, self._capacity = make, capacity
        self._values: OrderedDict[Hashable, V] = OrderedDict()

    def __call__(self, *key: Any) -> V:
        try:  # another thread may drop it at any time
            self._values.move_to_end(key)
            return self._values[key]
        except KeyError:
            pass
        value = self._make(*key)
        self._values[key] = value
        while len(self._values) > self._capacity:
            self._values.popitem(last=False)
        return value

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_values": OrderedDict()}
