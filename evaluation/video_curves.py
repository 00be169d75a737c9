"""Plots of the quality of each video over its frames, before and after enhancement."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from powerqe.evaluation.results import Video
from powerqe.evaluation.video_results import VideoReport
from powerqe.evaluation.video_scores import VideoScores
from powerqe.utils.figures import drawable, plain_texts, save_figure
from powerqe.utils.file_names import file_name

SHOWN = 120
"""From this number of frames on, single frames have no markers."""
_TITLE = 80
"""Characters of a name."""


def draw_curves(report: VideoReport, folder: Path) -> None:
    """Draw `<folder>/<set>/<video>.png` for each video that has ground truth."""
    main = report.main
    if main is None:
        return
    for video, judged in zip(report.videos, report.results.videos, strict=True):
        if not math.isnan(judged.result[main]):
            _draw(video, judged, main, folder / file_name(video.set) / file_name(video.label, ".png"))


@plain_texts()
def _draw(video: VideoScores, judged: Video, metric: str, path: Path) -> None:
    """The metric of each frame above, what enhancement adds to it below; PQFs in red."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    before, after = video.curves(metric)
    frames = [frame.frame for frame in video.frames]
    peaks = [place for place, frame in enumerate(video.frames) if frame.peak == 1]
    marker = "." if len(frames) <= SHOWN else None
    for values, what, scores, sd, color in (
        (before, "compressed", judged.baseline, "sd_lq", "0.55"),
        (after, "enhanced", judged.result, "sd", "C0"),
    ):
        label = f"{what}: {scores[metric]:.2f} dB, SD {judged.fluctuation[sd]:.2f} dB"
        above.plot(frames, _drawable(values), color=color, marker=marker, markersize=3, linewidth=1.1, label=label)
    if peaks:
        values = _drawable([before[place] for place in peaks])
        size = 3.5 if marker else 2
        above.plot([frames[place] for place in peaks], values, "^", color="C3", markersize=size, label="PQF")
    gains = _drawable([a - b for b, a in zip(before, after, strict=True)])
    colors = ["C3" if frame.peak == 1 else "C0" for frame in video.frames]
    below.bar(frames, gains, width=0.8, color=colors)
    _label(above, below, metric)
    above.set_title(f"{drawable(video.label, _TITLE)}   Δ {judged.gain(metric):+.3f} dB", fontsize=10)
    save_figure(figure, path)


def _label(above: Any, below: Any, metric: str) -> None:
    above.set_ylabel(f"{metric} [dB]")
    below.set_ylabel("Δ [dB]")
    below.set_xlabel("frame")
    below.axhline(0, color="0.3", linewidth=0.8)
    above.legend(frameon=False, fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, -0.17))
    for axis in (above, below):
        axis.margins(x=0.01)
        axis.grid(alpha=0.3)


def _drawable(values: Sequence[float]) -> list[float]:
    """With a gap where a value is infinite."""
    return [value if math.isfinite(value) else math.nan for value in values]
