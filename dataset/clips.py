"""Frames of compressed videos with their neighbors, and the clean frames they are to become."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import PositiveInt

from powerqe.dataset.augment import mix, random_between, random_crop, random_symmetry
from powerqe.dataset.images import check_paired, read_setting, take_slice
from powerqe.dataset.peaks import Track
from powerqe.dataset.samples import DATASETS, Draw, Sample
from powerqe.dataset.videos import Color, RawFormat, RawVideos, Videos, open_videos, sequence_name
from powerqe.dataset.windows import FrameWindow, Marked
from powerqe.utils.errors import UserError
from powerqe.utils.image.crop import CropBox
from powerqe.utils.image.orientation import oriented
from powerqe.utils.options.components import Slot, create
from powerqe.utils.video.pixels import FramePixels
from powerqe.utils.video.yuv import Chroma, Depth, Frame, Geometry, YUVName, with_depth

_SIZE = re.compile(r"_[1-9]\d*x[1-9]\d*$")
_REVERSE, _FRAME = 8, 9  # numbers that make a sample's hashes differ, see dataset/augment.py


@dataclass(frozen=True, slots=True)
class VideoSequence:
    """One video of the set.

    name: fit for a file name, with the size where the file's name has it. indices: the places of its samples in the
    data set. marked: the numbers of the frames that are samples, and of those that are peaks.
    """

    name: str
    indices: range
    marked: Marked
    _lq: Videos
    _gt: Videos | None

    @property
    def length(self) -> int:
        """Frames in use; not all of them are samples if the window leaves some out."""
        return self.marked.length

    @property
    def frames(self) -> Sequence[int] | np.ndarray:
        """The numbers of the frames that are samples, ascending."""
        return self.marked.frames

    @property
    def height(self) -> int:
        """Rows of its first frame."""
        return self._lq.size(self.name, 0)[0]

    @property
    def width(self) -> int:
        """Columns of its first frame."""
        return self._lq.size(self.name, 0)[1]

    @property
    def lq(self) -> Path:
        """The damaged video: the file, the folder of frames, or its name in a store."""
        return self._lq.file(self.name)

    @property
    def gt(self) -> Path | None:
        """The clean one; None without ground truth."""
        return None if self._gt is None else self._gt.file(self.name)

    def enhanced_pixels(self, channels: int) -> FramePixels:
        """Of the enhanced video, 8 bits: the chroma is as in the damaged one; 4:2:0 if that has none and even sides."""
        width, height = self.width, self.height
        if isinstance(self._lq, RawVideos):
            return self._lq.pixels(self.name, channels)
        return FramePixels(channels, Geometry(width, height, "444" if width % 2 or height % 2 else "420"))

    @property
    def enhanced_stem(self) -> str:
        """The name of the enhanced video's file: that of a damaged raw file, or what it would be as a raw file."""
        if isinstance(self._lq, RawVideos):
            return with_depth(self.lq, 8).stem
        return Path(str(YUVName(self.name, self.width, self.height, len(self.indices)))).stem


@DATASETS.register()
class VideoClips:
    """Frames of damaged videos `lq` with their neighbors, and the clean frames `gt`.

    Each of both is a folder of raw files `<Name>_<W>x<H>_<Frames>.yuv`, a folder with a folder of frames for each
    video (Vimeo-90K), or an LMDB store of images `<video>/<frame>`, also in the layout of STDF-PyTorch, where each
    group of seven frames is a video of its own whose fourth is the target. Videos are paired by name; Vimeo's
    00001/0001 and the file 00001_0001.yuv are one. All frames of all videos are samples.

    A sample is the clip, (T, H, W, C), oldest first, and the clean frame of its middle; a window of one frame gives
    images, (H, W, C), for the networks of images. The group is the setting in the name of the folder lq ("qp37").

    Args:
        gt: clean videos; null when there are none.
        lq: damaged videos.
        window: the neighbors of a frame.
        patch: side of the random training crop, the same for all frames of a sample; null trains on whole frames.
        flip: random mirrors, left-right and up-down.
        rotate: random transposition; with flip all 8 flips and rotations, equally often.
        reverse: let time run backwards in every other training sample.
        color: "y" for luma, as raw files have it, "rgb" for color, of raw files by the matrix of their size or name.
        slice: [start, stop): which of the videos to use, in order of their names or of the list.
        list: text file with the name of a video in each line, such as sep_trainlist.txt of Vimeo-90K; null: all.
        max_frames: use the first frames of each video only, which gt and lq must both have; null: all, of which both
            must have the same number. Papers use 300.
        weighting: what is equally likely in training: all "frames", so that long videos dominate, or all "sequences".
        chroma: of raw files whose names do not say it, "400" (gray), "420", "422" or "444"; null: "420".
        depth: bits of raw files whose names do not say it; null: 8. Samples are of 8 bits, rounded.
        size: [width, height] of raw files without a size in their names.

    Raises:
        UserError: nothing to read, videos without partner or of other length, a slice outside of the set, an unknown
            name in the list, no frame left by the window; on reading a sample, a damaged file, sizes that do not
            match, or a frame smaller than the patch.
    """

    def __init__(
        self,
        *,
        gt: str | None,
        lq: str,
        window: Annotated[Any, Slot("window")] = {"type": "Sliding"},  # noqa: B006 - never changed
        patch: PositiveInt | None = None,
        flip: bool = False,
        rotate: bool = False,
        reverse: bool = False,
        color: Color = "y",
        slice: tuple[int, int] | None = None,
        list: str | None = None,
        max_frames: PositiveInt | None = None,
        weighting: Literal["frames", "sequences"] = "frames",
        chroma: Chroma | None = None,
        depth: Depth | None = None,
        size: tuple[PositiveInt, PositiveInt] | None = None,
    ) -> None:
        self._patch, self._flip, self._rotate, self._reverse = patch, flip, rotate, reverse
        self._color, self._weighting = color, weighting
        self._window: FrameWindow = create("window", window)
        listed = None if list is None else read_list(list)
        raw = RawFormat(chroma, depth, size, max_frames)
        self._lq = open_videos(lq, color, raw, kept=self._window.size + 1, only=listed)
        self._gt = None if gt is None else open_videos(gt, color, raw, only=listed)
        self._reopen = partial(open_videos, raw=raw, only=listed)
        names = take_slice(_select(self._lq, self._gt, listed, list), slice, list or lq, "videos")
        self._group, self._quality = read_setting(Path(lq).name)
        self.sequences = self._make_sequences(names, max_frames)
        self._starts = np.array([sequence.indices.start for sequence in self.sequences])

    def __len__(self) -> int:
        return self.sequences[-1].indices.stop

    def __getitem__(self, request: int | Draw) -> Sample:
        if isinstance(request, Draw):
            return self._random(request)
        sequence, place = self._locate(request)
        return self._clip(sequence, int(sequence.frames[place]))

    def planes(self, index: int) -> Frame | None:
        """The damaged frame of a sample, as its raw file has it; None where there is no raw file."""
        sequence, place = self._locate(index)
        frame = int(sequence.frames[place])
        return self._lq.frame(sequence.name, frame) if isinstance(self._lq, RawVideos) else None

    def _locate(self, index: int) -> tuple[VideoSequence, int]:
        """The video of a sample, and how many of the video's samples come before."""
        if not 0 <= index < len(self):
            raise IndexError(f"{index} is not one of the {len(self)} samples")
        sequence = self.sequences[int(np.searchsorted(self._starts, index, side="right")) - 1]
        return sequence, index - sequence.indices.start

    def _random(self, draw: Draw) -> Sample:
        sequence, frame = self._drawn(draw)
        height, width = self._lq.size(sequence.name, frame)
        box = None
        if self._patch is not None:
            if min(height, width) < self._patch:
                where = self._lq.where(sequence.name)
                raise UserError(f"{where} has {width}x{height} pixels, less than patch: {self._patch}; lower patch")
            box = random_crop(draw.seed, height, width, self._patch)
        symmetry = random_symmetry(draw.seed, self._flip, self._rotate)
        backwards = self._reverse and bool(random_between(mix(draw.seed, _REVERSE), 0, 1))
        return self._clip(sequence, frame, box, symmetry, backwards)

    def _drawn(self, draw: Draw) -> tuple[VideoSequence, int]:
        """The video and the frame of a training sample."""
        if self._weighting == "frames":
            sequence, place = self._locate(draw.index)
        else:
            sequence = self.sequences[draw.index * len(self.sequences) // len(self)]
            place = random_between(mix(draw.seed, _FRAME), 0, len(sequence.frames) - 1)
        return sequence, self._window.drawn(place, draw.seed, sequence.marked)

    def _clip(
        self,
        sequence: VideoSequence,
        frame: int,
        box: CropBox | None = None,
        symmetry: int = 0,
        backwards: bool = False,
    ) -> Sample:
        """A sample, its frames cut to the box and turned alike."""
        name = sequence.name
        indices = self._window.around(frame, sequence.marked)
        self._check_sizes(name, frame, indices)
        frames = [oriented(self._lq.read(name, index, box), symmetry) for index in indices]
        sample: Sample = {
            "lq": frames[0] if self._window.size == 1 else np.stack(frames[::-1] if backwards else frames),
            "name": f"{name}-{frame:05d}",
            "group": self._group,
            "quality": self._quality,
            "sequence": name,
            "frame": frame,
            "peak": sequence.marked.is_peak(frame),
        }
        if self._gt is not None:
            sample["gt"] = oriented(self._gt.read(name, self._clean(name, frame), box), symmetry)
        return sample

    def _clean(self, name: str, frame: int) -> int:
        """The number of a frame in gt, which may have one frame of each video only."""
        assert self._gt is not None
        return 0 if self._gt.count(name) == 1 else frame

    def _check_sizes(self, name: str, frame: int, indices: Iterable[int]) -> None:
        sizes = {index: self._lq.size(name, index) for index in indices}
        expected = sizes[frame] if self._gt is None else self._gt.size(name, self._clean(name, frame))
        for index, found in sizes.items():
            if found != expected:
                other = f"frame {frame} of {self._lq.where(name)}" if self._gt is None else self._gt.where(name)
                raise UserError(
                    f"frame {index} of {self._lq.where(name)} has {found[1]}x{found[0]} pixels and {other} "
                    f"{expected[1]}x{expected[0]}; all frames of a video must have the same size in gt and lq"
                )

    # ----------------------------------------------------------------------- construction

    def _make_sequences(self, names: Iterable[str], max_frames: int | None) -> list[VideoSequence]:
        sequences: list[VideoSequence] = []
        start = 0
        for name in names:
            marked = self._window.mark(self._track(name, max_frames))
            stop = start + len(marked.frames)
            if stop > start:
                sequences.append(VideoSequence(name, range(start, stop), marked, self._lq, self._gt))
            start = stop
        if not sequences:
            raise UserError(
                f"{self._lq.path}: the window leaves no frame of any video; use a smaller radius or inside: false"
            )
        return sequences

    def _track(self, name: str, max_frames: int | None) -> Track:
        length, target = self._common(name, max_frames)
        errors = None if self._gt is None else partial(self._errors, name, length)
        where, stem, file = self._lq.where(name), self._lq.stem(name), self._lq.file(name)
        return Track(where, name, stem, file, length, target, errors)

    def _common(self, name: str, max_frames: int | None) -> tuple[int, int | None]:
        """How many frames lq and gt have in common, or of how many gt has which one.

        Raises:
            UserError: they should have more in common.
        """
        where, count = self._lq.where(name), self._lq.count(name)
        if self._gt is None:
            return min(count, max_frames or count), None
        clean = self._gt.count(name)
        stems, clean_stems = self._lq.stems(name), self._gt.stems(name)
        if clean == 1 < count and stems and clean_stems:
            if clean_stems[0] not in stems:
                raise UserError(f"{where} has no frame {clean_stems[0]}, the one that gt has; build both again")
            return count, stems.index(clean_stems[0])
        length, most = (min(end, max_frames or end) for end in (min(count, clean), max(count, clean)))
        if length < most:
            raise UserError(
                f"{where} has {count} frames and {self._gt.where(name)} {clean}; if the rest was left out on purpose, "
                f"set max_frames: {length}"
            )
        if stems and clean_stems and stems[:length] != clean_stems[:length]:
            place = next(place for place in range(length) if stems[place] != clean_stems[place])
            raise UserError(
                f"frame {place} is called {stems[place]} in {where} and {clean_stems[place]} in "
                f"{self._gt.where(name)}; gt and lq need frames of the same names"
            )
        return length, None

    @cached_property
    def _luma(self) -> list[Videos]:
        """lq and gt in gray."""
        assert self._gt is not None
        videos = [self._lq, self._gt]
        return videos if self._color == "y" else [self._reopen(one.path, "y") for one in videos]

    def _errors(self, name: str, length: int) -> np.ndarray:
        """The mean squared error of the luma of the first frames."""
        pairs = ([videos.read(name, frame) for videos in self._luma] for frame in range(length))
        return np.array([np.square(np.subtract(lq, gt, dtype=np.int32)).mean() for lq, gt in pairs])


def read_list(path: str) -> list[str]:
    """The sequences listed in a text file: the first word of each line; lines that begin with # are comments.

    Raises:
        UserError: the file cannot be read or names nothing.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UserError(f"list: cannot read {path}: {reason}") from None
    names = [line.split()[0] for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not names:
        raise UserError(f"list: {path} names no video; each line begins with one")
    return names


def _select(lq: Videos, gt: Videos | None, listed: Sequence[str] | None, path: str | None) -> list[str]:
    """The names of the videos to use.

    Raises:
        UserError: a name in the list that lq does not have or that comes twice, or a video without partner.
    """
    names = lq.names() if listed is None else listed_videos(listed, lq, path)
    if gt is not None:
        known, clean = set(names), gt.names()
        partners = set(clean)
        lonely = [name for name in names if name not in partners]
        check_paired(lonely, len(names), lq.path, len(clean), gt.path, "videos")
        if listed is None:
            lonely = [name for name in clean if name not in known]
            check_paired(lonely, len(clean), gt.path, len(names), lq.path, "videos")
    return names


def listed_videos(listed: Sequence[str], videos: Videos, path: str | None) -> list[str]:
    """The videos that a list names, with or without the size and the number of frames in a raw file's name.

    Raises:
        UserError: a name that is not there, that comes twice or that can be two videos; `path` is that of the list.
    """
    names = dict.fromkeys(videos.names())
    short: dict[str, list[str]] = {}
    for name in names:
        short.setdefault(_SIZE.sub("", name), []).append(name)
    found: dict[str, None] = {}
    for entry in listed:
        name = sequence_name(entry)
        candidates = [name] if name in names else short.get(name, [])
        if len(candidates) > 1:
            raise UserError(f"list: {path} names {entry}, which can be {' or '.join(candidates)}; write the whole name")
        if not candidates:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
            raise UserError(f"list: {path} names {entry}, which is not in {videos.path}; the nearest is {near[0]}")
        if candidates[0] in found:
            raise UserError(f"list: {path} names {candidates[0]} twice")
        found[candidates[0]] = None
    return [*found]
