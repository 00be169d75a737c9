"""From the scores of a video's frames to the figures of the video, and to those of several videos.

The figures of a video, by key; NaN where there is none. Of a metric called `psnr`: `psnr_lq`, `psnr` and `psnr_delta`,
means over the frames that have a finite value before and after, so that the difference of the means is the mean of the
differences; `psnr_left_out` counts the others. Of the first PSNR among the metrics, how it goes up and down
(utils/metrics/fluctuation.py): `sd`, `pvd` and `ps`, each with `_lq` before, and `pvd_at_lq`, after enhancement but
at the peaks and valleys of the compressed video; `delta_peaks` and `delta_others`, the gain of PQFs and of the other
frames.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from powerqe.evaluation.evaluate import Metrics, labeled, mean
from powerqe.evaluation.jct_vc import class_of, size_of
from powerqe.evaluation.video_progress import FrameScores
from powerqe.utils.metrics.fluctuation import deviation, peak_separation, peak_valley_difference
from powerqe.utils.video.frame_records import FrameInfo

Figures = dict[str, float]


def key_of(metric: str) -> str:
    """The name of a metric as a column is called: `PSNR-float` -> `psnr_float`."""
    return re.sub(r"\W+", "_", metric.lower())


def main_metric(metrics: Metrics) -> str | None:
    """The one that fluctuations and curves are of: the first in dB."""
    return next((name for name in metrics.names if metrics.unit(name) == "dB"), None)


@dataclass(frozen=True)
class VideoScores:
    """A video as it was tested.

    set, group: test set and setting ("qp37"). name: as in the data set. lq: the compressed file. frames: in order.
    coded: what is known of each of them, None if nothing is. codec: how the video was coded, as its description says.
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


def figures(video: VideoScores, metrics: Metrics) -> Figures:
    """All figures of one video."""
    found: Figures = {}
    for name in metrics.names:
        found |= _means(key_of(name), *video.curves(name))
    if main := main_metric(metrics):
        found |= _fluctuations(video, main)
    found["fps"] = len(video.frames) / video.seconds if video.seconds else math.nan
    return found


def _means(key: str, before: Sequence[float], after: Sequence[float]) -> Figures:
    has_before = not all(map(math.isnan, before))
    pairs = list(zip(before, after, strict=True))
    valid = [(b, a) for b, a in pairs if math.isfinite(a) and (math.isfinite(b) or not has_before)]
    lq, result = (mean(list(values)) for values in zip(*valid, strict=True)) if valid else (math.nan, math.nan)
    left_out = 0 if all(map(math.isnan, after)) else len(pairs) - len(valid)
    return {f"{key}_lq": lq, key: result, f"{key}_delta": result - lq, f"{key}_left_out": left_out}


def _fluctuations(video: VideoScores, metric: str) -> Figures:
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


class Average(NamedTuple):
    """The figures of several videos of one set and group.

    over: what is averaged, in words. weighting: "sequences", each video counts the same, as in papers; "frames", each
    frame does.
    """

    set: str
    group: str
    over: str
    weighting: str
    videos: int
    frames: int
    figures: Figures


def averages(videos: Sequence[VideoScores], each: Sequence[Figures], metrics: Metrics) -> list[Average]:
    """Of each set and group: of the classes of JCT-VC that are in it, of all videos, and of all their frames.

    Args:
        each: the figures of each video.
    """
    tested = list(zip(videos, each, strict=True))
    found = []
    for key in dict.fromkeys((video.set, video.group) for video in videos):
        chosen = [pair for pair in tested if (pair[0].set, pair[0].group) == key]
        for letter in sorted({video.letter for video, _ in chosen} - {""}):
            members = [pair for pair in chosen if pair[0].letter == letter]
            missing = f" ({len(members)} of {size_of(letter)})" if len(members) < size_of(letter) else ""
            found.append(_average(members, metrics, f"class {letter}{missing}", "sequences"))
        found.append(_average(chosen, metrics, "all sequences", "sequences"))
        found.append(_average(chosen, metrics, "all frames", "frames"))
    return found


def _average(tested: Sequence[tuple[VideoScores, Figures]], metrics: Metrics, over: str, weighting: str) -> Average:
    videos, each = zip(*tested, strict=True)
    total: Figures = {}
    for key in each[0]:
        pairs = [(one[key], _weight(video, one, key, metrics) if weighting == "frames" else 1) for video, one in tested]
        total[key] = _weighted_mean(pairs)
    for name in metrics.names:
        total[f"{key_of(name)}_left_out"] = sum(one[f"{key_of(name)}_left_out"] for one in each)
    frames, seconds = sum(len(video.frames) for video in videos), sum(video.seconds for video in videos)
    total["fps"] = frames / seconds if seconds else math.nan
    return Average(videos[0].set, videos[0].group, over, weighting, len(videos), frames, total)


def _weight(video: VideoScores, found: Figures, key: str, metrics: Metrics) -> int:
    """Frames of a video that a figure is the mean of."""
    if key in ("delta_peaks", "delta_others"):
        return sum(frame.peak == (key == "delta_peaks") for frame in video.frames)
    for name in metrics.names:
        if key in (key_of(name), f"{key_of(name)}_lq", f"{key_of(name)}_delta"):
            return len(video.frames) - int(found[f"{key_of(name)}_left_out"])
    return len(video.frames)


def _weighted_mean(pairs: Iterable[tuple[float, int]]) -> float:
    known = [(value, weight) for value, weight in pairs if math.isfinite(value) and weight]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else math.nan
