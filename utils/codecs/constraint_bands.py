"""The quantization constraint (quantization_constraint.py) for an image that comes in bands."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from powerqe.utils.codecs.jpeg_bands import CoefficientBands
from powerqe.utils.codecs.quantization_constraint import NARROW, TRUST, Changes, QuantizationConstraint

BAND = 32
"""Rows of pixels of a band, or somewhat more: whole units of the file."""
_LEAST = 1e-3
_AROUND = TRUST.neighborhood // 2


class BandConstraint:
    """The images that a JPEG file may have been made from.

    Args:
        file: its coefficients.

    Attributes:
        height: rows of a band. moved, outside, kept: sums over the blocks of luma of all bands that came: energy of
            the change, of what lay outside of the set, and of what was kept.
    """

    def __init__(self, file: CoefficientBands) -> None:
        self._file = file
        self.height = -(-BAND // file.unit) * file.unit
        self.moved = self.outside = self.kept = 0.0

    @property
    def contradiction(self) -> float:
        """As of `Constrained`."""
        return self.outside / max(self.moved, _LEAST)

    @property
    def share_kept(self) -> float:
        """As `kept` of `Constrained`."""
        return self.kept / max(self.moved, _LEAST)

    def measured(self, bands: Iterable[Tensor]) -> Iterator[Tensor]:
        """The bands of an image as they are; it is known then how far they contradict the file.

        Args:
            bands: (1, C, `height`, W) in [0, 1]; the last has the rest.

        Raises:
            UserError: damaged data of the file.
        """
        for image, coefficients in zip(bands, self._file.bands(self.height), strict=True):
            self._add(QuantizationConstraint(coefficients).changes(image))
            yield image

    def weighed(self, bands: Iterable[tuple[Tensor, Tensor]], *, trusted: bool) -> Iterator[Tensor]:
        """The bands of an image as `QuantizationConstraint.weigh` makes them.

        Args:
            bands: of the image and of the decoded JPEG, see `measured`.
            trusted: keep all of what is in the set.

        Raises:
            UserError: as above.
        """
        before: Changes | None = None
        waiting: _Waiting | None = None
        for (image, decoded), coefficients in zip(bands, self._file.bands(self.height), strict=True):
            constraint = QuantizationConstraint(coefficients)
            changes = constraint.changes(image)
            self._add(changes)
            if trusted:
                self.kept = self.moved
                yield constraint.project(image, 1.0)
                continue
            if waiting is not None:
                yield self._blended(before, waiting, changes)
                before = waiting[3]
            waiting = constraint, image, decoded, changes
        if waiting is not None:
            yield self._blended(before, waiting, None)

    def _add(self, changes: Changes) -> None:
        self.moved += float(changes.moved.double().sum())
        self.outside += float(changes.outside.double().sum())

    def _blended(self, before: Changes | None, band: "_Waiting", after: Changes | None) -> Tensor:
        """With the blocks around it, which are judged together with its own."""
        constraint, image, decoded, own = band
        above = [each[-_AROUND:] for each in before] if before else [each[:0] for each in own]
        below = [each[:_AROUND] for each in after] if after else [each[:0] for each in own]
        changes = Changes(*(torch.cat(each) for each in zip(above, own, below, strict=True)))
        kept = constraint.trusted(changes)[len(above[0]) :][: len(own.moved)]
        self.kept += float((kept * own.moved).double().sum())
        return constraint.blend(image, decoded, kept, NARROW)


_Waiting = tuple[QuantizationConstraint, Tensor, Tensor, Changes]
