"""Damaged images made on the fly from clean ones."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import PositiveInt

from dataset.augment import Window, random_between, random_symmetry, random_window
from dataset.images import check_patch, take_slice
from dataset.registry import DATASETS, Draw, Sample
from dataset.sources import open_source
from utils.codecs import Codec, check_quality
from utils.components import Section, Slot, build, validate_component
from utils.errors import UserError
from utils.image_io import oriented

_GRID = 16  # pixels; a JPEG unit with 4:2:0 chroma, and a multiple of all smaller ones


class Range(Section):
    """Qualities min <= q <= max, equally likely."""

    min: int
    max: int


@DATASETS.register()
class DegradedImages:
    """Clean images `gt`, and `lq` made from them by a codec when a sample is asked for.

    A whole image is compressed as it is. For training, the blocks of the codec's grid (16 x 16) that the
    patch touches are compressed and the patch is cut out of the result, so it lies on the grid as it does
    in the compressed whole image, and has its pixels (but for the chroma at the edges of the blocks). That is
    JPEG; the other codecs predict a block from its neighbours, and code those of a patch anew: the pixels are other
    ones, of the same quality. Compress the data set beforehand to train on exactly the pixels of whole images.

    Args:
        gt: folder or store of clean images.
        quality: one quality; or a list, then each image comes at each of them; or {min, max}, then
            training draws one for each sample, and whole images cannot be asked for.
        codec: {type: NAME, ...}, by default JPEG as OpenCV writes it.
        slice, patch, flip, rotate, color: see `dataset.images.PairedImages`.

    Raises:
        UserError: nothing to read, a quality that the codec does not have, a slice outside of the set;
            on reading a sample, a damaged file or an image smaller than the patch.
    """

    def __init__(
        self,
        *,
        gt: str,
        quality: int | list[int] | Range,
        codec: Annotated[Any, Slot("codec")] = {"type": "JPEG"},  # noqa: B006 - never changed
        slice: tuple[int, int] | None = None,
        patch: PositiveInt | None = None,
        flip: bool = False,
        rotate: bool = False,
        color: Literal["rgb", "y"] = "rgb",
    ) -> None:
        self._patch, self._flip, self._rotate = patch, flip, rotate
        self._codec: Codec = build(validate_component("codec", codec))
        self._range, self._qualities = _read_quality(self._codec, quality)
        self._gt = open_source(gt, color)
        self._stems = take_slice(self._gt.stems(), slice, gt)

    def __len__(self) -> int:
        return len(self._stems) * len(self._qualities)

    def __getitem__(self, request: int | Draw) -> Sample:
        index = request.index if isinstance(request, Draw) else request
        image, setting = divmod(index, len(self._qualities))
        stem, quality = self._stems[image], self._qualities[setting]
        if isinstance(request, Draw):
            if self._range is not None:
                quality = random_between(request.seed, self._range.min, self._range.max)
            return self._random(stem, quality, request.seed)
        if self._range is not None:
            raise UserError("quality: {min, max} is for training; give a quality or a list to test on whole images")
        gt = self._gt[stem]
        return self._sample(stem, quality, self._codec.compress(gt, quality)[0], gt)

    def _random(self, stem: str, quality: int, seed: int) -> Sample:
        stored = self._gt.stored(stem)
        height, width = stored.shape[:2]
        window = Window(0, 0, height, width)
        if self._patch is not None:
            check_patch(stored, self._patch, self._gt, stem)
            window = random_window(seed, height, width, self._patch)
        region, inside = on_grid(window, height, width)
        clean = self._gt.converted(region.cut(stored), stem)
        damaged, _ = self._codec.compress(clean, quality)
        symmetry = random_symmetry(seed, self._flip, self._rotate)
        lq, gt = (oriented(inside.cut(image), symmetry) for image in (damaged, clean))
        return self._sample(stem, quality, lq, gt)

    def _sample(self, stem: str, quality: int, lq: np.ndarray, gt: np.ndarray) -> Sample:
        group = f"{self._codec.quality_name}{quality}"
        name = f"{stem}-{group}" if len(self._qualities) > 1 else stem
        return {"lq": lq, "gt": gt, "name": name, "group": group, "quality": quality}


def _read_quality(codec: Codec, quality: Any) -> tuple[Range | None, list[int]]:
    """The range, if it is one, and the qualities of the whole images (of a range one stands for all)."""
    if isinstance(quality, Mapping):
        quality = Range(**quality)
    if isinstance(quality, Range):
        qualities = [quality.min, quality.max]
    else:
        qualities = [quality] if isinstance(quality, int) else list(quality)
        if not qualities or len(set(qualities)) < len(qualities):
            raise UserError(f"quality: found {qualities}, expected one or more different numbers")
    for value in qualities:
        check_quality(codec, value)
    if not isinstance(quality, Range):
        return None, qualities
    if quality.min > quality.max:
        raise UserError(f"quality: found min {quality.min} > max {quality.max}")
    return quality, [quality.min]


def on_grid(window: Window, height: int, width: int) -> tuple[Window, Window]:
    """The window grown to the grid of its height x width image, and the window as seen from there."""
    top, left = window.top % _GRID, window.left % _GRID
    bottom = min(-(-(window.top + window.height) // _GRID) * _GRID, height)
    right = min(-(-(window.left + window.width) // _GRID) * _GRID, width)
    region = Window(window.top - top, window.left - left, bottom - window.top + top, right - window.left + left)
    return region, Window(top, left, window.height, window.width)
