"""The scores of a video, and of several videos, from the scores of single frames.

Means are over the frames that have a finite value before and after, so that the difference of the means is the mean of
the differences; `left_out` counts the others. `fluctuation` has the quality fluctuation of
the first PSNR among the metrics (utils/metrics/fluctuation.py), NaN where it is undefined: `sd`, `pvd` and `ps` after
enhancement and, with `_lq`, before; `pvd_at_lq`, after enhancement at the peaks and valleys of the compressed video;
`delta_peaks` and `delta_others`, the gain of PQFs and of the other frames.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from powerqe.evaluation.evaluate import Metrics, labeled, mean
from powerqe.evaluation.jct_vc import class_of, size_of
from powerqe.evaluation.results import Average, Scores, Video
from powerqe.evaluation.video_progress import FrameScores
from powerqe.utils.metrics.fluctuation import deviation, peak_separation, peak_valley_difference
from powerqe.utils.video.frame_records import FrameInfo


def key_of(metric: str) -> str:
    """The column name of a metric: `PSNR-float` -> `psnr_float`."""
    return re.sub(r"\W+", "_", metric.lower())


def main_metric(metrics: Metrics) -> str | None:
    """The metric of fluctuations and curves: the first in dB."""
    return next((name for name in metrics.names if metrics.unit(name) == "dB"), None)


@dataclass(frozen=True)
class VideoScores:
    """A video as it was tested.

    set, group: test set and setting ("qp37"). name: as in the data set. lq: the compressed file. frames: in order.
    coded: type, QP and bits of each, None if unknown. codec: how the video was coded, from `<stem>.frames.json`.
    """

    set: str
    group: str
    name: str
    width: int
    height: int
    channels: int
    lq: str
    frames: list[FrameScores]
    coded: list[FrameInfo] | None = None
    codec: dict[str, Any] = field(default_factory=dict)

    @property
    def letter(self) -> str:
        """Of its class among the sequences of JCT-VC, "" outside of them."""
        return class_of(self.name, self.width, self.height)

    @property
    def label(self) -> str:
        """Name and setting, fit for a file name."""
        return labeled(self.name, self.group)

    @property
    def seconds(self) -> float:
        """Of the network alone."""
        return sum(frame.seconds for frame in self.frames)

    @cached_property
    def bits(self) -> int | None:
        """Of the tested frames, None if unknown."""
        return None if self.coded is None else sum(frame.bits for frame in self.coded)

    def curves(self, metric: str) -> tuple[list[float], list[float]]:
        """The values of a metric before and after, NaN where there is none."""
        before = [frame.baseline.get(metric, math.nan) for frame in self.frames]
        return before, [frame.result.get(metric, math.nan) for frame in self.frames]


def judged(video: VideoScores, metrics: Metrics) -> Video:
    """The record of one video."""
    means = {name: _means(*video.curves(name)) for name in metrics.names}
    main, peaks = main_metric(metrics), [frame.peak for frame in video.frames]
    return Video(
        set=video.set,
        group=video.group,
        name=video.name,
        jct_class=video.letter,
        height=video.height,
        width=video.width,
        frames=len(video.frames),
        peaks=None if -1 in peaks else sum(peaks),
        bits=video.bits,
        lq=video.lq,
        codec=video.codec,
        baseline={name: before for name, (before, _, _) in means.items()},
        result={name: after for name, (_, after, _) in means.items()},
        left_out={name: left_out for name, (*_, left_out) in means.items()},
        fluctuation=_fluctuation(video, main) if main else {},
        seconds=video.seconds,
    )


def _means(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, int]:
    """Means before and after, and how many frames they leave out."""
    has_before = not all(map(math.isnan, before))
    pairs = list(zip(before, after, strict=True))
    valid = [(b, a) for b, a in pairs if math.isfinite(a) and (math.isfinite(b) or not has_before)]
    lq, result = (mean(list(values)) for values in zip(*valid, strict=True)) if valid else (math.nan, math.nan)
    return lq, result, 0 if all(map(math.isnan, after)) else len(pairs) - len(valid)


def _fluctuation(video: VideoScores, metric: str) -> Scores:
    before, after = video.curves(metric)
    if all(map(math.isnan, after)):  # no ground truth
        return dict.fromkeys(FLUCTUATIONS, math.nan)
    gains = [(frame.peak, a - b) for frame, b, a in zip(video.frames, before, after, strict=True)]
    return {
        "sd_lq": deviation(before),
        "sd": deviation(after),
        "pvd_lq": peak_valley_difference(before),
        "pvd": peak_valley_difference(after),
        "pvd_at_lq": peak_valley_difference(after, before),
        "ps_lq": peak_separation(before),
        "ps": peak_separation(after),
        "delta_peaks": mean([gain for peak, gain in gains if peak == 1]),
        "delta_others": mean([gain for peak, gain in gains if peak == 0]),
    }


FLUCTUATIONS = ("sd_lq", "sd", "pvd_lq", "pvd", "pvd_at_lq", "ps_lq", "ps", "delta_peaks", "delta_others")


def averages(videos: Sequence[Video]) -> list[Average]:
    """Of each set and group: of the classes of JCT-VC that are in it, of all videos, and of all their frames."""
    found = []
    for key in dict.fromkeys((video.set, video.group) for video in videos):
        chosen = [video for video in videos if (video.set, video.group) == key]
        for letter in sorted({video.jct_class for video in chosen} - {""}):
            members = [video for video in chosen if video.jct_class == letter]
            missing = f" ({len(members)} of {size_of(letter)})" if len(members) < size_of(letter) else ""
            found.append(_average(members, f"class {letter}{missing}"))
        found += [_average(chosen, "all sequences"), _average(chosen, "all frames", "frames")]
    return found


def _average(videos: Sequence[Video], over: str, weighting: str = "sequences") -> Average:
    by_frames, names = weighting == "frames", list(videos[0].baseline)

    def scores(part: str) -> Scores:
        return {
            name: _weighted_mean(
                (getattr(each, part)[name], each.frames - each.left_out[name] if by_frames else 1) for each in videos
            )
            for name in names
        }

    fluctuation = {
        key: _weighted_mean((each.fluctuation[key], _frames_of(each, key) if by_frames else 1) for each in videos)
        for key in videos[0].fluctuation
    }
    return Average(
        set=videos[0].set,
        group=videos[0].group,
        over=over,
        weighting=weighting,
        count=len(videos),
        frames=sum(each.frames for each in videos),
        baseline=scores("baseline"),
        result=scores("result"),
        left_out={name: sum(each.left_out[name] for each in videos) for name in names},
        fluctuation=fluctuation,
        seconds=sum(each.seconds for each in videos),
    )


def _frames_of(video: Video, key: str) -> int:
    """Frames of a video that a figure of fluctuation is the mean of."""
    peaks = video.peaks or 0  # where they are not known the figure is NaN
    return {"delta_peaks": peaks, "delta_others": video.frames - peaks}.get(key, video.frames)


def _weighted_mean(pairs: Iterable[tuple[float, int]]) -> float:
    known = [(value, weight) for value, weight in pairs if math.isfinite(value) and weight]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else math.nan
