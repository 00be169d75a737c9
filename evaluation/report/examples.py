"""Crops of a report: of the best, the median and the worst image, all methods side by side.

The enhanced images are those saved by `powerqe test`. The compressed and the original ones are loaded from the data
set, which is built again from the options in results.json: this covers folders, stores and images that are compressed
on the fly.
"""

import base64
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from powerqe.dataset import build_dataset
from powerqe.evaluation.crops import most_damaged
from powerqe.evaluation.evaluate import enlarged
from powerqe.evaluation.report.reader import Comparison, ImageTest
from powerqe.evaluation.report.summary import COMPRESSED
from powerqe.evaluation.results import Image, Metric
from powerqe.utils.errors import UserError
from powerqe.utils.image.imresize import area_downsample
from powerqe.utils.image.io import encode_image, read_image
from powerqe.utils.image.tensors import to_image, to_tensor
from powerqe.utils.options.components import validate_component
from powerqe.utils.text_table import digits_of, number

BYTES = 6_000_000
"""Maximum size of all crops of a page, for pixels that do not compress."""
SIDES = (32, 96)
"""Minimum and maximum side of a crop in pixels. The page shows crops about twice as large."""
OVERVIEW = 600
"""Maximum longer side of the overview of an image, in pixels."""
_BYTES_PER_PIXEL = 4  # three colors that do not compress, in base64


class Crop(NamedTuple):
    """One crop: its method, its scores as text, and the image as a data URI."""

    name: str
    scores: str
    image: str


class Window(NamedTuple):
    """Position of the crops, in percent of the whole image."""

    left: float
    top: float
    width: float
    height: float


class Strip(NamedTuple):
    """One image: its overview and its crops."""

    title: str
    overview: str
    window: Window
    side: int
    crops: list[Crop]


def strips(comparison: Comparison, set_name: str) -> tuple[list[Strip], list[str]]:
    """The best, the median and the worst image of a set by what the best method gains there, and notes.

    They have the quality at which most methods were tested.
    """
    metric = comparison.main
    tests = comparison.at(set_name, comparison.common(set_name))
    best = best_of(tests, metric) if metric else None
    if metric is None or best is None:
        return [], [f"{set_name}: no crops, because no image has a gain (no ground truth, or no metric of images)"]
    found, notes = [], []
    side = _side(comparison)
    for rank, label in _chosen(best, metric):
        gain = number(best.items[label].gain(metric.name), digits_of(metric.unit), sign=True)
        title = f"{rank}: {label}, {metric.name} {gain} {metric.unit}".rstrip() + f" by {best.method}"
        try:
            found.append(_strip(tests, comparison.metrics, label, title, side, notes))
        except UserError as error:
            notes.append(f"{set_name}, {label}: no crops; {error}")
    return found, notes


def best_of(tests: Sequence[ImageTest], metric: Metric) -> ImageTest | None:
    """The method with the largest mean gain; None if none has a gain."""
    sign = -1 if metric.higher_is_better is False else 1
    gains = {test.method: sign * test.average.gain(metric.name) for test in tests}
    known = [test for test in tests if math.isfinite(gains[test.method])]
    return max(known, key=lambda test: gains[test.method], default=None)


def _chosen(test: ImageTest, metric: Metric) -> list[tuple[str, str]]:
    """Rank (best, median, worst) and label of the chosen images."""
    sign = -1 if metric.higher_is_better is False else 1
    gains = {label: sign * image.gain(metric.name) for label, image in test.items.items()}
    ranked = sorted((label for label, gain in gains.items() if math.isfinite(gain)), key=lambda label: -gains[label])
    if not ranked:
        return []
    chosen = {ranked[0]: "Best", ranked[len(ranked) // 2]: "Median", ranked[-1]: "Worst"}
    if len(ranked) < 3:  # the names of two images
        chosen = dict(zip(ranked, ("Best", "Worst"), strict=False))
    return [(rank, label) for label, rank in chosen.items()]


def _side(comparison: Comparison) -> int:
    """Side of all crops in pixels, so that they keep to `BYTES`."""
    count = sum(3 * (2 + len(comparison.at(name, comparison.common(name)))) for name in comparison.sets)
    return min(max(int(math.sqrt(BYTES / _BYTES_PER_PIXEL / count)), SIDES[0]), SIDES[1])


def _strip(
    tests: Sequence[ImageTest], metrics: Sequence[Metric], label: str, title: str, side: int, notes: list[str]
) -> Strip:
    before, original = _sample(tests[0], label)
    top, left = most_damaged(before, original, side)
    height, width = original.shape[:2]

    def crop(name: str, scores: dict[str, float], image: np.ndarray) -> Crop:
        return Crop(name, _scores(scores, metrics), _uri(image[top : top + side, left : left + side], ".webp"))

    first = tests[0].items[label]
    compressed = COMPRESSED if first.scale == 1 else f"bicubic x{first.scale}"
    crops = [crop(compressed, first.baseline, before)]
    for test in tests:
        image = test.items[label]
        try:
            crops.append(crop(test.method, image.result, _enhanced(test, image, original.shape)))
        except UserError as error:
            notes.append(f"{test.set}, {label}: no crop of {test.method}; {error}")
    crops.append(crop("original", {}, original))
    window = Window(*(100 * part / whole for part, whole in (
        (left, width), (top, height), (min(side, width), width), (min(side, height), height))))  # fmt: skip
    shrink = min(math.ceil(max(height, width) / OVERVIEW), height, width)
    overview = _uri(area_downsample(original, shrink), ".jpg")
    return Strip(title, overview, window, side, crops)


def _sample(test: ImageTest, label: str) -> tuple[np.ndarray, np.ndarray]:
    """The compressed image, enlarged if it is smaller, and the original: uint8 (H, W, C).

    Raises:
        UserError: the data set cannot be read, or its images have changed.
    """
    image = test.items[label]
    try:
        dataset = build_dataset(validate_component("dataset", test.results.data[test.set]), f"dataset.test.{test.set}")
        place = [each.label for each in test.results.images if each.set == test.set].index(label)
        if place >= len(dataset):
            raise UserError(f"the data set of {test.folder} has fewer images now")
        sample: Any = dataset[place]
    except ValueError as error:
        raise UserError(f"{test.folder}: dataset.test.{test.set}: {error}") from None
    lq, name = sample["lq"], sample["name"]
    lq = lq[len(lq) // 2] if lq.ndim == 4 else lq
    if "gt" not in sample or (name, *lq.shape) != (image.name, image.height, image.width, image.channels):
        raise UserError(f"the data set of {test.folder} has other images now; test again")
    before = to_image(enlarged(to_tensor(lq)[None], image.scale)[0])
    if before.shape != sample["gt"].shape:
        raise UserError("the compressed and the original image have different sizes")
    return before, sample["gt"]


def _enhanced(test: ImageTest, image: Image, shape: tuple[int, ...]) -> np.ndarray:
    if image.enhanced is None:
        raise UserError("`powerqe test` did not save it (test.if_save_im)")
    path = test.folder / image.enhanced
    if not path.resolve().is_relative_to(test.folder.resolve()):
        raise UserError(f"{image.enhanced} is outside of {test.folder}; test again")
    found = read_image(path, "any")
    if found.shape != shape:
        raise UserError(f"{path} has another size than the original")
    return found


def _scores(scores: dict[str, float], metrics: Sequence[Metric]) -> str:
    """The first two scores that the image has, as text."""
    known = [metric for metric in metrics if not math.isnan(scores.get(metric.name, math.nan))]
    texts = (f"{each.name} {number(scores[each.name], digits_of(each.unit) - 1)} {each.unit}" for each in known[:2])
    return " · ".join(text.rstrip().replace(" ", "\u00a0") for text in texts)  # a line ends between scores


def _uri(image: np.ndarray, suffix: str) -> str:
    """An image as a data URI; .webp is lossless."""
    kind = {".webp": "webp", ".jpg": "jpeg"}[suffix]
    return f"data:image/{kind};base64,{base64.b64encode(encode_image(image, suffix)).decode()}"
