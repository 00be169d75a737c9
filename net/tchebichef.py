"""The quality of decoded images without a reference, from Tchebichef moments: RBQE's judge between its exits.

Xing, Xu, Li, Guan, "Early Exit or Not: Resource-Efficient Blind Quality Enhancement for Compressed Images",
ECCV 2020. The patches lie across the borders of the codec's blocks. How much the moments of highest
order have of a smooth patch shows its block edges; a textured patch is compared with itself after a blur,
which changes little what the codec has blurred already. All patches of a batch are computed at once.

Cases that the original leaves to round-off, or in which it stops with an error, are defined here:

- A constant patch (nothing but the mean within the precision of float32) is smooth. Rule "python" gives it 1, the
  limit of what counts; in the original that is 1 where the mean came out exactly and about 0 elsewhere. Rule
  "matlab" gives it 0, since it has no moments of highest order.
- A zero patch is a constant one. Where all smooth patches are zero (black bars), the original of rule "python"
  stops with an error.
- Without any smooth patch, or any textured one, that half of the score is 1. So an image with a side of less
  than two patches, which has none at all, scores 1 and leaves.
- NaN in an image makes its score NaN, which is never good enough.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from powerqe.utils.errors import UserError
from powerqe.utils.image.color import luma

Codec = Literal["jpeg", "hevc"]
Rule = Literal["python", "matlab"]

PATCH: dict[Codec, int] = {"jpeg": 8, "hevc": 4}
"""Side of the patches."""
THRESHOLDS: dict[Rule, dict[Codec, float]] = {
    "python": {"jpeg": 0.855, "hevc": 0.9},  # PowerQE v1
    "matlab": {"jpeg": 0.79, "hevc": 0.89},  # the paper
}
_TEXTURED = 0.004  # a patch with more AC energy than this is textured
_CLIP = 0.05  # limit of the share of the highest moments
_CONSTANT = 1e-12  # a patch with no more AC energy than this holds a constant and round-off
_C = 1e-5
_SMOOTH_WEIGHT = 0.9


class TchebichefQuality(nn.Module):
    """Scores whole batches of images; nothing to learn, no parameters, nothing in the state dict.

    Args:
        codec: whose blocks are looked for: 8x8 (jpeg) or 4x4 (hevc).
        rule: "python" is PowerQE v1's: the first channel (R), polynomials rounded to four decimals. "matlab"
            is the paper authors': luma, patches one pixel further, exact polynomials, constant patches count as
            bad, and a threshold of its own.
        threshold: score from which an image is good enough; None is that of the codec and the rule.

    Raises:
        UserError: the threshold is outside [0, 1].
    """

    sees_whole_image = True
    """One answer for the whole image, also when it is enhanced in tiles (inference/tiled.py)."""
    table: Tensor
    blurred_table: Tensor

    def __init__(self, *, codec: Codec = "jpeg", rule: Rule = "python", threshold: float | None = None) -> None:
        super().__init__()
        self.size = PATCH[codec]
        self.rule: Rule = rule
        self.offset = self.size // 2 - (rule == "python")
        self.threshold = check_threshold(THRESHOLDS[rule][codec] if threshold is None else threshold)
        table = polynomials(self.size)
        table = table.round(decimals=4) if rule == "python" else table
        self.register_buffer("table", table.float(), persistent=False)
        self.register_buffer("blurred_table", (table @ _blur(self.size)).float(), persistent=False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Scores of images: high is good, about [0, 1].

        Args:
            images: (N, C, H, W), any range (scaling all pixels changes nothing), not rounded, not clamped.
                Rule "matlab" takes the luma of 3 channels and the first of any other number.

        Returns:
            (N,), float32.
        """
        return self.score(self.summary(images))

    @torch.no_grad()
    def summary(self, images: Tensor) -> Tensor:
        """What scores are made of, which adds up over the parts of an image: (N, 4), float32, sum and number of the
        scores of textured and of smooth patches."""
        with torch.autocast(images.device.type, enabled=False):  # differences of 1e-5 decide
            patches = self._patches(self._channel(images.float()))
            if not patches.numel():
                return torch.zeros(len(images), 4, device=images.device)
            mean = patches.mean((0, 1))
            moments = _both_sides(self.table, patches - mean)
            squares = moments.square()
            ac = squares.sum((0, 1))
            # An orthonormal transform keeps the energy; the rounded table does to 1e-4 of the small AC part.
            energy = ac + (self.size * mean).square()
            textured, constant = ac > _TEXTURED * energy, ac <= _CONSTANT * energy
            texture_scores = self._texture_scores(patches, moments, squares, energy)
            smooth_scores = self._smooth_scores(moments, energy, constant)
            texture = _sums(texture_scores, textured, len(images))
            return torch.stack([*texture, *_sums(smooth_scores, ~textured, len(images))], 1)

    def score(self, summary: Tensor) -> Tensor:
        """(N, 4) -> (N,); an image without patches of a kind has the best score there."""
        totals, counts = summary[:, ::2], summary[:, 1::2]
        texture, smooth = torch.where(counts > 0, totals / counts, 1).unbind(1)
        return smooth**_SMOOTH_WEIGHT * texture ** (1 - _SMOOTH_WEIGHT)

    def good_enough(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N,), bool: the score reaches the threshold. NaN in an image never does."""
        return self(images) >= self.threshold

    @property
    def macs_per_pixel(self) -> int:
        """Multiply-adds of the matrix products per pixel of the image: two, from both sides."""
        return 2 * 2 * self.size

    def _channel(self, images: Tensor) -> Tensor:
        if self.rule == "matlab" and images.shape[1] == 3:
            return luma(images)[:, 0]
        return images[:, 0]

    def _patches(self, channel: Tensor) -> Tensor:
        """(N, H, W) -> (P, P, patches of all images): what fits into an image cut to whole blocks."""
        size = self.size
        rows, columns = (max(side // size - 1, 0) for side in channel.shape[1:])
        inner = channel[:, self.offset :, self.offset :][:, : rows * size, : columns * size]
        blocks = inner.reshape(len(channel), rows, size, columns, size)
        return blocks.permute(2, 4, 0, 1, 3).reshape(size, size, -1)

    def _texture_scores(self, patches: Tensor, moments: Tensor, squares: Tensor, energy: Tensor) -> Tensor:
        """(P, P, patches) -> (patches,): mean of 1 - (2 a b + C) / (a^2 + b^2 + C) over the moments.

        a and b are those of the patch and of the blurred patch, each normalized to energy 1 and less its mean.
        Here all are multiplied by the root of the patch's energy, which saves work.
        """
        others = _both_sides(self.blurred_table, patches)
        first = others[0, 0].clone()  # the mean alone; in others a rounded table leaves less than 1e-4 of it
        others[0, 0] = 0
        other_squares = others.square()
        other_energy = other_squares.sum((0, 1)) + (first / (self.size * self.table[0, 0] ** 2)).square()
        ratio = energy / other_energy
        unlike = torch.addcmul(moments, others, ratio.sqrt(), value=-1).square_()
        return unlike.div_(torch.addcmul(squares, other_squares, ratio).add_(_C * energy)).mean((0, 1))

    def _smooth_scores(self, moments: Tensor, energy: Tensor, constant: Tensor) -> Tensor:
        """(P, P, patches) -> (patches,): how much of the moments the highest orders have, 1 from 5 % on."""
        sizes = moments.abs()
        total = sizes.sum((0, 1))
        highest = torch.stack([sizes[-1].sum(0), sizes[:, -1].sum(0)])
        if self.rule == "python":
            shares = torch.where(constant, _CLIP, highest / total + _C)
        else:
            shares = torch.where(constant, 0, highest / (total + _C * energy.sqrt()))
        return torch.log1p(-shares.clamp(max=_CLIP).mean(0)) / math.log1p(-_CLIP)


def check_threshold(threshold: float) -> float:
    """Return `threshold`; raises `UserError` when it is outside [0, 1]."""
    if not 0 <= threshold <= 1:
        raise UserError(f"found threshold {threshold:g}, expected a quality threshold in [0, 1]")
    return threshold


def polynomials(size: int) -> Tensor:
    """Discrete Tchebichef (Gram) polynomials, orthonormal on `size` points.

    Returns:
        (size, size), float64: row p has degree p and ends with a positive value.
    """
    powers = torch.linspace(-1, 1, size, dtype=torch.float64)[:, None] ** torch.arange(size)
    table = torch.linalg.qr(powers).Q.T
    return table * table[:, -1:].sign()


def _blur(size: int) -> Tensor:
    """(P, P): blur of P pixels with 3 taps of a Gaussian of sigma 5, zeros around them."""
    side = math.exp(-1 / (2 * 5**2))
    distance = (torch.arange(size)[:, None] - torch.arange(size)).abs()
    return torch.tensor([1, side, 0], dtype=torch.float64)[distance.clamp(max=2)] / (1 + 2 * side)


def _both_sides(matrix: Tensor, patches: Tensor) -> Tensor:
    """(P, P) matrix A, (P, P, patches) patches X -> A X A', for all patches in two products."""
    return (matrix @ (matrix @ patches).flatten(1)).view_as(patches)


def _sums(scores: Tensor, mask: Tensor, images: int) -> tuple[Tensor, Tensor]:
    """(patches of all images,) -> (N,): sum of those that the mask has, and their number."""
    total = torch.where(mask, scores, 0).view(images, -1).sum(1)
    return total, mask.view(images, -1).sum(1).to(total)
