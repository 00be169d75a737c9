"""Small images made on the fly from large ones, for super-resolution."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import PositiveInt

from powerqe.dataset.augment import random_between, random_crop, random_symmetry
from powerqe.dataset.degrade import on_grid
from powerqe.dataset.images import take_slice
from powerqe.dataset.samples import DATASETS, Draw, Sample
from powerqe.dataset.sources import ImageSource
from powerqe.utils.codecs import Codec, check_quality
from powerqe.utils.errors import UserError
from powerqe.utils.image.crop import CropBox
from powerqe.utils.image.imresize import crop_to_multiple, imresize
from powerqe.utils.image.orientation import oriented
from powerqe.utils.options.components import Section, Slot, create

_MARGIN = 2  # pixels of lq; MATLAB's kernel reaches less than 2 of them from the middle of one


class CodecQualities(Section):
    """A codec and the qualities at which it compresses."""

    codec: Annotated[Any, Slot("codec")] = {"type": "JPEG"}  # noqa: RUF012 - never changed
    quality: int | list[int]


class _Setting(NamedTuple):
    """What happens to a small image; without codec nothing."""

    codec: Codec | None
    quality: int
    group: str

    def applied(self, clean: np.ndarray) -> np.ndarray:
        return clean if self.codec is None else self.codec.compress(clean, self.quality)[0]


@DATASETS.register()
class DownSampledImages:
    """Clean images `gt`, and `lq` made from them by MATLAB's bicubic interpolation when a sample is loaded.

    gt loses the last rows and columns that the scale does not divide. A training patch has exactly the pixels that
    the down-sampled whole image has there.

    With `codecs`, lq is compressed, too, and the sample has the small image before that as `clean`; each image comes
    at each quality of each codec, in training, too. What is compressed for a training patch are the blocks of the
    grid of JPEG that it touches, see `powerqe.dataset.degrade.DegradedImages`: with JPEG it has the pixels of the
    compressed whole image, but for the chroma at the edges of these blocks; WebP and other codecs code that
    region anew.

    Args:
        gt: folder or store of clean images.
        scale: gt is this many times larger than lq in height and width. Of a list, whole images come at each scale,
            and all patches of a training batch at one of them, chosen at random.
        patch: side of the random training crop in pixels of lq; null trains on whole images.
        codecs: what lq is compressed with: codecs, each with a quality or a list of them; null for not at all.
        slice, flip, rotate, color: see `powerqe.dataset.images.PairedImages`.

    Raises:
        UserError: nothing to read, a quality that a codec does not have, one setting twice, a slice outside of the
            set; on reading a sample, a damaged file or an image smaller than the patch.
    """

    def __init__(
        self,
        *,
        gt: str,
        scale: PositiveInt | list[PositiveInt],
        patch: PositiveInt | None = None,
        codecs: list[CodecQualities] | None = None,
        slice: tuple[int, int] | None = None,
        flip: bool = False,
        rotate: bool = False,
        color: Literal["rgb", "y"] = "rgb",
    ) -> None:
        self._patch, self._flip, self._rotate = patch, flip, rotate
        self._scales = [scale] if isinstance(scale, int) else list(scale)
        if not self._scales or len(set(self._scales)) < len(self._scales):
            raise UserError(f"scale: found {self._scales}, expected one or more different numbers")
        self._settings = [_Setting(None, -1, "")] if codecs is None else _read_codecs(codecs)
        self._gt = ImageSource(gt, color)
        self._stems = take_slice(self._gt.stems(), slice, gt)

    def __len__(self) -> int:
        return len(self._stems) * len(self._scales) * len(self._settings)

    def __getitem__(self, request: int | Draw) -> Sample:
        index = request.index if isinstance(request, Draw) else request
        index, setting = divmod(index, len(self._settings))
        image, scale = divmod(index, len(self._scales))
        if isinstance(request, Draw):  # the whole batch must have the same size
            scale = random_between(request.batch, 0, len(self._scales) - 1)
            return self._random(self._stems[image], self._scales[scale], self._settings[setting], request.seed)
        return self._whole(self._stems[image], self._scales[scale], self._settings[setting])

    def _whole(self, stem: str, scale: int, setting: _Setting) -> Sample:
        stored = self._gt.stored(stem)
        self._check_size(stored, stem, scale, 1)
        gt = np.ascontiguousarray(self._gt.converted(crop_to_multiple(stored, scale), stem))
        clean = imresize(gt, Fraction(1, scale))
        return self._sample(stem, scale, setting, setting.applied(clean), clean, gt)

    def _random(self, stem: str, scale: int, setting: _Setting, seed: int) -> Sample:
        stored = self._gt.stored(stem)
        self._check_size(stored, stem, scale, self._patch or 1)
        height, width = (side // scale for side in stored.shape[:2])
        box = CropBox(0, 0, height, width)
        if self._patch is not None:
            box = random_crop(seed, height, width, self._patch)
        coded = box if setting.codec is None else on_grid(box, height, width)[0]
        around = _with_margin(coded, height, width)
        large = self._gt.converted(around.scaled(scale).cut(stored), stem)
        region = coded.within(around).cut(imresize(large, Fraction(1, scale)))
        inside = box.within(coded)
        lq, clean = inside.cut(setting.applied(region)), inside.cut(region)
        gt = box.within(around).scaled(scale).cut(large)
        symmetry = random_symmetry(seed, self._flip, self._rotate)
        return self._sample(stem, scale, setting, *(oriented(image, symmetry) for image in (lq, clean, gt)))

    def _sample(
        self, stem: str, scale: int, setting: _Setting, lq: np.ndarray, clean: np.ndarray, gt: np.ndarray
    ) -> Sample:
        size = f"x{scale}" if setting.codec is None or len(self._scales) > 1 else ""
        group = "-".join(part for part in (size, setting.group) if part)
        name = f"{stem}-{group}" if len(self._scales) * len(self._settings) > 1 else stem
        sample: Sample = {
            "lq": lq, "gt": gt, "name": name, "group": group, "quality": setting.quality, "scale": scale
        }  # fmt: skip
        if setting.codec is not None:
            sample["clean"] = clean
        return sample

    def _check_size(self, stored: np.ndarray, stem: str, scale: int, side: int) -> None:
        height, width, _ = stored.shape
        if min(height, width) < scale * side:
            needed = f"scale: {scale}" if side == 1 else f"{scale} x patch: {side}"
            raise UserError(
                f"{self._gt.where(stem)} has {width}x{height} pixels, less than {needed}; "
                f"lower {'scale' if side == 1 else 'patch'}, or leave the image out"
            )


def _read_codecs(codecs: Sequence[CodecQualities]) -> list[_Setting]:
    """Every quality of every codec."""
    settings = []
    for coded in codecs:
        codec: Codec = create("codec", coded.codec)
        for quality in [coded.quality] if isinstance(coded.quality, int) else coded.quality:
            group = f"{type(codec).__name__.lower()}{quality}"
            settings.append(_Setting(codec, check_quality(codec, quality), group))
    groups = [setting.group for setting in settings]
    if not groups or len(set(groups)) < len(groups):
        raise UserError(f"codecs: found {', '.join(groups) or 'no quality'}, expected one or more different ones")
    return settings


def _with_margin(box: CropBox, height: int, width: int) -> CropBox:
    """The box grown by what the kernel needs around it, as far as its height x width image reaches."""
    top, left = max(box.top - _MARGIN, 0), max(box.left - _MARGIN, 0)
    bottom = min(box.top + box.height + _MARGIN, height)
    right = min(box.left + box.width + _MARGIN, width)
    return CropBox(top, left, bottom - top, right - left)
