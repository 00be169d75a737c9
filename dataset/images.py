"""Pairs of damaged and clean images."""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from pydantic import PositiveInt

from powerqe.dataset.augment import random_crop, random_symmetry
from powerqe.dataset.samples import DATASETS, Draw, Sample
from powerqe.dataset.sources import ImageSource
from powerqe.dataset.table_source import Tables
from powerqe.utils.errors import UserError
from powerqe.utils.image.orientation import oriented

SETTING = re.compile(r"(?<![a-z])(q[fp])(\d+)(?!\d)", re.IGNORECASE)
_COMBINED = re.compile(r"(.+)-(q[fp]\d+)", re.IGNORECASE)


class _Item(NamedTuple):
    """One damaged image and its partner."""

    lq: ImageSource
    lq_stem: str
    image: str  # stem of the clean image
    name: str
    group: str
    quality: int

    def sample(self, lq: np.ndarray) -> Sample:
        return {"lq": lq, "name": self.name, "group": self.group, "quality": self.quality}


@DATASETS.register()
class PairedImages:
    """Damaged images `lq` with their clean originals `gt`, matched by stem over any image format.

    Each of both is a folder or an LMDB store. A list of lq folders makes one blind set: all have the same
    stems, the group of a sample is the setting in the folder's name ("qf10"; the whole name when there is
    none) and its name is `<stem>-<group>`. One combined folder with files `<stem>-qf10` or `<stem>-qp37`
    is the same set.

    Args:
        gt: clean images; null when there are none.
        lq: damaged images, one folder or store or several.
        slice: [start, stop): which of the sorted images to use. It counts clean images (those in lq
            without gt), so that all qualities of an image stay in one split. PowerQE 1 counted lq files.
        patch: side of the random training crop in pixels of lq; null trains on whole images.
        flip: random mirrors, left-right and up-down.
        rotate: random transposition; with flip all 8 flips and rotations, equally often.
        color: "rgb", or "y" for gray images and the luma of RGB ones (BT.601 studio range, rounded).
        scale: gt is this many times larger than lq in height and width.
        tables: give samples the quantization tables with which lq was compressed as JPEG, for QCN and QGCN: "file"
            reads them out of the JPEG files of lq; "estimate" takes libjpeg's tables of the quality factor estimated
            from the pixels, where lq is a store or was saved in another format. Networks lay the tables over a sample
            from its top left pixel, so patches begin at multiples of 8, where blocks do, and are not turned.

    Raises:
        UserError: nothing to read, unpaired files, a slice outside of the set, or tables together with flip or
            rotate; on reading a sample, a damaged file, sizes that do not match, an image smaller than the
            patch, or one without tables.
    """

    def __init__(
        self,
        *,
        gt: str | None,
        lq: str | list[str],
        slice: tuple[int, int] | None = None,
        patch: PositiveInt | None = None,
        flip: bool = False,
        rotate: bool = False,
        color: Literal["rgb", "y"] = "rgb",
        scale: PositiveInt = 1,
        tables: Literal["file", "estimate"] | None = None,
    ) -> None:
        if tables is not None and (flip or rotate):
            raise UserError(
                f"tables: {tables}: a patch that is flipped or rotated does not fit its tables; set flip and rotate to "
                "false, or make lq on the fly: DegradedImages with grid: patch"
            )
        self._patch, self._flip, self._rotate, self._scale = patch, flip, rotate, scale
        self._gt = None if gt is None else ImageSource(gt, color)
        sources = [ImageSource(path, color) for path in ([lq] if isinstance(lq, str) else lq)]
        images = pair_up(self._gt, sources)
        used = take_slice(list(images), slice, str(gt or lq))
        self._items = [item for image in used for item in images[image]]
        self._tables = None if tables is None else Tables(tables, sources, 1 if color == "y" else 3)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, request: int | Draw) -> Sample:
        if isinstance(request, Draw):
            return self._random(self._items[request.index], request.seed)
        return self._whole(self._items[request])

    def _whole(self, item: _Item) -> Sample:
        lq = item.lq.stored(item.lq_stem)
        sample = item.sample(item.lq.converted(lq, item.lq_stem))
        self._add_tables(sample, item, lq)
        if (file := item.lq.jpeg_file(item.lq_stem)) is not None:
            sample["file"] = file
        if self._gt is not None:
            sample["gt"] = self._gt[item.image]
            self._check_sizes(item, sample["lq"].shape, sample["gt"].shape)
        return sample

    def _random(self, item: _Item, seed: int) -> Sample:
        lq = stored = item.lq.stored(item.lq_stem)
        gt = None if self._gt is None else self._gt.stored(item.image)
        if gt is not None:
            self._check_sizes(item, lq.shape, gt.shape)
        if self._patch is not None:
            check_patch(lq, self._patch, item.lq, item.lq_stem)
            height, width = lq.shape[:2]
            box = random_crop(seed, height, width, self._patch, unit=8 if self._tables else 1)
            lq = box.cut(lq)
            gt = None if gt is None else box.scaled(self._scale).cut(gt)
        symmetry = random_symmetry(seed, self._flip, self._rotate)
        sample = item.sample(oriented(item.lq.converted(lq, item.lq_stem), symmetry))
        self._add_tables(sample, item, stored)
        if self._gt is not None and gt is not None:
            sample["gt"] = oriented(self._gt.converted(gt, item.image), symmetry)
        return sample

    def _add_tables(self, sample: Sample, item: _Item, stored: np.ndarray) -> None:
        if self._tables is not None:
            sample["tables"] = self._tables.of(item.lq, item.lq_stem, stored)

    def _check_sizes(self, item: _Item, lq: tuple[int, ...], gt: tuple[int, ...]) -> None:
        if gt[0] != self._scale * lq[0] or gt[1] != self._scale * lq[1]:
            assert self._gt is not None
            factor = f"{self._scale} times the" if self._scale != 1 else "the same"
            raise UserError(
                f"{self._gt.where(item.image)} has {gt[1]}x{gt[0]} pixels and {item.lq.where(item.lq_stem)} "
                f"{lq[1]}x{lq[0]}; gt must have {factor} size"
            )


def check_patch(image: np.ndarray, patch: int, source: ImageSource, stem: str, margin: int = 0) -> None:
    """Raise `UserError` when a patch and a margin do not fit into an image."""
    height, width, _ = image.shape
    if min(height, width) < patch + margin:
        need = f"patch: {patch}" + (f" + {margin}" if margin else "")
        raise UserError(f"{source.where(stem)} has {width}x{height} pixels, less than {need}; lower patch")


def take_slice(images: list[str], limits: tuple[int, int] | None, where: str, what: str = "images") -> list[str]:
    """The images (or `what` they are) [start, stop); raises `UserError` when they do not exist."""
    if limits is None:
        return images
    start, stop = limits
    if not 0 <= start < stop <= len(images):
        raise UserError(f"slice: [{start}, {stop}] does not fit the {len(images)} {what} of {where}")
    return images[start:stop]


def pair_up(gt: ImageSource | None, sources: list[ImageSource]) -> dict[str, list[_Item]]:
    """The damaged images of each clean image (without gt: of each name), in order.

    Raises:
        UserError: files without partner, or two sources with one group.
    """
    several = len(sources) > 1
    groups = [_group_of(source, several) for source in sources]
    if len(set(groups)) != len(groups) or not groups:
        paths = ", ".join(str(source.path) for source in sources)
        raise UserError(f"lq: [{paths}]: give at least one folder, and folders of different names")
    known = None if gt is None else set(gt.stems())
    pairs: dict[str, list[_Item]] = {}
    for source, group in zip(sources, groups, strict=True):
        for stem in source.stems():
            image, setting = _split(stem, known)
            name = f"{stem}-{group}" if several else stem
            pairs.setdefault(image, []).append(_Item(source, stem, image, name, *_setting(setting or group)))
    images = sorted(pairs) if gt is None else gt.stems()
    for source in sources:
        found = {_split(stem, known)[0]: stem for stem in source.stems()}
        other = gt.path if gt is not None else sources[0].path
        lonely = [stem for image, stem in found.items() if known is not None and image not in known]
        check_paired(lonely, len(found), source.path, len(images), other)
        check_paired([image for image in images if image not in found], len(images), other, len(found), source.path)
    return {image: pairs[image] for image in images}


def check_paired(
    lonely: list[str], count: int, path: object, other_count: int, other: object, what: str = "images"
) -> None:
    """Raise `UserError` when some of the `count` images (or `what` they are) in `path` have no partner in `other`."""
    if lonely:
        first = ", ".join(sorted(lonely)[:3]) + (", ..." if len(lonely) > 3 else "")
        raise UserError(
            f"{len(lonely)} of the {count} {what} in {path} have no partner among the {other_count} in {other}: "
            f"{first}; pairs need the same {'stem' if what == 'images' else 'name'}"
        )


def read_setting(name: str) -> tuple[str, int]:
    """Setting of the compression in the name of a folder: "bpg_QP37" -> ("qp37", 37); ("", -1) if nothing."""
    setting = SETTING.search(name)
    return (setting[0].lower(), int(setting[2])) if setting else ("", -1)


def _group_of(source: ImageSource, several: bool) -> str:
    name = source.path.name
    return read_setting(name)[0] or (name if several else "")


def _setting(group: str) -> tuple[str, int]:
    """The group and its quality: "qf10" -> 10, without a number -1."""
    setting = SETTING.search(group)
    return group, int(setting[2]) if setting else -1


def _split(stem: str, known: Iterable[str] | None) -> tuple[str, str]:
    """Clean image and setting of a damaged one: `0001-qf10` -> 0001, qf10; a known stem stays as it is."""
    combined = _COMBINED.fullmatch(stem)
    if combined is None:
        return stem, ""
    image = stem if known is not None and stem in known else combined[1]
    return image, combined[2].lower()
