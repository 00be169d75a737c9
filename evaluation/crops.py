"""Crops of the test images side by side, compressed | enhanced | original: crops.png of a test."""

import math
from pathlib import Path

import numpy as np
from torch import Tensor

from powerqe.dataset.loader import Batch
from powerqe.evaluation.evaluate import Metrics, Record, Scores, enlarged
from powerqe.inference.forward import middle
from powerqe.utils.figures import drawable, plain_texts, save_figure
from powerqe.utils.image.tensors import to_image

SIDE = 128
"""Largest side of a crop, in pixels."""
ROWS = 4
"""Number of images shown."""
_LABEL = 40
"""Characters of a name beside its crops."""


class Crops:
    """Collects one crop of each of the first images, where lq has the largest error.

    Args:
        metrics: the first of them is written above each crop.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._criterion = next(iter(metrics.names), "")
        self._unit = metrics.unit(self._criterion) if self._criterion else ""
        self._rows: list[tuple[Record, list[np.ndarray]]] = []

    def add(self, record: Record, batch: Batch, result: Tensor) -> None:
        """Add a crop of an image, up to `ROWS`; images without ground truth are skipped."""
        if len(self._rows) >= ROWS or "gt" not in batch:
            return
        before = enlarged(middle(batch["lq"]), record.scale)
        if before.shape != batch["gt"].shape:
            return
        images = [to_image(image[0]) for image in (before, result, batch["gt"])]
        top, left = most_damaged(images[0], images[2])
        self._rows.append((record, [image[top : top + SIDE, left : left + SIDE] for image in images]))

    @plain_texts()
    def save(self, path: Path) -> None:
        """Write the figure; nothing is written if there are no crops."""
        if not self._rows:
            return
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 2.6 * len(self._rows)), layout="constrained")
        axes = figure.subplots(len(self._rows), 3, squeeze=False)
        for row, (record, crops) in zip(axes, self._rows, strict=True):
            before = "compressed" if record.scale == 1 else f"bicubic x{record.scale}"
            titles = (self._title(before, record.baseline), self._title("enhanced", record.result), "original")
            for axis, crop, title in zip(row, crops, titles, strict=True):
                axis.imshow(crop.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                axis.set_title(title, fontsize=9)
                axis.set_xticks([])
                axis.set_yticks([])
            row[0].set_ylabel(drawable(record.label, _LABEL), fontsize=8)
        save_figure(figure, path)

    def _title(self, what: str, scores: Scores) -> str:
        score = self._metrics.pool(self._criterion, [scores.get(self._criterion)])
        return what if math.isnan(score) else f"{what}: {self._criterion} {score:.2f} {self._unit}".rstrip()


def most_damaged(lq: np.ndarray, gt: np.ndarray, side: int = SIDE) -> tuple[int, int]:
    """Top left corner of the window of this side with the largest error, on a grid of half windows."""
    error = np.square(lq.astype(np.float32) - gt).sum(axis=2)
    height, width = error.shape
    corners = [
        (top, left)
        for top in range(0, max(height - side, 0) + 1, side // 2)
        for left in range(0, max(width - side, 0) + 1, side // 2)
    ]
    return max(corners, key=lambda corner: error[corner[0] : corner[0] + side, corner[1] : corner[1] + side].sum())
