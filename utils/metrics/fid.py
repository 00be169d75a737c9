"""Fréchet inception distance, with pyiqa's Inception network.

M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler, S. Hochreiter, "GANs Trained by a Two Time-Scale Update Rule
Converge to a Local Nash Equilibrium", NeurIPS 2017. Images are resized as in G. Parmar, R. Zhang, J.-Y. Zhu, "On
Aliased Resizing and Surprising Subtleties in GAN Evaluation", CVPR 2022.
"""

import torch
import torch.nn.functional as F

from powerqe.utils.metrics import METRICS
from powerqe.utils.metrics.foreign import foreign
from powerqe.utils.metrics.image_metric import Border, Preparation, Rounding, rgb_pixels
from powerqe.utils.metrics.iqa import create, version

_SIDE = 299  # of the images that the network was trained on
_FEATURES = 2048


@METRICS.register()
class FID:
    """Distance of the set of results from the set of ground truths; lower is better; extra iqa.

    Each image becomes 2048 features; the distance is that of two normal distributions with the features' means
    and covariances. It judges a set: the row of a single image has none. Fewer images than features make it larger,
    so that only distances of sets of one size can be compared. Gray images enter as three equal channels.

    Computed with the network of pyiqa (extra iqa, non-commercial license).

    Args:
        border: pixels left out at each side.
        rounding: "uint8", "float" or "unclamped".

    Raises:
        MetricUnavailable: pyiqa is not installed, or the network's weights are not to be had.
    """

    unit = ""
    higher_is_better = False

    def __init__(self, *, border: Border = 0, rounding: Rounding = "uint8") -> None:
        self._prepare = Preparation("all", border, rounding)
        metric = create("fid")
        with foreign(f"the fid of {version()} is not supported by PowerQE"):
            self._inception = metric.net.model

    @torch.no_grad()
    def __call__(self, result: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """What `pool` needs of each image: its features and its ground truth's, (N, 2, 2048) float32.

        Args:
            result: (N, C, H, W) in [0, 1], C = 1 or 3.
            target: the same shape.

        Raises:
            UserError: neither gray nor RGB, or as `Preparation`.
            MetricUnavailable: the network cannot be applied.
        """
        return torch.stack([self._features(pixels) for pixels in self._prepare.pixels(result, target)], dim=1)

    def pool(self, features: list[torch.Tensor]) -> float:
        """The distance of a set of images, from `features` (2, 2048) of each; NaN for less than two."""
        if len(features) < 2:
            return float("nan")
        results, targets = torch.stack(features, dim=1)
        return frechet_distance(results, targets)

    def caveat(self, count: int) -> str | None:
        """What to know of a distance that comes from `count` images."""
        if count >= _FEATURES:
            return None
        return f"computed from only {count} images; below {_FEATURES}, it can only be compared for sets of one size"

    def describe(self, channels: int) -> str:
        """The convention, for images of this many channels, with pyiqa's version."""
        return f"{self._prepare.describe(channels)}, {version()} fid"

    def _features(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W), 0 ... 255 -> (N, 2048)."""
        # Antialiased, as Pillow resizes, and without rounding: what clean-fid calls "clean".
        pixels = F.interpolate(rgb_pixels(pixels), (_SIDE, _SIDE), mode="bicubic", antialias=True).clamp(0, 255)
        network = self._inception.to(pixels.device)
        with foreign("the network of pyiqa's fid cannot be applied"):
            return network(pixels / 128 - 1)[0].flatten(1)


def frechet_distance(x: torch.Tensor, y: torch.Tensor) -> float:
    """|m - n|^2 + tr(A + B - 2 (A B)^(1/2)) of the means m, n and the (unbiased) covariances A, B of two sets.

    A and B are X'X and Y'Y of the centerd, scaled features. The eigenvalues of A B are the squares of the singular
    values of X Y', whose sum thus is the trace of the root: no root of a singular 2048 x 2048 matrix is needed, which
    A B is as long as there are no more images than features.

    Args:
        x, y: (N, D) and (M, D), two rows or more.

    Returns:
        The squared distance, 0 or more.
    """
    x, y = x.double(), y.double()
    shift = (x.mean(dim=0) - y.mean(dim=0)).square().sum()
    x, y = _root_of_covariance(x), _root_of_covariance(y)
    spread = x.square().sum() + y.square().sum() - 2 * torch.linalg.svdvals(x @ y.T).sum()
    return float((shift + spread).clamp(min=0))


def _root_of_covariance(features: torch.Tensor) -> torch.Tensor:
    """X with X'X = covariance, (N, D) -> (min(N, D), D)."""
    count, dimensions = features.shape
    centerd = (features - features.mean(dim=0)) / (count - 1) ** 0.5
    return torch.linalg.qr(centerd, mode="r").R if count > dimensions else centerd
