"""What a JPEG file says itself, held against what a network made of it.

See utils/codecs/quantization_constraint.py for the set of images that the file allows. If the image was compressed
more strongly before, the set contains that damage, and would keep it: then it is not used.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from powerqe.utils.codecs.constraint_bands import BandConstraint
from powerqe.utils.codecs.jpeg_bands import CoefficientBands
from powerqe.utils.codecs.jpeg_coefficients import read_coefficients
from powerqe.utils.codecs.jpeg_dominant import dominant_quality
from powerqe.utils.codecs.jpeg_estimate import middle
from powerqe.utils.codecs.jpeg_tables import nearest_quality
from powerqe.utils.codecs.quantization_constraint import QuantizationConstraint
from powerqe.utils.errors import UserError
from powerqe.utils.image.photo import Photo

Consistency = Literal["auto", "on", "off"]
CONSISTENCY: tuple[Consistency, ...] = get_args(Consistency)
_STRONGER = 5
"""By how much lower an earlier quality factor has to be, to be that of a stronger compression."""
_AGREEMENT = 0.02
"""Share of a change outside of the set up to which the constraint takes hardly anything back, whatever came before."""
_DISAGREEMENT = 0.25
"""The share from which network and file are said to disagree."""


class JPEGFile(NamedTuple):
    """A JPEG file and its decoded pixels, both as stored.

    data: its bytes. pixels: uint8 (H, W, 1 or 3).
    """

    data: bytes
    pixels: np.ndarray


def consistent(file: JPEGFile, image: Tensor, mode: Consistency, *, trusted: bool = False) -> tuple[Tensor, str]:
    """Bring what a network made of a JPEG file into agreement with the file.

    Args:
        image: (1, C, H, W) float, of the size and channels of the file's pixels, as stored.
        mode: "on": always; "auto": unless an earlier, stronger compression shows; "off": not at all.
        trusted: keep all of the network's change that the file allows.

    Returns:
        (1, C, H, W), and a note for the user, which may be empty.
    """
    if mode == "off" or image.shape[1:] != (file.pixels.shape[2], *file.pixels.shape[:2]):
        return image, ""
    try:
        constraint = QuantizationConstraint(read_coefficients(file.data))
    except UserError as error:
        return image, unusable(error)
    if (constraint.channels, *constraint.size) != image.shape[1:]:
        return image, ""
    decoded = _decoded(file.pixels, image)
    image = image.clamp(0, 1)
    found = constraint.weigh(image, decoded, 1.0, None) if trusted else constraint.weigh(image, decoded)
    if mode == "auto" and found.contradiction > _AGREEMENT:
        earlier = earlier_quality(file.pixels, constraint.quality)
        if earlier is not None:
            return image, _earlier_remark(earlier)
    return found.image, _remark(found.contradiction, found.kept)


class ConsistentBands:
    """`consistent` for an image that comes in bands (1, C, `height`, W), as stored, the last with the rest.

    Whether an earlier compression decides against the file depends on the whole image. Where one shows, bands stay as
    they are, and if the network agrees with the file all the same, they have to come `again`.

    Args:
        file, mode, trusted: see `consistent`; mode is "on" or "auto".

    Attributes:
        again: whether all bands have to come once more. note: for the user, after them.

    Raises:
        UserError: the file has no coefficients that can be used.
    """

    def __init__(self, file: JPEGFile, mode: Consistency, *, trusted: bool) -> None:
        self._file, self._trusted, self.again = file, trusted, False
        self._coefficients = CoefficientBands(file.data)
        height, width, channels = file.pixels.shape
        if (self._coefficients.size, self._coefficients.channels) != ((height, width), channels):
            raise UserError("JPEG data: they are of another image")
        quality = nearest_quality(self._coefficients.steps[None])[0]
        self._earlier = earlier_quality(file.pixels, quality) if mode == "auto" else None
        self._constraint = BandConstraint(self._coefficients)
        self.height = self._constraint.height

    def __call__(self, bands: Iterable[Tensor]) -> Iterator[Tensor]:
        """The bands in agreement with the file.

        Raises:
            UserError: damaged data of the file.
        """
        self._constraint = BandConstraint(self._coefficients)
        bands = (band.clamp(0, 1) for band in bands)
        if self._earlier is None or self.again:
            self.again = False
            yield from self._constraint.weighed(self._with_decoded(bands), trusted=self._trusted)
        else:
            yield from self._constraint.measured(bands)
            self.again = self._constraint.contradiction <= _AGREEMENT

    @property
    def may_come_again(self) -> bool:
        """Whether it depends on the bands whether they have to."""
        return self._earlier is not None

    @property
    def note(self) -> str:
        contradiction = self._constraint.contradiction
        if self._earlier is not None and contradiction > _AGREEMENT:
            return _earlier_remark(self._earlier)
        return _remark(contradiction, self._constraint.share_kept)

    def _with_decoded(self, bands: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        for number, band in enumerate(bands):
            rows = self._file.pixels[number * self.height : (number + 1) * self.height]
            yield band, _decoded(rows, band)


def _decoded(pixels: np.ndarray, like: Tensor) -> Tensor:
    """(1, C, H, W) in [0, 1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].to(like) / 255


def _earlier_remark(quality: int) -> str:
    return f"shows an earlier JPEG compression of quality {quality}: the network is believed"


def _remark(contradiction: float, kept: float) -> str:
    if contradiction < _DISAGREEMENT:
        return ""
    reason = f"the network contradicts the file by {100 * contradiction:.0f} % of its change"
    return f"{reason}: the file is believed, {100 * kept:.0f} % of what it allows is kept"


def unusable(error: UserError) -> str:
    """A note for the user: why the coefficients of a file say nothing."""
    return f"its coefficients are not used ({str(error).removeprefix('JPEG data: ')})"


def declined(photo: Photo) -> str:
    """Why an image should stay as it is: nothing suggests that it was compressed; "" if something does.

    Files of lossless formats are judged by their visible pixels: they may hold a decoded JPEG, its blocks anywhere.
    """
    pixels = photo.with_hidden_filled().pixels
    if not photo.is_lossless or (photo.peak == 255 and dominant_quality(_part(pixels)).trusted):
        return ""
    return "nothing suggests that it was compressed: it stays as it is; --force-enhance or --weights enhance it"


def earlier_quality(pixels: np.ndarray, quality: int) -> int | None:
    """The quality factor of a stronger compression before the last one, of which there is good sign; else None.

    Args:
        pixels: of the file, uint8 (H, W, 1 or 3), as stored.
        quality: factor of the last compression.
    """
    found = dominant_quality(_part(pixels))
    return found.quality if found.trusted and found.quality <= quality - _STRONGER else None


def _part(pixels: np.ndarray) -> np.ndarray:
    """What is searched for traces of earlier compressions; more pixels do not help."""
    return np.ascontiguousarray(middle(pixels))
