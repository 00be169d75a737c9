"""One image through one model, in bands: of a huge image only these are there as floats, rows of tiles or less.

Besides the maps of a tile and about 1 GB for all else, PyTorch with it, an image takes the bytes of its pixels; twice
as many where the result may not take their place. On top of it come, in files of other kinds than JPEG, gray or RGB, 4
bytes per pixel while they are read; in progressive JPEG files the coefficients (utils/codecs/jpeg_bands.py); about 12
bytes per pixel where alpha is 0 somewhere; and in results other than PNG files a copy of the pixels, and the file.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from powerqe.dataset.loader import Batch
from powerqe.inference.channels import check_same_size, in_channels_of
from powerqe.inference.consistency import ConsistentBands, JPEGFile, unusable
from powerqe.inference.lazy_image import LazyImage, to_batch
from powerqe.inference.model import Model
from powerqe.inference.tile_grid import Order
from powerqe.utils.codecs.constraint_bands import BAND
from powerqe.utils.errors import UserError
from powerqe.utils.image.orientation import oriented_view, restored_view
from powerqe.utils.image.photo import Photo
from powerqe.utils.image.tensors import to_image, turned_back
from powerqe.utils.memory import check_memory


@dataclass
class BandWork:
    """What is enhanced and how; `run` does it.

    Args:
        photo: as stored. seen: its pixels, or one channel of them, as the network sees them: turned by `symmetry`.
        known: what the network is conditioned on. title: of a progress bar.
        in_place: whether the result may take the place of the photo's pixels, which halves the memory. It does where
            all that is still needed of these can be kept.

    Attributes:
        pixels: of the result, turned by `symmetry`. estimates: of the network. notes: for the user. channels: of what
            the network gave.
    """

    photo: Photo
    seen: LazyImage
    symmetry: int
    known: Batch
    model: Model
    title: str | None = None
    in_place: bool = False
    pixels: np.ndarray = field(init=False)
    estimates: dict[str, float] = field(init=False, default_factory=dict)
    notes: list[str] = field(init=False, default_factory=list)
    channels: int = field(init=False, default=0)
    _free: int = field(init=False, default=0)

    def run(self) -> None:
        """Enhance the image.

        Raises:
            UserError: see `enhance_photo`.
        """
        constraint = self._constraint()
        self.in_place &= (
            self.model.is_local and self.model.scale == 1 and not (constraint and constraint.may_come_again)
        )
        self._enhance(constraint)
        if constraint and constraint.again:
            self._enhance(constraint)
        self.notes += [constraint.note] if constraint and constraint.note else []

    def _enhance(self, constraint: ConsistentBands | None) -> None:
        with closing(self._results()) as results:
            self._store(constraint(_regrouped(results, constraint.height)) if constraint else results)

    @property
    def _is_held(self) -> bool:
        """Whether the result is held against the file."""
        return self.photo.file is not None and self.model.scale == 1 and self.model.options.consistency != "off"

    @property
    def _has_no_color(self) -> bool:
        """Whether one channel of RGB was enhanced for all."""
        return self.seen.pixels.shape[2] < self.photo.pixels.shape[2]

    def _constraint(self) -> ConsistentBands | None:
        options = self.model.options
        if not self._is_held or self.photo.file is None:
            return None
        file = JPEGFile(self.photo.file, self.photo.pixels)
        try:
            return ConsistentBands(file, options.consistency, trusted=options.force_enhance)
        except UserError as error:
            self.notes.append(unusable(error))
            return None

    def _results(self) -> Generator[Tensor]:
        """Bands of what the network gives, rows as stored, in the channels of the image."""
        order = Order(-1 if self.symmetry & 4 else -2, backwards=bool(self.symmetry & 2))
        top = 0
        for band in self.model.bands(self.seen, self.known, order, self.title):
            self.estimates, self._free = band.estimates, band.free
            self.channels = 3 if self._has_no_color else band.result.shape[1]
            result = turned_back(band.result, self.symmetry)
            height = result.shape[2]
            for start in range(0, height, BAND):
                rows = slice(start, min(start + BAND, height))
                yield self._in_channels(result[:, :, rows], slice(top + rows.start, top + rows.stop))
            top += height
            band = result = None  # not beside the next one

    def _in_channels(self, result: Tensor, rows: slice) -> Tensor:
        channels = self.photo.pixels.shape[2]
        if self._has_no_color:
            result = result.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        if not self._is_held:
            result = result.clamp(0, 1)
        if result.shape[1] == channels:
            return result
        pixels = self.photo.pixels[rows]
        seen = LazyImage(pixels, self.seen.channels).part(slice(None))
        check_same_size(result, seen, channels)
        return in_channels_of(to_batch(pixels), result, seen)

    def _store(self, bands: Iterable[Tensor]) -> None:
        pixels, dtype = self.photo.pixels, self.photo.pixels.dtype
        if self.in_place:
            self.pixels = oriented_view(pixels, self.symmetry)
        else:
            height, width = (self.model.scale * side for side in self.seen.pixels.shape[:2])
            check_memory(pixels.nbytes * self.model.scale**2)
            self.pixels = np.empty((height, width, pixels.shape[2]), dtype)
        as_stored, top = restored_view(self.pixels, self.symmetry), 0
        waiting: deque[tuple[slice, np.ndarray]] = deque()
        for band in bands:
            waiting.append((slice(top, top + band.shape[2]), rounded(band, dtype)))
            top += band.shape[2]
            while waiting and (not self.in_place or waiting[0][0].stop <= self._free):
                rows, new = waiting.popleft()
                as_stored[rows] = new
        for rows, new in waiting:
            as_stored[rows] = new


def rounded(result: Tensor, dtype: np.dtype[Any]) -> np.ndarray:
    """(1, C, H, W) in nominal [0, 1] -> (H, W, C) uint8 or uint16."""
    if dtype == np.uint8:
        return to_image(result[0])
    peak = np.iinfo(dtype).max
    return (result[0].clamp(0, 1).double() * peak).round().permute(1, 2, 0).numpy().astype(np.uint16)


def _regrouped(bands: Iterable[Tensor], height: int) -> Iterator[Tensor]:
    """Rows of tensors (1, C, rows, W) in tensors of this height, the last of the rest."""
    waiting: list[Tensor] = []
    missing = height
    for band in bands:
        while band.shape[2] >= missing:
            yield torch.cat([*waiting, band[:, :, :missing]], 2)
            band, waiting, missing = band[:, :, missing:], [], height
        if band.shape[2]:
            waiting.append(band.clone())  # of these rows alone
            missing -= band.shape[2]
        band = None
    if waiting:
        yield torch.cat(waiting, 2)
