"""CISR-PSI: enlarge a compressed image and clean it, each helping the other, several times over.

Luo, Zhou, Liao, Qiu, "Super-resolving compressed images via parallel and series integration of artifact
reduction and resolution enhancement", Signal Processing 205 (2023) 108861.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from powerqe.net.blocks import PixelShuffleUp, ResidualGroup, conv
from powerqe.net.networks import NETWORKS
from powerqe.net.non_local_deblock import NonLocalDeblock
from powerqe.net.weights import State, count, renamed

Pair = tuple[Tensor, Tensor]
"""An enlarged image and a clean one of the input's size."""


@NETWORKS.register()
class CISRPSI(nn.Module):
    """Recursions t = 1 ... T of (z_t, d_t) = net(x, z_{t-1}): z is the enlarged image, d the clean small one.

    z_0 is x, enlarged. One recursion, with nonlocal(a, r) as in net/non_local_deblock.py,

        n1 = nonlocal1(x, z reduced)            d = deblock(features of x, z and n1; x, z reduced, n1)
        n2 = nonlocal2(x, d)                    z = enlarge(x, d, n2)

    where deblock and enlarge add what they predict to a mean of the three images. All resizing is bicubic. The two
    non-local modules are trained before (algorithm/unfolding.py) and fixed here. What the authors call tiny has
    num_groups (2, 2).

    Args:
        scale: height and width of the enlarged image in those of the input.
        num_groups: residual groups in deblock and in enlarge.
        num_blocks: channel attention blocks per group.
        reduction: channel attention has num_features / reduction channels inside.
        recursions: T.
    """

    free_options = ("recursions",)

    def __init__(
        self,
        *,
        scale: Literal[2, 3, 4] = 2,
        num_features: PositiveInt = 64,
        num_groups: tuple[PositiveInt, PositiveInt] = (5, 5),
        num_blocks: PositiveInt = 12,
        reduction: PositiveInt = 16,
        recursions: PositiveInt = 3,
    ) -> None:
        super().__init__()
        self.scale, self.recursions = scale, recursions
        self.nonlocal1 = NonLocalDeblock().requires_grad_(False)
        self.nonlocal2 = NonLocalDeblock().requires_grad_(False)
        half = max(1, num_features // 2)
        self.distill = nn.Sequential(
            nn.Conv2d(9, half, scale + 2, stride=scale, padding=1), nn.ReLU(), conv(half, num_features, 3)
        )
        small = (conv(num_features, num_features, 3), nn.ReLU(), conv(num_features, 3, 3))
        large = (PixelShuffleUp(num_features, scale), conv(num_features, 3, 3))
        groups = [[ResidualGroup(num_features, num_blocks, reduction) for _ in range(count)] for count in num_groups]
        self.deblock = _Restorer(conv(num_features, num_features, 3), groups[0], small)
        self.enlarge = _Restorer(conv(9, num_features, 3), groups[1], large, scale)

    def forward(self, x: Tensor, return_all: bool = False, previous: Tensor | None = None) -> Pair | list[Pair]:
        """Enlarge and clean images.

        Args:
            x: (N, 3, H, W) in [0, 1].
            return_all: return the results of all recursions. No gradient passes from one to another.
            previous: z_{t-1}, (N, 3, scale H, scale W): compute the one recursion that starts from it, as
                training does.

        Returns:
            (N, 3, scale H, scale W) and (N, 3, H, W), not clamped; or a list of such pairs.
        """
        if previous is not None:
            return self._recursion(x, previous.detach())
        pairs, enlarged = [], self.start(x)
        for _ in range(self.recursions):
            pairs.append(self._recursion(x, enlarged))
            enlarged = pairs[-1][0].detach()
        return pairs if return_all else pairs[-1]

    def start(self, x: Tensor) -> Tensor:
        """z_0: (N, 3, H, W) -> (N, 3, scale H, scale W)."""
        return _enlarged(x, self.scale)

    def upstream_name(self, name: str) -> str:
        """The authors' names are those of their model of RCAN; of the non-local modules, see there."""
        part, _, rest = name.partition(".")
        if part in ("nonlocal1", "nonlocal2"):
            return f"{part}.{self.nonlocal1.upstream_name(rest)}"
        return renamed(name, _AUTHORS_NAMES)

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of the authors."""
        num_features = state["distill.2.weight"].shape[0]
        found = {
            "scale": state["distill.0.weight"].shape[-1] - 2,
            "num_features": num_features,
            "num_groups": [count(state, rf"{part}\.body\.\d+\.") for part in ("deblock", "SR")],
            "num_blocks": count(state, r"SR\.body\.0\.body\.\d+\.body\."),
            "reduction": num_features // state["SR.body.0.body.0.body.3.conv_du.0.weight"].shape[0],
        }
        return [found]

    def _recursion(self, x: Tensor, enlarged: Tensor) -> Pair:
        reduced = F.interpolate(enlarged, x.shape[-2:], mode="bicubic", align_corners=False)
        with torch.no_grad():
            restored = self.nonlocal1(x, reduced)
        large = (_enlarged(x, self.scale), enlarged, _enlarged(restored, self.scale))
        clean = self.deblock(self.distill(255 * torch.cat(large, 1)), (x, reduced, restored))
        with torch.no_grad():
            restored = self.nonlocal2(x, clean)
        small = (x, clean, restored)
        return self.enlarge(255 * torch.cat(small, 1), small), clean


class _Restorer(nn.Module):
    """RCAN without a convolution after its groups; its result is added to a mean of three images.

    The weights of the mean, one for each pixel of each image, come from 1x1 convolutions.

    Args:
        head: from the input to the features.
        tail: from the features to the image.
        scale: by which the tail enlarges.
    """

    def __init__(
        self, head: nn.Module, groups: list[ResidualGroup], tail: tuple[nn.Module, ...], scale: int = 1
    ) -> None:
        super().__init__()
        self.mix = nn.Sequential(conv(9, 3, 1), nn.ReLU(), conv(3, 3, 1))
        self.head, self.groups, self.tail = head, nn.Sequential(*groups), nn.Sequential(*tail)
        self.scale = scale

    def forward(self, x: Tensor, images: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Input of the head, and three images (N, 3, H, W) in [0, 1] -> (N, 3, scale H, scale W).

        Head and tail work in 0 ... 255.
        """
        weights = self.mix(torch.cat(images, 1)).softmax(1).split(1, 1)
        mean = torch.stack([weight * image for weight, image in zip(weights, images, strict=True)]).sum(0)
        features = self.head(x)
        return _enlarged(mean, self.scale) + self.tail(features + self.groups(features)) / 255


def _enlarged(images: Tensor, scale: int) -> Tensor:
    if scale == 1:
        return images
    return F.interpolate(images, scale_factor=scale, mode="bicubic", align_corners=False)


_AUTHORS_NAMES = (
    (r"^SR\.", "enlarge."),
    (r"\.weight_3\.", ".mix."),
    (r"\.head\.0\.", ".head."),
    (r"\.body\.(\d+)\.body\.(\d+)\.body\.", r".groups.\1.blocks.\2."),
    (r"\.body\.(\d+)\.body\.\d+\.", r".groups.\1.conv."),
    (r"(blocks\.\d+)\.0\.", r"\1.conv1."),
    (r"(blocks\.\d+)\.2\.", r"\1.conv2."),
    (r"\.3\.conv_du\.0\.", ".attention.reduce."),
    (r"\.3\.conv_du\.2\.", ".attention.expand."),
)
