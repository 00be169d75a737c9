"""Many files: as many images at once as there are cores, from file to file, and results in the order of the names.

Images of `_MOST` pixels in all are in memory at once, with about 35 bytes for each pixel besides the maps of the
networks, which are bounded (inference/within_memory.py); fewer if memory is short. A larger image is alone, for which
3 bytes may be enough (inference/enhance_bands.py), and so is a video, which is read and written while it is enhanced
(inference/enhance_video.py).
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from powerqe.inference.choose import choose, choose_for_video, description_of, installed_weights
from powerqe.inference.comparison import draw_comparison
from powerqe.inference.consistency import declined
from powerqe.inference.enhance_image import enhance_photo
from powerqe.inference.inference_options import InferenceOptions
from powerqe.inference.model import Model
from powerqe.inference.result_names import EnhanceJob, check_sources
from powerqe.inference.turns import Turns
from powerqe.utils.codecs.jpeg_tables import nearest_quality
from powerqe.utils.errors import UserError, failure
from powerqe.utils.figures import drawable
from powerqe.utils.image.decode import pixel_count
from powerqe.utils.image.photo import Photo, read_photo
from powerqe.utils.image.write import losses, misfit, write_photo
from powerqe.utils.log import progress_bar
from powerqe.utils.memory import available_memory
from powerqe.utils.work_ahead import work_ahead

if TYPE_CHECKING:
    from powerqe.inference.enhance_video import CompressionInfo
    from powerqe.utils.video.video_file import VideoFile

_MOST = 1 << 26
"""Pixels of all images that are in memory at once."""
_BYTES_PER_PIXEL = 100
"""Of free memory, for each of these."""
_TITLE = 28
"""Characters of a name above an image."""
_drawing = threading.Lock()  # matplotlib is for one thread at a time


@dataclass(frozen=True)
class Result:
    """What became of a file.

    Attributes:
        job: the file.
        error: why nothing became of it; empty if something did.
        exists: whether that is because a result exists, of an earlier run or of another process.
        summary: one line: size, quality, weights, seconds, the file that was written.
    """

    job: EnhanceJob
    error: str = ""
    exists: bool = False
    summary: str = ""


class ExistsError(UserError):
    """A result exists already."""


class Models:
    """The loaded networks, each loaded once.

    Args:
        weights: for all files, a name or a path; None: selected per file.
        options: inference options.
        period: every `period`-th frame of videos is of peak quality; None: from `<stem>.frames.json`.

    Raises:
        UserError: see `Model`; immediately, if weights are given.
    """

    def __init__(self, weights: str | None, options: InferenceOptions, period: int | None = None) -> None:
        self._weights, self._options, self._period = weights, options, period
        self._load = cache(lambda name: Model(name, options))
        self._installed = cache(installed_weights)  # reads the indexes once, not for every image
        self._one = threading.Lock()  # of the threads imports and builds networks
        if weights is not None:
            self._load(weights)

    def of(self, photo: Photo) -> tuple[Model, str]:
        """The network for an image, and a remark on the choice."""
        if self._weights is not None:
            return self._load(self._weights), ""
        description = description_of(photo, takes_qf=self._options.qf is not None)
        with self._one:
            entry, remark = choose(description, self._installed())
            return self._load(entry.name), remark

    def declines(self, photo: Photo) -> str:
        """Why an image stays as it is, see `declined`; never of given weights."""
        is_free = self._weights is None and not self._options.force_enhance
        return declined(photo) if is_free else ""

    def for_video(self, video: "VideoFile") -> tuple[Model, "CompressionInfo", str]:
        """The network for a video, what is known of the video's compression, and a remark on the choice."""
        from powerqe.inference.enhance_video import CompressionInfo, compression_info

        if self._weights is not None:
            model = self._load(self._weights)
            return model, compression_info(video, self._period) if model.needs_peaks else CompressionInfo(), ""
        coding = compression_info(video, self._period)
        # QPs give more peaks than the published MFQE weights were trained for: other networks do better.
        entry, remark = choose_for_video(
            coding.qp, self._period is not None, self._options.qf is not None, self._installed()
        )
        return self._load(entry.name), coding, remark

    def check(self, jobs: Sequence[EnhanceJob]) -> None:
        """Raise `UserError` if the given weights are for videos and there are images only."""
        if self._weights is None or any(job.is_video for job in jobs):
            return
        if (model := self._load(self._weights)).takes_clips:
            raise UserError(f"{model.method} ({model.name}) is for videos; choose weights for images")


def enhance_files(
    jobs: Sequence[EnhanceJob],
    models: Models,
    on_result: Callable[[Result], None],
    *,
    force: bool = False,
    compare: bool = False,
    crf: float | None = None,
) -> None:
    """Enhance files. A file that fails does not stop the others.

    Args:
        on_result: called with the result of each file, in order.
        force: overwrite existing files, which are errors otherwise.
        compare: also draw a comparison for each result.
        crf: x265's constant rate factor for videos; None: lossless.
    """
    most = min(_MOST, available_memory() // _BYTES_PER_PIXEL)
    cores = min(torch.get_num_threads(), len(jobs))
    threads = cores + 2  # for one that is read and one that is written
    settings = _Settings(models, Turns(cores), force, compare, crf)
    results = work_ahead(
        partial(_enhance_file, settings=settings),
        jobs,
        threads,
        ahead=2 * threads - 1,
        weigh=lambda job: most if job.is_video or len(jobs) == 1 else pixel_count(job.source),
        limit=most,
    )
    with closing(results):
        for result in results:
            on_result(result)


class _Settings(NamedTuple):
    """What is settings of all files, see `enhance_files`."""

    models: Models
    turns: Turns
    force: bool
    compare: bool
    crf: float | None


class _Enhanced(NamedTuple):
    """before, after: for the comparison, with titles. facts, notes: of the summary."""

    before: Photo
    after: Photo
    titles: tuple[str, str]
    facts: str
    notes: list[str]


def _enhance_file(job: EnhanceJob, settings: _Settings) -> Result:
    """From file to file; a failure is a result, too."""
    try:
        for target in job.results(settings.compare):
            _check_free(target, settings.force)
        with settings.turns.use():
            if job.is_video:
                return _write(job, _enhance_video(job, settings), settings)
            return _write(job, _enhance_photo(job, read_photo(job.source), settings), settings)
    except Exception as error:
        return Result(job, failure(error, job.source, job.target), isinstance(error, ExistsError))


def _enhance_photo(job: EnhanceJob, photo: Photo, settings: _Settings) -> _Enhanced:
    height, width = photo.pixels.shape[:2]
    size, models, turns = f"{width}x{height}", settings.models, settings.turns
    if reason := models.declines(photo):
        return _Enhanced(photo, photo, ("before", "after: unchanged"), size, [reason, *photo.notes])
    model, remark = models.of(photo)
    with turns.turn(height * width, alone=not model.fits(turns.most, height * width)):
        start = time.perf_counter()  # without the loading of weights, which only the first image waits for
        title, in_place = drawable(job.source.name, _TITLE), not settings.compare
        enhanced, tiling = enhance_photo(photo, model, str(job.source), title, in_place=in_place), model.tiling
        seconds = time.perf_counter() - start
    found = describe_quality(photo, enhanced.estimates)
    facts = [size, *found, model.name, f"{seconds:.1f} s"]
    notes = [remark, *enhanced.notes, model.note, tiling]
    return _Enhanced(enhanced.before, enhanced.photo, _titles(job, model, found), ", ".join(facts), notes)


def _enhance_video(job: EnhanceJob, settings: _Settings) -> _Enhanced:
    """With all frames written."""
    from powerqe.inference.enhance_video import enhance_video
    from powerqe.utils.video.video_file import open_video_file

    video = open_video_file(job.source)
    model, coding, remark = settings.models.for_video(video)
    torch.set_num_threads(settings.turns.cores)
    start = time.perf_counter()
    with progress_bar(None, drawable(job.source.name, _TITLE), video.count, True, leave=False, unit="frame") as bar:
        enhanced = enhance_video(video, model, job.target, coding.peaks, crf=settings.crf, on_frame=bar.update)
    seconds = time.perf_counter() - start
    rate = [] if video.rate is None else [f"{float(video.rate):.4g} frames/s"]
    facts = [f"{video.geometry.width}x{video.geometry.height}", f"{enhanced.count} frames", *rate, model.name,
             f"{seconds:.1f} s ({enhanced.count / seconds:.3g} frames/s)"]  # fmt: skip
    notes = [remark, *enhanced.notes, model.note, model.tiling]
    return _Enhanced(
        enhanced.before, enhanced.after, _titles(job, model, [f"frame {enhanced.shown + 1}"]), ", ".join(facts), notes
    )


def _titles(job: EnhanceJob, model: Model, facts: list[str]) -> tuple[str, str]:
    before = ", ".join([f"before: {drawable(job.source.name, _TITLE)}", *facts])
    return before, f"after: {drawable(model.name, _TITLE)}"


def _write(job: EnhanceJob, done: _Enhanced, settings: _Settings) -> Result:
    """Write an image; a video is there. And the comparison."""
    target, notes = job.target, done.notes
    if not job.is_video:
        target, reason = _fitting(job, done.after, settings.force)
        notes = [*notes, reason, losses(done.after, target.suffix)]
        write_photo(target, done.after)
    if settings.compare:
        with _drawing:
            draw_comparison(job.comparison, done.before, done.after, done.titles)
    notes = [note for note in notes if note]
    remarks = f" ({'; '.join(notes)})" if notes else ""
    return Result(job, summary=f"{job.source}: {done.facts} -> {target}{remarks}")


def _fitting(job: EnhanceJob, photo: Photo, force: bool) -> tuple[Path, str]:
    """The name of the result, or one of a format that can hold it, and why it is that."""
    reason = misfit(photo, job.target.suffix)
    target = job.target if not reason else job.spare or job.target.with_suffix(".png")
    _check_free(target, force)
    check_sources([job._replace(target=target)])
    return target, f"{reason}: saved as PNG" if reason else ""


def _check_free(target: Path, force: bool) -> None:
    if target.exists() and not force:
        raise ExistsError(f"{target} exists already; use --force to overwrite")


def describe_quality(photo: Photo | None, estimates: Mapping[str, float]) -> list[str]:
    """Quality of an image by its JPEG tables, and as estimated by the network, as texts."""
    found = []
    if photo is not None and photo.tables is not None:
        quality, is_exact = nearest_quality(photo.tables)
        found.append(f"JPEG quality {'' if is_exact else 'about '}{quality}")
    if "qf" in estimates:
        found.append(f"looks like JPEG quality {estimates['qf']:.0f}")
    return found
