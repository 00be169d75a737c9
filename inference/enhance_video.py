"""One video through one model, frame after frame. Decoding, the network and encoding happen at the same time, each in
its thread; others make images of frames, and frames of results.

In memory are the frames of a window and a few that wait, never the whole video. The pixels are those of `powerqe test`
in the same precision.
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from powerqe.dataset.peaks import local_peaks
from powerqe.inference.model import Model
from powerqe.inference.video_frames import WriteQueue, windows
from powerqe.utils.errors import UserError
from powerqe.utils.image.photo import Photo
from powerqe.utils.video.frame_records import frames_path, read_record
from powerqe.utils.video.pixels import FramePixels
from powerqe.utils.video.suffixes import is_raw
from powerqe.utils.video.video_file import (
    RAW_RATE,
    VideoFile,
    VideoFileWriter,
    named_depth,
    open_video_file,
    video_file_writer,
)
from powerqe.utils.video.yuv import Frame, Geometry
from powerqe.utils.work_ahead import prefetch, work_ahead

_WAITING = 2
"""Frames, or windows of frames, that wait before the network and behind it."""
_THREADS = 4
"""That convert frames, and as many that convert results, at most: on GPUs the network is faster than one of them."""
_SMALL = 1 << 20
"""Pixels of a frame: for larger ones all cores are as fast, and several at once take more memory."""
_ORIENTATIONS = {90: 8, 180: 3, 270: 6}
"""EXIF's number for what a display matrix turns, in degrees counterclockwise."""


class CompressionInfo(NamedTuple):
    """What is known of how a video was compressed.

    qp: its quantization parameter; None if that is not known. peaks: the numbers of the frames of peak quality,
    ascending; None likewise.
    """

    qp: int | None = None
    peaks: np.ndarray | None = None


@dataclass(frozen=True)
class EnhancedVideo:
    """A video after its enhancement.

    Attributes:
        count: frames that were enhanced.
        before, after: one in the middle, for a comparison.
        shown: its number, from 0.
        notes: what the user should know.
    """

    count: int
    before: Photo
    after: Photo
    shown: int
    notes: tuple[str, ...]


def compression_info(video: VideoFile, period: int | None = None) -> CompressionInfo:
    """The compression of a video, from `<stem>.frames.json` in its folder.

    Args:
        period: every `period`-th frame is of peak quality, from the first on; None: from the description.

    Raises:
        UserError: a description that is damaged or has fewer frames than the video.
    """
    path, qp, peaks = frames_path(video.path), None, None
    if path.is_file():
        record, frames = read_record(path)
        if len(frames) < video.count:
            raise UserError(f"{path} describes {len(frames)} frames, the video has {video.count}; make it again")
        qp = record.get("qp")
        peaks = local_peaks(np.array([-frame.qp for frame in frames[: video.count]], np.float64))
    if period is not None:
        peaks = np.arange(0, video.count, period)
    return CompressionInfo(qp if isinstance(qp, int) else None, peaks if peaks is not None and len(peaks) else None)


def enhance_video(
    video: VideoFile,
    model: Model,
    target: Path,
    peaks: np.ndarray | None = None,
    *,
    crf: float | None = None,
    on_frame: Callable[[], Any] = lambda: None,
) -> EnhancedVideo:
    """Enhance a video. The file appears when it is whole.

    Args:
        target: name of the result, see `video_file_writer`.
        peaks: the numbers of the frames of peak quality, for a model that needs them.
        crf: see `VideoWriter`.
        on_frame: is called for each frame that is enhanced.

    Raises:
        UserError: a damaged video, or a model or a target that does not suit it.
    """
    _check(video, model, peaks)
    if is_raw(target) and video.color.is_rgb:
        video = open_video_file(video.path, rgb=False)
    depth = min(video.geometry.depth, named_depth(target)) if is_raw(target) else video.geometry.depth
    pixels = FramePixels(model.channels, video.geometry._replace(depth=depth), video.color)
    work, cores = _Work(video, model, pixels, target), torch.get_num_threads()
    threads = max(1, min(_THREADS, cores - 1))
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, cores)
        pool = stack.enter_context(ThreadPoolExecutor(threads, "pixels"))
        source = stack.enter_context(closing(prefetch(_given(video, model, pixels, peaks, threads), _WAITING)))
        lq, first = next(source)
        result = work.enhanced(lq)  # it tells the size, also if the frame is done
        made = video_file_writer(target, pixels.made(result), video, crf, _job(model, peaks))
        writer = stack.enter_context(made)
        writing = stack.enter_context(WriteQueue(_WAITING))
        at_once = _at_once(model, video.geometry, cores)

        def enhanced(numbered: tuple[int, tuple[np.ndarray, _Item]]) -> tuple[torch.Tensor | None, _Item]:
            number, (lq, item) = numbered
            return None if number < writer.done else work.enhanced(lq, cores // at_once), item

        others = work_ahead(enhanced, enumerate(source, 1), at_once if at_once > 1 else 0)
        for output, item in chain([(result, first)], stack.enter_context(closing(others))):
            restored = None if output is None else pool.submit(pixels.restored, output, item.frame, item.given)
            writing.do(work.write, writer, restored, item)
            on_frame()
    return work.summary(writer)


class _Item(NamedTuple):
    """A frame, what the network gets of it (`FramePixels.given`), and when it is shown."""

    frame: Frame
    given: np.ndarray
    time: int | None


class _Work:
    """What is done with each frame, and what is kept of it."""

    def __init__(self, video: VideoFile, model: Model, pixels: FramePixels, target: Path) -> None:
        self._video, self._model, self._pixels, self._target = video, model, pixels, target
        self._count = 0
        self._shown: tuple[int, Frame, Frame] | None = None

    def enhanced(self, lq: np.ndarray, cores: int | None = None) -> torch.Tensor:
        """(1, C, H, W) of what the network gets, (C, H, W) or (T, C, H, W), computed by so many cores or all."""
        if cores is not None:
            torch.set_num_threads(cores)
        result, _ = self._model({"lq": torch.from_numpy(lq)[None]})
        if self._model.channels == 1 and result.shape[-2:] != lq.shape[-2:]:
            raise UserError(
                f"{self._model.name} enlarges luma, so that the chroma would not fit; choose weights for RGB"
            )
        return result

    def write(self, writer: VideoFileWriter, restored: Future[Frame] | None, item: _Item) -> None:
        """The restored frame; None: it is done."""
        made = None if restored is None else restored.result()
        writer.write(made, item.time)
        if self._shown is None or self._count == self._video.count // 2:
            self._shown = self._count, item.frame, made or writer.frame(self._count)
        self._count += 1

    def summary(self, writer: VideoFileWriter) -> EnhancedVideo:
        assert self._shown is not None
        number, before, after = self._shown
        return EnhancedVideo(self._count, self._photo(before), self._photo(after), number, tuple(self._notes(writer)))

    def _notes(self, writer: VideoFileWriter) -> Iterator[str]:
        yield from self._video.notes
        if self._count < self._video.count:
            yield f"its {self._video.count} packets became {self._count} frames"
        if writer.done:
            yield f"the first {writer.done} frames were done before"
        if self._pixels.geometry.depth < self._video.geometry.depth:
            yield f"{self._video.geometry.depth} bits were rounded to {self._pixels.geometry.depth}"
        if self._model.channels == 1:
            yield "weights for luma: the chroma stays as it was"
        if self._video.rate is None and not is_raw(self._target):
            yield f"{RAW_RATE} frames/s, as raw files have no frame rate"
        if writer.left_out:
            yield f"without {', '.join(writer.left_out)}"

    def _photo(self, frame: Frame) -> Photo:
        """As players show it."""
        return Photo(self._pixels.shown(frame), orientation=_orientation(self._video.metadata.matrix))


def _job(model: Model, peaks: np.ndarray | None) -> dict[str, Any]:
    """What enhanced frames depend on besides the video."""
    digest = hashlib.sha256(repr(model.network).encode())
    for name, tensor in model.network.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    device = f"{model.options.torch_device}, PyTorch {torch.__version__}"
    marks = None if peaks is None else peaks.tolist()
    return {"network": digest.hexdigest(), "options": repr(model.options), "device": device, "peaks": marks}


def _check(video: VideoFile, model: Model, peaks: np.ndarray | None) -> None:
    if model.needs_tables:
        raise UserError(f"{model.name} needs the tables of a JPEG file, which a video has not; choose other weights")
    if model.needs_peaks and peaks is None:
        raise UserError(
            f"{model.name} needs to know the frames of peak quality: from {frames_path(video.path).name} next to the "
            "video, as `powerqe data compress-video` writes it with a pattern of QPs, or by --pqf-period N, if it is "
            "every N-th frame from the first on"
        )


def _at_once(model: Model, geometry: Geometry, cores: int) -> int:
    """How many frames the network computes at once, after its first. On a CPU small ones, each with its share of the
    cores, are faster; as that can change the last bit of a result, not in float32, which is for exactness."""
    pixels = geometry.width * geometry.height
    if model.options.torch_device.type != "cpu" or model.precision == "fp32" or pixels > _SMALL:
        return 1
    return next(count for count in range(cores, 0, -1) if count == 1 or model.fits(count, pixels))


def _given(
    video: VideoFile, model: Model, pixels: FramePixels, peaks: np.ndarray | None, threads: int
) -> Iterator[tuple[np.ndarray, _Item]]:
    """For each frame what the network gets, (C, H, W) or (T, C, H, W), and the frame itself."""

    def item(read: tuple[Frame, int | None]) -> _Item:
        frame, time = read
        return _Item(frame, pixels.given(frame), time)

    items = work_ahead(item, video.frames(), threads if threads > 1 else 0, ahead=threads - 1)
    for window in windows(items, model.window, peaks):
        middle = window[len(window) // 2]
        yield (np.stack([one.given for one in window]) if model.takes_clips else middle.given), middle


def _orientation(matrix: tuple[int, ...] | None) -> int:
    """EXIF's number for a display matrix that turns by a multiple of 90 degrees; 1 for all others."""
    if matrix is None:
        return 1
    degrees = round(np.degrees(np.arctan2(matrix[1], matrix[0])))
    return _ORIENTATIONS.get(-degrees % 360, 1)
