"""The set of images from which a JPEG file may have been made, and the projection onto it.

For each coefficient of each block the file stores an integer k; what the encoder was given had a coefficient within
(k - 1/2) q ... (k + 1/2) q, q being the step of the quantization table. These intervals are a convex set that contains
the original, so the nearest image in the set is never further from the original than the image was (in the planes and
the sampling of the file). Sources: Zakhor, "Iterative procedures for reduction of blocking effects in transform image
coding", IEEE TCSVT 2(1), 1992; intervals that are narrower by a factor: Park and Kim, "Theory of projection onto the
narrow quantization constraint set", IEEE TCSVT 9(8), 1999.

The decoded JPEG is the center of the set, and the original somewhere in it: an image in the set can still be worse than
the decoded one. How much of a change is kept therefore depends on how much of it was outside of the set (`Trust`).
"""

from collections.abc import Iterator
from functools import cache, reduce
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from powerqe.utils.codecs.jpeg_coefficients import JPEGCoefficients, Plane
from powerqe.utils.codecs.jpeg_tables import nearest_quality
from powerqe.utils.image.color import YCBCR

NARROW = 0.5
"""Factor of the intervals where changes are weighed by trust: half of the set, around the decoded image."""
_ALLOWANCE = 0.5
"""By which an interval is wider on both sides, of 255: the encoder rounded its planes to 8 bits, and the result will
be rounded, too."""
_BLOCK = 8
_STRIP = 512
"""Rows that are treated at once; a multiple of all units of a JPEG file."""
_CENTER = 128
_LEAST = 1e-3
_COARSE = (8.0, 14.0)
"""Means of luma's 4x4 steps of low frequencies, of libjpeg's quality factors 74 and 57. From the first to the second a
change that agrees with the file is trusted more and more, whatever is in the block: blocks are visible there."""
_AGREEING = (0.1, 0.3)
"""Shares of a change outside of the set, from that of a network that agrees with the file to one that does not."""


class Trust(NamedTuple):
    """How much of a network's change is kept around a block: a linear function, between 0 and 1, of what is seen there.

    The defaults were fitted on crops of BSDS500's validation images and on graphics of a seed of their own, with all
    published networks for JPEG at quality factors 5 to 100, so that no image becomes worse (docs/consistency.md). A
    network that leaves the set nearly everywhere does not understand the image; small steps leave little to be won;
    and where the file has no detail, as graphics often have none, the decoded image may be the original itself.

    Attributes:
        offset: a constant; that of the fit (-1.642) less 0.2, as other graphics differ from these.
        contradiction: per factor of 10 of the share of the energy of the change of luma that lies outside of the set.
        step: per factor of 2 of the mean step of luma.
        flat: per share of blocks whose luma has a mean only. flat_step: of that, per factor of 2 of the step.
        detail: per factor of 2 of the number of coefficients of a block that are not 0, besides the mean, plus 1.
        neighborhood: side of the square of blocks that are judged together.
    """

    offset: float = -1.842
    contradiction: float = -0.408
    step: float = 0.199
    flat: float = -2.021
    flat_step: float = 0.171
    detail: float = 0.149
    neighborhood: int = 7

    def __call__(self, moved: Tensor, outside: Tensor, details: Tensor, step: float, low: float) -> Tensor:
        """(rows, columns) in 0 ... 1, of each block.

        Args:
            moved, outside: (rows, columns), energy of the change of each block and of what lies outside of the set.
            details: (rows, columns), how many coefficients are not 0, besides the mean.
            step: mean of the steps. low: that of the 4x4 low frequencies.
        """
        near = torch.stack([moved, outside, (details == 0).to(moved), details.to(moved)])
        size = self.neighborhood
        energy, contradicting, flat, detail = avg_pool2d(near, size, 1, size // 2, count_include_pad=False)
        share, steps = contradicting / energy.clamp_min(_LEAST), float(np.log2(step))
        kept = self.offset + self.contradiction * (share + _LEAST).log10() + self.step * steps
        kept = kept + (self.flat + self.flat_step * steps) * flat + self.detail * (detail + 1).log2()
        coarse = float(np.clip(np.log2(low / _COARSE[0]) / np.log2(_COARSE[1] / _COARSE[0]), 0, 1))
        agreeing = ((_AGREEING[1] - share) / (_AGREEING[1] - _AGREEING[0])).clamp(0, 1)
        return torch.maximum(kept.clamp(0, 1), coarse * agreeing)


TRUST = Trust()


class Constrained(NamedTuple):
    """An image after the constraint.

    Attributes:
        image: (1, C, H, W) in [0, 1].
        contradiction: share of the energy of the change of luma that lay outside of the set, 0 ... 1.
        kept: mean share of the change that was kept of what is inside, 0 ... 1; 1 without trust.
    """

    image: Tensor
    contradiction: float
    kept: float


class Changes(NamedTuple):
    """Of each block of luma, (rows, columns): energy of the change, and of what lies outside of the set; how many
    coefficients are not 0, besides the mean."""

    moved: Tensor
    outside: Tensor
    details: Tensor


class QuantizationConstraint:
    """The images that a JPEG file may have been made from.

    Args:
        coefficients: of the file.

    Attributes:
        channels: 1 or 3, that images have. size: (height, width) of the image as stored: before any rotation that
            its EXIF data asks for.
    """

    def __init__(self, coefficients: JPEGCoefficients) -> None:
        self._file = coefficients
        self.channels = len(coefficients.planes)
        self.size = coefficients.height, coefficients.width

    @property
    def quality(self) -> int:
        """libjpeg's quality factor next to that of the file."""
        return nearest_quality(self._file.planes[0].steps[None])[0]

    def project(self, image: Tensor, narrow: float = 1.0) -> Tensor:
        """The nearest image in the set, as the file's planes see it.

        Args:
            image: (1, C, H, W) float in [0, 1], of the size and channels of the file, as stored.
            narrow: factor of the intervals, 0 ... 1.

        Returns:
            The same, clamped to [0, 1].
        """
        return torch.cat([self._projected(image, rows, narrow) for rows in self._strips()], dim=2)

    def weigh(self, image: Tensor, decoded: Tensor, narrow: float = NARROW, trust: Trust | None = TRUST) -> Constrained:
        """Project an enhanced image, and keep as much of what the network changed as it can be trusted.

        Args:
            image: see `project`.
            decoded: the decoded JPEG, (1, C, H, W) in [0, 1].
            narrow: factor of the intervals.
            trust: None keeps all of the projected image.
        """
        changes = self.changes(image)
        share = float(changes.outside.sum() / changes.moved.sum().clamp_min(_LEAST))
        if trust is None:
            return Constrained(self.project(image, narrow), share, 1.0)
        kept = self.trusted(changes, trust)
        mean = float((kept * changes.moved).sum() / changes.moved.sum().clamp_min(_LEAST))
        return Constrained(self.blend(image, decoded, kept, narrow), share, mean)

    def changes(self, image: Tensor) -> Changes:
        """How far the blocks of an image (1, C, H, W) are from those of the file."""
        maps = [self._changes(image, rows) for rows in self._strips()]
        return Changes(*(torch.cat(each) for each in zip(*maps, strict=True)))

    def trusted(self, changes: Changes, trust: Trust = TRUST) -> Tensor:
        """(rows, columns) in 0 ... 1, of each block."""
        steps = self._file.planes[self._luma].steps
        return trust(*changes, float(steps.mean()), float(steps[:4, :4].mean()))

    def blend(self, image: Tensor, decoded: Tensor, kept: Tensor, narrow: float = NARROW) -> Tensor:
        """The projected image as far as it is kept (rows, columns), and for the rest the decoded one."""
        strips = []
        for rows in self._strips():
            blocks = kept[rows.start // _BLOCK : -(-rows.stop // _BLOCK)][None, None]
            weights = interpolate(blocks, scale_factor=_BLOCK)[:, :, : rows.stop - rows.start, : image.shape[3]]
            strips.append(torch.lerp(decoded[:, :, rows], self._projected(image, rows, narrow), weights))
        return torch.cat(strips, dim=2)

    def _strips(self) -> Iterator[slice]:
        height = self.size[0]
        return (slice(top, min(height, top + _STRIP)) for top in range(0, height, _STRIP))

    def _projected(self, image: Tensor, rows: slice, narrow: float) -> Tensor:
        part = image[:, :, rows] * 255
        planes = self._planes(part)
        changes = []
        for number, plane in enumerate(self._file.planes):
            moved, steps = _moved(planes[:, number : number + 1], plane, rows.start)
            half = narrow * (steps / 2 + _ALLOWANCE)
            changes.append(_pixels(moved.clamp(-half, half) - moved, plane.reduction, *part.shape[-2:]))
        return (part + self._image(torch.cat(changes, dim=1))).div_(255).clamp_(0, 1)

    def _changes(self, image: Tensor, rows: slice) -> Changes:
        plane = self._file.planes[self._luma]
        samples = self._planes(image[:, :, rows] * 255)[:, self._luma : self._luma + 1]
        moved, steps = _moved(samples, plane, rows.start)
        outside = (moved.abs() - steps / 2 - _ALLOWANCE).clamp_min(0)
        first = rows.start // _BLOCK
        levels = plane.levels[first : first + moved.shape[0], : moved.shape[1]]
        details = np.count_nonzero(levels, axis=(2, 3)) - (levels[:, :, 0, 0] != 0)
        return Changes(moved.square().sum((2, 3)), outside.square().sum((2, 3)), torch.from_numpy(details).to(moved))

    @property
    def _luma(self) -> int:
        """The plane that is judged: luma, of RGB green."""
        return 1 if self._file.colors == "rgb" else 0

    def _planes(self, image: Tensor) -> Tensor:
        """(1, C, H, W) in 0 ... 255 as the planes of the file, around 0."""
        if self._file.colors == "ycbcr":
            planes = torch.einsum("ij,njhw->nihw", _matrix(image), image)
            planes[:, 0] -= _CENTER
            return planes
        return image - _CENTER

    def _image(self, change: Tensor) -> Tensor:
        """A change of the planes as one of the image."""
        if self._file.colors == "ycbcr":
            return torch.einsum("ij,njhw->nihw", _matrix(change).inverse(), change)
        return change


def _matrix(like: Tensor) -> Tensor:
    return torch.tensor(YCBCR, dtype=like.dtype, device=like.device)


def _moved(samples: Tensor, plane: Plane, top: int) -> tuple[Tensor, Tensor]:
    """How far an image's coefficients (rows, columns, 8, 8) are from those of the file, and the steps (8, 8).

    Args:
        samples: (1, 1, H, W) around 0, full size, from row `top` of the image on. It is continued to whole blocks and
            reduced to the plane's sampling as libjpeg does it: columns are repeated before, rows after the reduction.
    """
    down, across = plane.reduction
    height, width = samples.shape[-2:]
    rows, columns = -(-height // (_BLOCK * down)), -(-width // (_BLOCK * across))
    missing = (0, columns * _BLOCK * across - width, 0, -height % down)
    samples = _reduced(pad(samples, missing, mode="replicate")[0, 0], down, across)
    samples = pad(samples[None, None], (0, 0, 0, rows * _BLOCK - len(samples)), mode="replicate")
    blocks = samples.reshape(rows, _BLOCK, columns, _BLOCK).transpose(1, 2)
    first, steps = top // (_BLOCK * down), torch.from_numpy(plane.steps).to(samples)
    levels = torch.from_numpy(plane.levels[first : first + rows, :columns]).to(samples)
    return (blocks.flatten(2) @ _transform().to(samples).T).view_as(levels) - levels * steps, steps


def _reduced(samples: Tensor, down: int, across: int) -> Tensor:
    """Means of `down` x `across` samples of (H, W)."""
    rows = reduce(torch.add, (samples[row::down] for row in range(down)))
    return reduce(torch.add, (rows[:, column::across] for column in range(across))) / (down * across)


def _pixels(change: Tensor, reduction: tuple[int, int], height: int, width: int) -> Tensor:
    """A change of coefficients (rows, columns, 8, 8) as one of a plane at full size, (1, 1, height, width)."""
    rows, columns = change.shape[:2]
    blocks = (change.flatten(2) @ _transform().to(change)).view_as(change)
    samples = blocks.transpose(1, 2).reshape(1, 1, rows * _BLOCK, columns * _BLOCK)
    for axis, factor in zip((2, 3), reduction, strict=True):
        samples = samples.repeat_interleave(factor, axis) if factor > 1 else samples
    return samples[..., :height, :width]


@cache
def _transform() -> Tensor:
    """The orthonormal DCT-II of 8x8 samples, frequencies as rows (ITU-T T.81, A.3.3), all 64 at once: one large product
    of matrices takes less time than many small ones."""
    frequency, sample = torch.arange(_BLOCK).double()[:, None], torch.arange(_BLOCK).double()
    matrix = torch.cos((2 * sample + 1) * frequency * torch.pi / (2 * _BLOCK)) / 2
    matrix[0] /= 2**0.5
    return torch.kron(matrix, matrix)
