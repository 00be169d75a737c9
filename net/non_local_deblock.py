"""The non-local module of CISR-PSI: block artifacts are averaged away over patches that look alike.

Luo, Zhou, Liao, Qiu, "Super-resolving compressed images via parallel and series integration of artifact
reduction and resolution enhancement", Signal Processing 205 (2023) 108861.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from powerqe.net.blocks import at_least, conv
from powerqe.net.networks import NETWORKS
from powerqe.utils.image.color import luma

_PATCH = 3
_LARGEST = 6400
"""Pixels from which an image is cut into quadrants."""
_OVERLAP = 10
"""Pixels that a quadrant reaches past the middle."""
_SCRATCH = 2**22
"""Pairs of patches that are compared at a time, 16 MiB for each of the intermediate results."""
_EDGE = 29
"""Length of a Sobel gradient of the luma 0 ... 255 from which there is an edge."""
_SMALL = 0.001
_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


@NETWORKS.register()
class NonLocalDeblock(nn.Module):
    """Each 3x3 patch becomes a mean of all patches of the image, weighted by how alike they are in a cleaner one.

    With patches a_p of the image and r_p of the reference, both 0 ... 255, and s = softmax over q,

        y_p = sum_q w_pq a_q,   w_pq = v_pq / (sum_q v_pq + 0.001),   v_pq = m_q s(-|r_p - r_q|^2 / (h_p^2 + 1)).

    h_p is what two 1x1 convolutions make of r_p. m_q is low where the image has an edge that the reference has
    not, as block artifacts are (`block_edges`). Overlapping patches are averaged. An image of 6400 pixels or more
    is cut into quadrants that reach 10 pixels past the middle, again and again, and put together without blending.

    Smaller than 3x3, images are first continued with their last row and column.

    Args:
        in_channels: of image and reference: RGB, or luma as it is.
    """

    sees_whole_image = True
    """A pixel may depend on any other: who cuts an image into tiles must gather them before this module."""
    one_size = "NonLocalDeblock cuts images into parts, as many as their size demands"
    """Why a file that is exported is for one size of image, and one image at a time."""

    def __init__(self, *, in_channels: Literal[1, 3] = 3) -> None:
        super().__init__()
        self.in_channels = in_channels
        pixels = _PATCH**2
        features = in_channels * pixels
        first = conv(features, 3, 1)
        # A patch has no negative values, so that with weights of either sign a unit is as likely as not off for ever.
        nn.init.uniform_(first.weight, 0, features**-0.5)
        self.bandwidth = nn.Sequential(first, nn.ReLU(), conv(3, 1, 1))
        # The authors cut out patches by convolutions with the first two of these, store them and count them.
        # Nothing is computed with them here, as F.unfold does the same and never rounds (TF32, bfloat16).
        self.kernel = _constant(torch.eye(features).view(features, in_channels, _PATCH, _PATCH))
        self.kernel_y = _constant(torch.eye(pixels).view(pixels, 1, _PATCH, _PATCH))
        self.sobel_x = _constant(torch.tensor(_SOBEL)[None, None])
        self.sobel_y = _constant(torch.tensor(_SOBEL).T[None, None].contiguous())

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        """(N, in_channels, H, W) in [0, 1], both -> the same shape, not clamped.

        Gradients reach the weights; the masks let none through to the images.
        """
        height, width = x.shape[-2:]
        images = (255 * at_least(image.float(), _PATCH) for image in (x, reference))
        return self._restore(*images)[..., :height, :width] / 255

    @torch.no_grad()
    def block_edges(self, a: Tensor, r: Tensor) -> Tensor:
        """Where an image has an edge that its reference has not, or has in another direction.

        Args:
            a, r: image and reference, (N, in_channels, H, W) in 0 ... 255.

        Returns:
            (N, 1, H, W): 0 where `a` has no edge, 1 where `a` alone has one, else 1 less the cosine between the two.
        """
        (ax, ay), (rx, ry) = self._gradients(a), self._gradients(r)
        length_a, length_r = (ax.square() + ay.square()).sqrt(), (rx.square() + ry.square()).sqrt()
        cosine = (ax * rx + ay * ry + _SMALL) / (length_a * length_r + _SMALL)
        return (length_a >= _EDGE) * torch.where(length_r >= _EDGE, 1 - cosine, 1)

    def upstream_name(self, name: str) -> str:
        """The authors call the convolutions conv1."""
        return name.replace("conv1.", "bandwidth.")

    def _restore(self, a: Tensor, r: Tensor) -> Tensor:
        height, width = a.shape[-2:]
        if height * width < _LARGEST:
            return self._restore_whole(a, r)
        rows = []
        for here, kept_rows in _halves(height):
            row = [
                self._restore(a[..., here, there], r[..., here, there])[..., kept_rows, kept_columns]
                for there, kept_columns in _halves(width)
            ]
            rows.append(torch.cat(row, -1))
        return torch.cat(rows, -2)

    def _restore_whole(self, a: Tensor, r: Tensor) -> Tensor:
        size = a.shape[-2:]
        patches_a, patches_r = F.unfold(a, _PATCH), F.unfold(r, _PATCH)
        h = self.bandwidth(patches_r[..., None]).squeeze(-1).float()
        mask = F.avg_pool2d(1 - self.block_edges(a, r), _PATCH, 1).flatten(2)
        with torch.autocast(a.device.type, enabled=False):
            means = [_means(*each) for each in zip(patches_a, patches_r, h, mask, strict=True)]
            counts = F.fold(torch.ones_like(patches_a[:1, : _PATCH**2]), size, _PATCH)
            return F.fold(torch.stack(means), size, _PATCH) / counts

    def _gradients(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Sobel gradients in x and y of the rounded luma; 1 in the last column, the last row."""
        gray = (luma(image / 255) * 255 if image.shape[1] == 3 else image).round().clamp(0, 255)
        with torch.autocast(image.device.type, enabled=False):
            x, y = F.conv2d(gray, self.sobel_x, padding=1), F.conv2d(gray, self.sobel_y, padding=1)
        x[..., -1], y[..., -1, :] = 1, 1
        return x, y


def _constant(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)


def _means(a: Tensor, r: Tensor, h: Tensor, mask: Tensor) -> Tensor:
    """Weighted means of the patches a (C, P) of one image, (C, P); r is (C, P), h and mask are (1, P).

    A few rows of the P x P weights are there at a time; for the gradient they are computed a second time.
    """
    r, values = r.T.contiguous(), torch.cat([mask * a, mask]).T
    rows = max(1, _SCRATCH // len(r))
    parts = [
        checkpoint(_some_means, *part, r, values, use_reentrant=False)
        if torch.is_grad_enabled()
        else _some_means(*part, r, values)
        for part in zip(r.split(rows), h.T.split(rows), strict=True)
    ]
    return torch.cat(parts).T


def _some_means(some: Tensor, h: Tensor, r: Tensor, values: Tensor) -> Tensor:
    """(rows, C), (rows, 1), (P, C) and values and mask (P, C + 1) -> (rows, C)."""
    # Not by |p|^2 - 2 pq + |q|^2: there the differences of alike patches drown in the rounding of the squares.
    distances = torch.cdist(some, r, compute_mode="donot_use_mm_for_euclid_dist").square()
    sums = (distances / -(h.square() + 1)).softmax(1) @ values
    weight = sums[:, -1:] + _SMALL
    return sums[:, :-1] / torch.where(weight == 0, _SMALL, weight)  # masks may be negative


def _halves(length: int) -> list[tuple[slice, slice]]:
    """Two equal parts of an axis that overlap: what to cut out, and what of that to keep.

    One part where both would be everything.
    """
    middle = length // 2
    end = middle + _OVERLAP
    if end >= length:
        return [(slice(None), slice(None))]
    return [(slice(end), slice(middle)), (slice(length - end, None), slice(end - (length - middle), None))]
