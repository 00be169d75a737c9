"""Damaged images made on the fly from clean ones."""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import PositiveInt

from powerqe.dataset.augment import mix, random_between, random_crop, random_symmetry
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

GRID = 16  # pixels; a JPEG unit with 4:2:0 chroma, and a multiple of all smaller ones


@DATASETS.register()
class DegradedImages:
    """Clean images `gt`, and `lq` made from them by a codec when a sample is loaded.

    A whole image is compressed as it is. For training with `grid: image`, the blocks of the codec's grid (16 x
    16) that the patch touches are compressed and the patch is cut out of the result, so it lies on the grid as it
    does in the compressed whole image, and has its pixels (but for the chroma at the edges of the blocks). That
    is JPEG; the other codecs predict a block from its neighbors, and code those of a patch again: the pixels
    differ, with the same quality. Compress the data set beforehand to train on exactly the pixels of whole
    images. With `grid: patch` the patch is flipped and rotated first and compressed by itself, so the grid
    begins at its corner. `grid: mixed` is each with equal probability.

    With codec JPEG samples have their quantization tables, which QCN and QGCN need, if the grid begins at the
    sample's corner: whole images, and patches with `grid: patch`.

    Args:
        gt: folder or store of clean images.
        quality: one quality; or a list, then each image comes at each of them; or {min, max}, then
            training draws one for each sample, and whole images cannot be loaded. {min, max, often: [...],
            share: p} draws one of `often` with probability p (0.75), and {min, max, power: p}
            low numbers more often if p > 1, min + (max - min) u^p of a uniform u.
        codec: {type: NAME, ...}, by default JPEG as OpenCV writes it.
        grid: where the codec's blocks begin in a training patch: where they do in the whole image, at the patch's
            corner, or both.
        slice, patch, flip, rotate, color: see `powerqe.dataset.images.PairedImages`.

    Raises:
        UserError: nothing to read, a quality that the codec does not have, a slice outside of the set;
            on reading a sample, a damaged file or an image smaller than the patch.
    """

    def __init__(
        self,
        *,
        gt: str,
        quality: Quality,
        codec: Annotated[Any, Slot("codec")] = {"type": "JPEG"},  # noqa: B006 - never changed
        grid: Literal["image", "patch", "mixed"] = "image",
        slice: tuple[int, int] | None = None,
        patch: PositiveInt | None = None,
        flip: bool = False,
        rotate: bool = False,
        color: Literal["rgb", "y"] = "rgb",
    ) -> None:
        self._patch, self._flip, self._rotate, self._grid = patch, flip, rotate, grid
        self._codec: Codec = create("codec", codec)
        self._range, self._qualities = read_quality(self._codec, quality)
        self._gt = ImageSource(gt, color)
        self._stems = take_slice(self._gt.stems(), slice, gt)

    def __len__(self) -> int:
        return len(self._stems) * len(self._qualities)

    def __getitem__(self, request: int | Draw) -> Sample:
        index = request.index if isinstance(request, Draw) else request
        image, setting = divmod(index, len(self._qualities))
        stem, quality = self._stems[image], self._qualities[setting]
        if isinstance(request, Draw):
            if self._range is not None:
                quality = self._range.draw(request.seed)
            return self._random(stem, quality, request.seed)
        if self._range is not None:
            raise UserError("quality: {min, max} is for training; give a quality or a list to test on whole images")
        gt = self._gt[stem]
        sample = self._sample(stem, quality, self._codec.compress(gt, quality)[0], gt, own_grid=True)
        if isinstance(self._codec, JPEG):
            sample["file"] = self._codec.encode(gt, quality)
        return sample

    def _random(self, stem: str, quality: int, seed: int) -> Sample:
        stored = self._gt.stored(stem)
        height, width = stored.shape[:2]
        box = CropBox(0, 0, height, width)
        if self._patch is not None:
            check_patch(stored, self._patch, self._gt, stem)
            box = random_crop(seed, height, width, self._patch)
        symmetry = random_symmetry(seed, self._flip, self._rotate)
        if self._grid == "patch" or (self._grid == "mixed" and random_between(mix(seed, 5), 0, 1)):
            gt = oriented(self._gt.converted(box.cut(stored), stem), symmetry)
            return self._sample(stem, quality, self._codec.compress(gt, quality)[0], gt, own_grid=True)
        region, inside = on_grid(box, height, width)
        clean = self._gt.converted(region.cut(stored), stem)
        damaged, _ = self._codec.compress(clean, quality)
        lq, gt = (oriented(inside.cut(image), symmetry) for image in (damaged, clean))
        return self._sample(stem, quality, lq, gt, own_grid=False)

    def _sample(self, stem: str, quality: int, lq: np.ndarray, gt: np.ndarray, *, own_grid: bool) -> Sample:
        group = f"{self._codec.quality_name}{quality}"
        name = f"{stem}-{group}" if len(self._qualities) > 1 else stem
        sample: Sample = {"lq": lq, "gt": gt, "name": name, "group": group, "quality": quality}
        if own_grid and self._grid != "mixed" and isinstance(self._codec, JPEG):
            sample["tables"] = quant_tables(quality, gt.shape[2])
        return sample


def on_grid(box: CropBox, height: int, width: int) -> tuple[CropBox, CropBox]:
    """The box grown to the grid of its height x width image, and the box as seen from there."""
    top, left = box.top % GRID, box.left % GRID
    bottom = min(-(-(box.top + box.height) // GRID) * GRID, height)
    right = min(-(-(box.left + box.width) // GRID) * GRID, width)
    region = CropBox(box.top - top, box.left - left, bottom - box.top + top, right - box.left + left)
    return region, CropBox(top, left, box.height, box.width)
