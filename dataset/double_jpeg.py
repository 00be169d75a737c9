"""Images that were compressed twice, with the grid of the second time elsewhere than that of the first."""

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from powerqe.dataset.augment import mix, random_between, random_crop, random_symmetry
from powerqe.dataset.degrade import on_grid
from powerqe.dataset.images import check_patch, take_slice
from powerqe.dataset.quality import Quality, read_quality
from powerqe.dataset.samples import DATASETS, Draw, Sample
from powerqe.dataset.sources import ImageSource
from powerqe.utils.codecs import JPEG, Codec
from powerqe.utils.codecs.jpeg_tables import quant_tables
from powerqe.utils.errors import UserError
from powerqe.utils.image.crop import CropBox
from powerqe.utils.image.orientation import oriented
from powerqe.utils.options.components import Slot, create

LARGEST_SHIFT = 8


class _Recipe(NamedTuple):
    """How an image is compressed: once, or a first time, cut off at the top and at the left, and again."""

    first: int | None
    quality: int
    shift: tuple[int, int]


@DATASETS.register()
class DoubleJPEGImages:
    """Clean images `gt`, and `lq` = JPEG(shift(JPEG(gt, QF1)), QF2) made from them when a sample is loaded.

    The shift drops rows and columns at the top and at the left of JPEG(gt, QF1) and of gt, so that the second
    grid of blocks lies elsewhere. The group of a sample is "qf30-10", first-second, and its quality -1: no single
    quality factor describes it. Whole images have the quantization tables of the second time. Source: Jiang et al.,
    "Towards Flexible Blind JPEG Artifacts Removal", ICCV 2021, sec. 3.4.

    For training give `quality`; each sample is compressed twice or once (then it has its quality, and is as
    one of DegradedImages), with patches as there. For tests give `qualities`.

    Args:
        gt: folder or store of clean images.
        qualities: pairs [QF1, QF2]; each image comes with each of them, shifted by `shift`.
        shift: [rows, columns] that `qualities` is used with.
        quality: one quality; or a list or {min, max}, of which both QF1 and QF2 are drawn.
        double_share: how often a sample of `quality` is compressed twice, 0 ... 1. The shift is drawn, 0 ... 8
            rows and columns; 8 is on the grid again (not on that of 4:2:0 chroma), as 0 is, and the authors draw it.
        codec: {type: JPEG, ...}, by default JPEG as OpenCV writes it.
        slice, patch, flip, rotate, color: see `powerqe.dataset.images.PairedImages`.

    Raises:
        UserError: nothing to read, neither or both of quality and qualities, a quality that the codec does not
            have, a slice outside of the set; on reading a sample, a damaged file or an image that is too small.
    """

    def __init__(
        self,
        *,
        gt: str,
        qualities: list[tuple[int, int]] | None = None,
        shift: tuple[NonNegativeInt, NonNegativeInt] = (4, 4),
        quality: Quality | None = None,
        double_share: Annotated[float, Field(ge=0, le=1)] = 0.5,
        codec: Annotated[Any, Slot("codec")] = {"type": "JPEG"},  # noqa: B006 - never changed
        slice: tuple[int, int] | None = None,
        patch: PositiveInt | None = None,
        flip: bool = False,
        rotate: bool = False,
        color: Literal["rgb", "y"] = "rgb",
    ) -> None:
        if (quality is None) == (not qualities):
            raise UserError("give either quality, to train, or qualities: [[first, second], ...], to test")
        self._patch, self._flip, self._rotate, self._double_share = patch, flip, rotate, double_share
        self._codec: Codec = create("codec", codec)
        self._recipes = _recipes(self._codec, qualities or [], shift)
        self._quality = None if quality is None else read_quality(self._codec, quality)
        self._gt = ImageSource(gt, color)
        self._stems = take_slice(self._gt.stems(), slice, gt)

    def __len__(self) -> int:
        return len(self._stems) * max(1, len(self._recipes))

    def __getitem__(self, request: int | Draw) -> Sample:
        index = request.index if isinstance(request, Draw) else request
        image, setting = divmod(index, max(1, len(self._recipes)))
        stem = self._stems[image]
        if isinstance(request, Draw):
            recipe = self._recipes[setting] if self._recipes else self._draw(request.seed)
            return self._random(stem, recipe, request.seed)
        if not self._recipes:
            raise UserError("quality is for training; give qualities: [[first, second], ...] to test on whole images")
        recipe = self._recipes[setting]
        stored = self._gt.stored(stem)
        height, width = self._shifted_size(stored, stem, recipe)
        box = CropBox(0, 0, height, width)
        lq, gt = self._compressed(stored, stem, recipe, box)
        sample = self._sample(stem, recipe, lq, gt)
        if isinstance(self._codec, JPEG):
            sample["tables"] = quant_tables(recipe.quality, gt.shape[2])
            sample["file"] = self._codec.encode(self._before_last(stored, stem, recipe, box)[0], recipe.quality)
        return sample

    def _draw(self, seed: int) -> _Recipe:
        """Whether once or twice, and how, each from a hash of its own."""
        assert self._quality is not None
        quality = self._quality.draw(mix(seed, 3))
        if random_between(mix(seed, 4), 1, 1 << 32) > self._double_share * (1 << 32):
            return _Recipe(None, quality, (0, 0))
        rows, columns = (random_between(mix(seed, number), 0, LARGEST_SHIFT) for number in (5, 6))
        return _Recipe(self._quality.draw(mix(seed, 7)), quality, (rows, columns))

    def _random(self, stem: str, recipe: _Recipe, seed: int) -> Sample:
        stored = self._gt.stored(stem)
        height, width = self._shifted_size(stored, stem, recipe)
        box = CropBox(0, 0, height, width)
        if self._patch is not None:
            largest = max(recipe.shift) if self._recipes else LARGEST_SHIFT
            check_patch(stored, self._patch, self._gt, stem, margin=largest)
            box = random_crop(seed, height, width, self._patch)
        symmetry = random_symmetry(seed, self._flip, self._rotate)
        lq, gt = (oriented(image, symmetry) for image in self._compressed(stored, stem, recipe, box))
        return self._sample(stem, recipe, lq, gt)

    def _compressed(
        self, stored: np.ndarray, stem: str, recipe: _Recipe, box: CropBox
    ) -> tuple[np.ndarray, np.ndarray]:
        """lq and gt in a box of the shifted image; no more is compressed than the blocks that it needs."""
        damaged, clean, inside = self._before_last(stored, stem, recipe, box)
        damaged, _ = self._codec.compress(damaged, recipe.quality)
        return inside.cut(damaged), inside.cut(clean)

    def _before_last(
        self, stored: np.ndarray, stem: str, recipe: _Recipe, box: CropBox
    ) -> tuple[np.ndarray, np.ndarray, CropBox]:
        """What is compressed last, the same of gt, and the box as seen from there."""
        height, width = self._shifted_size(stored, stem, recipe)
        region, inside = on_grid(box, height, width)
        moved = region._replace(top=region.top + recipe.shift[0], left=region.left + recipe.shift[1])
        outer, within = on_grid(moved, *stored.shape[:2])
        clean = damaged = self._gt.converted(outer.cut(stored), stem)
        if recipe.first is not None:
            damaged, _ = self._codec.compress(clean, recipe.first)
        return within.cut(damaged), within.cut(clean), inside

    def _shifted_size(self, stored: np.ndarray, stem: str, recipe: _Recipe) -> tuple[int, int]:
        height, width = stored.shape[0] - recipe.shift[0], stored.shape[1] - recipe.shift[1]
        if height < 1 or width < 1:
            raise UserError(f"shift: {list(recipe.shift)} leaves nothing of {self._gt.where(stem)}")
        return height, width

    def _sample(self, stem: str, recipe: _Recipe, lq: np.ndarray, gt: np.ndarray) -> Sample:
        first = "" if recipe.first is None else f"{recipe.first}-"
        group = f"{self._codec.quality_name}{first}{recipe.quality}"
        name = f"{stem}-{group}" if len(self._recipes) > 1 else stem
        quality = recipe.quality if recipe.first is None else -1
        return {"lq": lq, "gt": gt, "name": name, "group": group, "quality": quality}


def _recipes(codec: Codec, qualities: list[tuple[int, int]], shift: tuple[int, int]) -> list[_Recipe]:
    for pair in qualities:
        read_quality(codec, sorted(set(pair)))
    if len(set(map(tuple, qualities))) < len(qualities):
        raise UserError(f"qualities: found {list(map(list, qualities))}, expected different pairs")
    return [_Recipe(first, second, (shift[0], shift[1])) for first, second in qualities]
