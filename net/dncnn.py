"""DnCNN, a deep stack of small convolutions that predicts a residual image.

Zhang, Zuo, Chen, Meng, Zhang, "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image
Denoising", IEEE Transactions on Image Processing 26(7), 2017.
"""

import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from powerqe.net.blocks import Repeated, check_skip, conv, init_residual
from powerqe.net.networks import NETWORKS
from powerqe.net.weights import numbered
from powerqe.utils.errors import UserError


@NETWORKS.register()
class DnCNN(nn.Module):
    """First layer conv + ReLU, middle layers conv (+ BN) + ReLU, last layer conv; plus the input.

    The paper subtracts the predicted noise; here, as in PowerQE, the prediction is added, which only
    turns the sign of the last layer.

    Args:
        depth: number of convolutions D, at least 3; 17 in the paper for a known noise level.
        batch_norm: normalize in the middle layers, whose convolutions then have no bias, as in the paper.
        share_weights: one set of weights for all middle layers, as in PowerQE v1 (40,451 parameters, with
            batch_norm 40,515); the paper's network has one set each (557,443 without batch_norm). A shared
            batch norm averages its running statistics over all depths, so they fit none of them.
    """

    def __init__(
        self,
        *,
        in_channels: PositiveInt = 3,
        out_channels: PositiveInt = 3,
        num_features: PositiveInt = 64,
        depth: PositiveInt = 17,
        batch_norm: bool = False,
        share_weights: bool = True,
    ) -> None:
        super().__init__()
        check_skip("DnCNN", in_channels, out_channels)
        if depth < 3:
            raise UserError(f"DnCNN: found depth {depth}, expected at least 3 (first, middle and last layer)")

        def unit() -> nn.Module:
            convolution = conv(num_features, num_features, 3, bias=not batch_norm)
            norm = [nn.BatchNorm2d(num_features)] if batch_norm else []
            return nn.Sequential(convolution, *norm, nn.ReLU(inplace=True))

        self.head = conv(in_channels, num_features, 3)
        self.body = Repeated(depth - 2, unit, share_weights=share_weights)
        self.tail = conv(num_features, out_channels, 3)
        init_residual(self, self.tail)
        self.in_channels, self.batch_norm = in_channels, batch_norm

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> the same shape, not clamped."""
        return x + self.tail(self.body(F.relu(self.head(x))))

    def upstream_name(self, name: str) -> str:
        """PowerQE v1 `blk_lst.N.*`, later `layers.N.*`: all layers, ReLUs too, in one sequence."""
        units = (f"body.{i}.{layer}" for i in self.body.order for layer in range(3 if self.batch_norm else 2))
        return numbered(name, ("blk_lst", "layers"), ["head", "relu", *units, "tail"])
