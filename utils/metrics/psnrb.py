"""PSNR that also counts visible block edges.

C. Yim, A. C. Bovik, "Quality Assessment of Deblocked Images", IEEE TIP 20(1), 2011.
"""

import math
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field

from powerqe.utils.errors import UserError
from powerqe.utils.metrics import METRICS
from powerqe.utils.metrics.image_metric import Border, Channel, Preparation, Rounding, decibel, luma_pixels, mean_square

_BLOCK = 8  # of JPEG's transform

Form = Annotated[
    Literal["fbcnn", "qgcn"],
    Field(description="in color, block edges are sought in: fbcnn: the rounded luma; qgcn: R, G and B, summed"),
]
Count = Annotated[
    Literal["published", "actual"],
    Field(description="edges along a side: published: side / 8 - 1, as in the papers; actual: as many as there are"),
]


@METRICS.register()
class PSNRB:
    """PSNR-B = 10 log10(255^2 / (MSE + BEF)), the blocking effect factor BEF measured on the result alone.

    D_B is the mean squared step between neighboring pixels that a block edge separates, D_C that between all
    other neighbors; BEF = eta (D_B - D_C), with eta = log2(8) / log2(min(H, W)) where D_B > D_C and 0 elsewhere.
    Blocks are 8x8 and counted from the image's top left corner, whatever `border` takes away. Without any
    block edge (no side over 8) PSNR-B is PSNR. Infinite when there is neither an error nor a visible edge.

    Color: BEF is a matter of one channel, and the papers carried it over in two ways (`form`).

    Sides that are no multiple of 8: the authors' count of H (W / 8 - 1) pairs across vertical edges is a fraction
    then. All published tables divide by it, so it is the default: only with it do the plain-JPEG rows of
    LIVE1 come out to the printed digits. `count: actual` divides by the pairs that are there (LIVE1 gray,
    QF 10-40: 0.006 to 0.015 dB higher; much more on images of a few blocks). Equal on multiples of 8.

    Args:
        channel: "all" or "y". "y" takes MSE from unrounded luma, BEF from rounded luma (`rounding: uint8`).
        border: pixels left out at each side.
        rounding: "uint8", "float" or "unclamped".
        form: "fbcnn", MSE of RGB and BEF of the result's rounded luma; "qgcn", BEF with the squared steps summed
            over R, G and B, so about three times as large. No difference in gray and with `channel: y`.
        count: "published" or "actual".

    Raises:
        UserError: `count: published` with a border that is no multiple of 8, for which it has no meaning.
    """

    unit = "dB"
    higher_is_better = True

    def __init__(
        self,
        *,
        channel: Channel = "all",
        border: Border = 0,
        rounding: Rounding = "uint8",
        form: Form = "fbcnn",
        count: Count = "published",
    ) -> None:
        if count == "published" and border % _BLOCK:
            raise UserError(f"PSNRB: a border of {border} cuts through blocks; give a multiple of 8 or count: actual")
        self._prepare = Preparation(channel, border, rounding)
        self._form: Form = form
        self._count: Count = count

    def __call__(self, result: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """PSNR-B of each image, (N,) float64, of two (N, C, H, W) in [0, 1].

        Raises:
            UserError: neither gray nor RGB in the "fbcnn" form, or as `Preparation`.
        """
        result, target = self._prepare.pixels(result, target)
        mse = mean_square(self._prepare.select(result) - self._prepare.select(target))
        first_edge = (_BLOCK - 1 - self._prepare.border) % _BLOCK
        return decibel(mse + _blocking_effect(self._edge_image(result), first_edge, self._count))

    def describe(self, channels: int) -> str:
        """The convention, for images of this many channels; the published count goes without saying."""
        color = self._prepare.color(channels) != "Y"
        edges = f", BEF of {'Y' if self._form == 'fbcnn' else 'RGB'}" if color else ""
        count = ", actual count" if self._count == "actual" else ""
        return self._prepare.describe(channels) + edges + count

    def _edge_image(self, pixels: torch.Tensor) -> torch.Tensor:
        """The image in which edges are measured: (N, C, H, W), 0 ... 255 -> (N, C', H, W)."""
        if self._form == "qgcn" and self._prepare.channel == "all":
            return pixels
        image = luma_pixels(pixels)
        return image.round() if self._prepare.rounding == "uint8" else image


class _Steps(NamedTuple):
    """Squared steps between neighbors along one direction, (N,) float64, and how many pairs they come from."""

    at_edges: torch.Tensor
    elsewhere: torch.Tensor
    pairs_at_edges: float
    pairs_elsewhere: float


def _blocking_effect(image: torch.Tensor, first_edge: int, count: Count) -> torch.Tensor:
    """BEF, (N,) float64, of (N, C, H, W); pixels `first_edge` and `first_edge` + 1 are of different blocks."""
    across, down = _steps(image, first_edge, count), _steps(image.mT, first_edge, count)
    pairs_at_edges = across.pairs_at_edges + down.pairs_at_edges
    pairs_elsewhere = across.pairs_elsewhere + down.pairs_elsewhere
    if min(pairs_at_edges, pairs_elsewhere) <= 0:  # no block edge, or nothing but edges
        return torch.zeros_like(across.at_edges)
    at_edges = (across.at_edges + down.at_edges) / pairs_at_edges
    elsewhere = (across.elsewhere + down.elsewhere) / pairs_elsewhere
    shortest = max(min(image.shape[-2:]), 2)  # the formula is undefined for a single line of pixels
    return math.log2(_BLOCK) / math.log2(shortest) * (at_edges - elsewhere).clamp(min=0)


def _steps(image: torch.Tensor, first_edge: int, count: Count) -> _Steps:
    """The steps between horizontal neighbors of (N, C, H, W), summed over channels."""
    height, width = image.shape[-2:]
    squares = image.diff(dim=-1).square()
    edges = squares[..., first_edge::_BLOCK]
    at_edges = edges.sum(dim=(1, 2, 3), dtype=torch.float64)
    everywhere = squares.sum(dim=(1, 2, 3), dtype=torch.float64)
    columns = edges.shape[-1] if count == "actual" else max(width / _BLOCK - 1, 0.0)
    return _Steps(at_edges, everywhere - at_edges, height * columns, height * (width - 1 - columns))
