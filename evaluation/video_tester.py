"""Testing on videos: frame by frame, each video on one rank; an interrupted test is continued.

Files in the experiment's folder: test_video_enhanced/<set>/<as the compressed file>.yuv (option test.if_save_im),
results.json, frames.csv, sequences.csv, summary.md, curves/<set>/<video>.png, and the working files in .video_test/.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from powerqe.dataset.loader import Batch, collate, to_device
from powerqe.dataset.peaks import local_peaks
from powerqe.evaluation.computing_code import code_hash
from powerqe.evaluation.evaluate import Enhance, Metrics, home, judge
from powerqe.evaluation.partial_results import write_partial
from powerqe.evaluation.video_curves import draw_curves
from powerqe.evaluation.video_progress import Fingerprint, FrameScores, Saved, VideoWork
from powerqe.evaluation.video_results import VideoReport, write_report
from powerqe.evaluation.video_scores import VideoScores
from powerqe.inference.tiled import enhancer
from powerqe.inference.video_frames import WriteQueue
from powerqe.net.measure.clock import with_seconds
from powerqe.utils.errors import UserError
from powerqe.utils.file_names import file_name
from powerqe.utils.launcher import Place
from powerqe.utils.log import logger, progress_bar
from powerqe.utils.options.tree import Options
from powerqe.utils.ranks import Ranks
from powerqe.utils.shards import WHOLE, Part, Shard
from powerqe.utils.video.frame_records import FrameInfo, frames_path, read_record
from powerqe.utils.video.pixels import FramePixels
from powerqe.utils.video.yuv import Frame

_COMPUTING = tuple(each.__module__ for each in (judge, enhancer, FramePixels, FrameScores))
"""Modules that determine the scores and frames of every test, in addition to those of its components."""


class ByPeak:
    """Two networks for the frames of a video, as in MFQE 2.0.

    Args:
        others: for all frames; with `peaks`, for those that are no PQF.
        peaks: for PQFs.
    """

    def __init__(self, others: Enhance, peaks: Enhance | None = None) -> None:
        self._others, self._peaks = others, peaks
        self.on_cpu: bool = getattr(others, "on_cpu", False)
        self._ready: set[Any] = set()

    def __call__(self, batch: Batch) -> Any:
        """The output of the network for this frame.

        Raises:
            UserError: there are two networks and the data set has no PQF labels.
        """
        return self._chosen(batch)(batch)

    def warm_up(self, batch: Batch) -> None:
        """Run the network once per frame size before timing: memory, kernels, code paths."""
        enhance = self._chosen(batch)
        key = (id(enhance), batch["lq"].shape)
        if key not in self._ready:
            self._ready.add(key)
            enhance(batch)

    def _chosen(self, batch: Batch) -> Enhance:
        if self._peaks is None:
            return self._others
        peak = int(batch["peak"]) if "peak" in batch else -1
        if peak < 0:
            raise UserError(
                "test.peaks_ckp_load_path: the data set has no PQF labels; give it "
                "window: {type: PeakFrames} or {type: Sliding, source: qp}, or leave the option out"
            )
        return self._peaks if peak else self._others


@dataclass(frozen=True)
class _Job:
    """One video of a test set."""

    set: str
    dataset: Any
    video: Any

    @property
    def cost(self) -> int:
        return self.video.width * self.video.height * len(self.video.indices)


@torch.inference_mode()
def test_videos(
    options: Options,
    ranks: Ranks,
    datasets: dict[str, Any],
    enhance: ByPeak,
    facts: dict[str, Any],
    shard: Shard = WHOLE,  # noqa: PT028 - no pytest
) -> VideoReport:
    """Enhance and score every frame of the videos once; write the files listed above.

    Args:
        options: of the experiment.
        ranks: among which the videos are distributed, those with most pixels first.
        datasets: by name, indexed by frame; their `sequences` list the frames of each video.
        enhance: the network.
        facts: what was tested (evaluation/provenance.py), for the results and the fingerprint.
        shard: of the videos; its results are written as in evaluation/partial_results.py.

    Raises:
        UserError: a metric of sets, wrong data, or another process that tests the same.
    """
    metrics = Metrics(options.test.criterion)
    _check(metrics)
    jobs = [_Job(name, dataset, video) for name, dataset in datasets.items() for video in dataset.sequences]
    costs = [job.cost for job in jobs]
    part = Part(shard, Place(ranks.rank, ranks.local_rank, ranks.world_size))
    mine = sorted(part.of(costs), key=lambda number: -costs[number])
    test = _Test(options, ranks, metrics, enhance, facts)
    total = sum(len(jobs[number].video.indices) for number in mine)
    with progress_bar(None, "frames", total, ranks.is_main, leave=False) as bar:
        found = {number: test.run(jobs[number], bar) for number in mine}
    parts = ranks.gather((found, metrics.unavailable, test.taken_over))
    for scores, unavailable, _ in parts:
        found |= scores
        metrics.unavailable |= unavailable
    numbers = part.of_shard(costs)
    report = VideoReport(options.name, [found[number] for number in numbers], metrics, facts)
    if ranks.is_main:
        if taken_over := sum(count for *_, count in parts):
            logger.info(f"{taken_over} of {sum(len(job.video.indices) for job in jobs)} frames are reused from an "
                        "earlier test; test.if_continue=false tests them again")  # fmt: skip
        if shard.count > 1:
            write_partial(options, shard, report, {"": (numbers, len(jobs))})
            return report
        write_report(report, options.folder)
        draw_curves(report, options.folder / "curves")
    return report


class _Test:
    """State shared by the videos of a test."""

    def __init__(
        self, options: Options, ranks: Ranks, metrics: Metrics, enhance: ByPeak, facts: dict[str, Any]
    ) -> None:
        self._options, self._device, self._metrics, self._enhance = options, ranks.device, metrics, enhance
        self._facts = facts
        self.taken_over = 0
        """Number of frames reused from an earlier test."""

    def run(self, job: _Job, bar: Any) -> VideoScores:
        """Test the frames of a video that are not done yet."""
        video, first = job.video, job.dataset[job.video.indices.start]
        coded, codec = _description(video)
        with self._work(job) as work, WriteQueue(1) as scoring:
            self.taken_over += len(work.rows)
            bar.update(len(work.rows))
            for place in range(len(work.rows), len(video.indices)):
                self._frame(job, place, work, scoring)
                bar.update()
            scoring.wait()
            if not work.is_finished:
                work.finish()
        height, width, channels = first["lq"].shape[-3:]
        rows = _with_peaks(work.rows, coded)
        return VideoScores(
            job.set, first["group"], video.name, width, height, channels, str(video.lq), rows, coded, codec
        )

    def _frame(self, job: _Job, place: int, work: VideoWork, scoring: WriteQueue) -> None:
        """Read it while the one before is scored; the network, whose time counts, has the machine to itself."""
        batch = to_device(collate([job.dataset[job.video.indices[place]]]), home(self._enhance, self._device))
        scoring.wait()
        self._enhance.warm_up(batch)
        output, taken = with_seconds(lambda: self._enhance(batch), self._device)
        scoring.do(self._score, job, place, work, batch, output, taken)

    @torch.inference_mode()  # which is a thread's own
    def _score(self, job: _Job, place: int, work: VideoWork, batch: Batch, output: Any, taken: float) -> None:
        record, result = judge(batch, self._metrics, output)
        assert result is not None
        peak = int(batch["peak"]) if "peak" in batch else -1
        before, after = ({name: float(value) for name, value in part.items()}
                         for part in (record.baseline, record.result))  # fmt: skip
        row = FrameScores(int(job.video.frames[place]), peak, before, after, taken)
        saved = _frame_of(result, job, job.video.indices[place]) if self._options.test.if_save_im else None
        work.add(row, saved)

    def _work(self, job: _Job) -> VideoWork:
        test, video = self._options.test, job.video
        saved = None
        if test.if_save_im:
            folder = self._options.folder / "test_video_enhanced" / file_name(job.set)
            name = file_name(video.enhanced_stem, f".{test.video_format}")
            saved = Saved(folder / name, video.enhanced_pixels(1).geometry)
        path = self._options.folder / ".video_test" / file_name(job.set) / file_name(video.name)
        frames = [int(frame) for frame in video.frames]
        return VideoWork(path, frames, self._fingerprint(job), saved, anew=not test.if_continue)

    def _fingerprint(self, job: _Job) -> Fingerprint:
        """Everything that determines the scores and the enhanced frames of a video."""
        files, description = [job.video.lq, job.video.gt], frames_path(job.video.lq)
        if description.is_file():
            files.append(description)
        peaks = job.video.marked.peaks
        weights = {name: each["sha256"] for name, each in self._facts["weights"].items()}
        options, test = self._options, self._options.test
        data = options.dataset.test[job.set]
        known = ("network", "parameters", "test", "device", "precision", "versions")
        return {
            "facts": {key: self._facts[key] for key in known},
            "weights": weights,
            "data": data.model_dump(mode="json", serialize_as_any=True),
            "files": [_state(file) for file in files],
            "peaks": None if peaks is None else np.asarray(peaks).tolist(),
            "criterion": {name: each.model_dump(mode="json", serialize_as_any=True)
                          for name, each in test.criterion.items()},
            "available": sorted(self._metrics.metrics),
            "code": code_hash(_COMPUTING, options.network, data, test.criterion),
        }  # fmt: skip


def _frame_of(result: Tensor, job: _Job, index: int) -> Frame:
    """The enhanced frame of a sample: enhanced luma with the chroma of the compressed frame, or RGB.

    Raises:
        UserError: an image of another size than the video, or neither gray nor RGB.
    """
    channels, height, width = result.shape[1:]
    pixels = job.video.enhanced_pixels(channels)
    geometry = pixels.geometry
    if (width, height) != (geometry.width, geometry.height) or channels not in (1, 3):
        raise UserError(
            f"the network makes {width}x{height} pixels with {channels} channels of a video of "
            f"{geometry.width}x{geometry.height}, which cannot be saved; set test.if_save_im=false"
        )
    return pixels.restored(result, job.dataset.planes(index))


def _check(metrics: Metrics) -> None:
    if sets := [name for name in metrics.names if metrics.judges_sets(name)]:
        raise UserError(f"test.criterion: {', '.join(sets)} judges sets of images, not frames of videos; leave it out")


def _description(video: Any) -> tuple[list[FrameInfo] | None, dict[str, Any]]:
    """The record of each tested frame, and how the video was coded; None and {} if there is no `.frames.json`."""
    path = frames_path(video.lq)
    if not path.is_file():
        return None, {}
    codec, frames = read_record(path)
    if len(frames) <= (last := int(video.frames[-1])):
        raise UserError(f"{path} describes {len(frames)} frames, but {video.lq} has {last + 1}; make both again")
    return [frames[int(frame)] for frame in video.frames], codec


def _with_peaks(rows: list[FrameScores], coded: Sequence[FrameInfo] | None) -> list[FrameScores]:
    """Mark the frames of locally lowest QP as PQFs, if the data set has no PQF labels."""
    if coded is None or any(row.peak >= 0 for row in rows):
        return rows
    peaks = set(local_peaks(np.array([-frame.qp for frame in coded])).tolist())
    return [row._replace(peak=int(place in peaks)) for place, row in enumerate(rows)] if peaks else rows


def _state(path: Path | None) -> list[Any]:
    """Path, size and time of modification of a file; of a folder or store, total size and newest modification."""
    place = path
    while place is not None and not place.exists():  # a name in a store
        place = place.parent
    if place is None:
        return []
    states = [entry.stat() for entry in ([place, *place.iterdir()] if place.is_dir() else [place])]
    return [str(path), sum(state.st_size for state in states), max(state.st_mtime_ns for state in states)]
