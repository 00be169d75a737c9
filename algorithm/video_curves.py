"""Pictures of quality over the frames of each video, before and after enhancement."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from algorithm.video_report import VideoReport
from algorithm.video_scores import Figures, VideoScores, key_of
from utils.files import atomic_path

SHOWN = 120
"""Frames from which on single frames are not marked any more."""


def draw_curves(report: VideoReport, folder: Path) -> None:
    """Draw `<folder>/<set>/<video>.png` for each video that has ground truth."""
    main = report.main
    if main is None:
        return
    for video, figures in zip(report.videos, report.figures, strict=True):
        if not math.isnan(figures[key_of(main)]):
            _draw(video, figures, main, folder / video.set / f"{video.label}.png")


def _draw(video: VideoScores, figures: Figures, metric: str, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axis: Any = figure.subplots()
    before, after = video.curves(metric)
    frames = [frame.frame for frame in video.frames]
    key = key_of(metric)
    marker = "." if len(frames) <= SHOWN else None
    for values, name, colour in ((before, f"{key}_lq", "0.55"), (after, key, "C0")):
        what = "compressed" if name.endswith("_lq") else "enhanced"
        sd = figures["sd_lq" if name.endswith("_lq") else "sd"]
        label = f"{what}: {figures[name]:.2f} dB, SD {sd:.2f} dB"
        axis.plot(frames, _drawable(values), color=colour, marker=marker, markersize=3, linewidth=1.1, label=label)
    peaks = [place for place, frame in enumerate(video.frames) if frame.peak == 1]
    for number, values in enumerate((before, after)):
        chosen = _drawable([values[place] for place in peaks])
        axis.plot([frames[place] for place in peaks], chosen, "^", color="C3", markersize=4, linestyle="none",
                  label="PQF" if peaks and number == 0 else None)  # fmt: skip
    axis.set_xlabel("frame")
    axis.set_ylabel(f"{metric} [dB]")
    axis.set_title(f"{video.label}   Δ {figures[f'{key}_delta']:+.3f} dB", fontsize=10)
    axis.margins(x=0.01)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _drawable(values: Sequence[float]) -> list[float]:
    """With a gap where a value is infinite."""
    return [value if math.isfinite(value) else math.nan for value in values]
