"""Images degraded by a chain of steps (real-world degradations)."""

from typing import Literal

import numpy as np
from pydantic import PositiveInt

from powerqe.dataset.augment import Dice, mix, random_between, random_crop, random_symmetry
from powerqe.dataset.degradations.degradation import Action, DegradedPair
from powerqe.dataset.degradations.groups import Sequence, Steps
from powerqe.dataset.degrade import GRID
from powerqe.dataset.images import check_patch, take_slice
from powerqe.dataset.samples import DATASETS, Draw, Sample
from powerqe.dataset.sources import ImageSource
from powerqe.utils.image.crop import CropBox
from powerqe.utils.image.orientation import oriented


@DATASETS.register()
class ChainedImages:
    """Clean images `gt`, and `lq` made from them by a chain of degradations when a sample is loaded.

    Each step happens, in the order of the list, to its share of the samples. What moves pixels (Resize, the crop of
    JPEG) happens to gt, too; everything else to lq only. So gt has the size of lq and is the same image without
    damage: after {JPEG, Resize, JPEG} it is the clean image, resized.

    For training a part of the clean image is flipped and rotated, goes through the chain as an image of its own, and
    the patch is cut out of what comes out. Whole images go through it as they are, each with the damage that its
    number in the set draws, so that a validation always sees the same.

    The quality of a sample is the quality factor of the JPEG that was the last step, -1 after any other step and with
    tables that are no libjpeg's. Samples have their quantization tables if the last step was JPEG and its blocks begin
    at the sample's corner: whole images, and patches with `grid: patch`.

    Args:
        gt: folder or store of clean images.
        chain: degradations {type: NAME, share: p, ...} in order.
        grid: where the blocks of the last codec begin in a training patch: anywhere, as in a patch of a whole
            image; or at the patch's corner.
        slice, patch, flip, rotate, color: see `dataset.images.PairedImages`.

    Raises:
        UserError: nothing to read, no step, or a step that cannot be done, a slice outside of the set; on reading a
            sample, a damaged file or an image smaller than the patch.
    """

    def __init__(
        self,
        *,
        gt: str,
        chain: Steps,
        grid: Literal["image", "patch"] = "image",
        slice: tuple[int, int] | None = None,
        patch: PositiveInt | None = None,
        flip: bool = False,
        rotate: bool = False,
        color: Literal["rgb", "y"] = "rgb",
    ) -> None:
        self._patch, self._flip, self._rotate = patch, flip, rotate
        self._own_grid = grid == "patch"
        self._chain = Sequence(steps=chain)
        self._gt = ImageSource(gt, color)
        self._stems = take_slice(self._gt.stems(), slice, gt)

    def __len__(self) -> int:
        return len(self._stems)

    def __getitem__(self, request: int | Draw) -> Sample:
        index, seed = (request.index, request.seed) if isinstance(request, Draw) else (request, mix(request))
        stem, action = self._stems[index], self._chain.draw(Dice(mix(seed, 3)))
        if not isinstance(request, Draw):
            return self._sample(stem, _whole(action, self._gt[stem]), own_grid=True)
        if self._patch is None:
            clean = oriented(self._gt[stem], random_symmetry(seed, self._flip, self._rotate))
            return self._sample(stem, _whole(action, clean), own_grid=True)
        return self._sample(stem, self._random(stem, action, self._patch, seed), own_grid=self._own_grid)

    def _random(self, stem: str, action: Action, patch: int, seed: int) -> DegradedPair:
        """A patch of the image that the action makes of a part of the image, large enough for it if there is."""
        stored = self._gt.stored(stem)
        check_patch(stored, patch, self._gt, stem)
        side = action.needs(patch if self._own_grid else patch + GRID - 1)
        part = self._gt.converted(_part(seed, stored, side).cut(stored), stem)
        clean = oriented(part, random_symmetry(seed, self._flip, self._rotate))
        pair = action.apply(DegradedPair(clean, clean), patch)
        box = CropBox(0, 0, patch, patch)
        if not self._own_grid:
            height, width, _ = pair.lq.shape
            box = random_crop(mix(seed, 4), height, width, patch)
        return pair._replace(lq=box.cut(pair.lq), gt=box.cut(pair.gt))

    def _sample(self, stem: str, pair: DegradedPair, *, own_grid: bool) -> Sample:
        lq, gt = (oriented(image, 0) for image in (pair.lq, pair.gt))  # contiguous
        sample: Sample = {"lq": lq, "gt": gt, "name": stem, "group": "", "quality": pair.quality}
        if own_grid and pair.tables is not None:
            sample["tables"] = pair.tables
        return sample


def _whole(action: Action, clean: np.ndarray) -> DegradedPair:
    return action.apply(DegradedPair(clean, clean), 1)


def _part(seed: int, image: np.ndarray, side: int) -> CropBox:
    """A uniformly placed box of an image, `side` high and wide as far as the image is."""
    height, width, _ = image.shape
    rows, columns = min(side, height), min(side, width)
    top = random_between(mix(seed, 5), 0, height - rows)
    return CropBox(top, random_between(mix(seed, 6), 0, width - columns), rows, columns)
