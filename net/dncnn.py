"""DnCNN, a deep stack of small convolutions that predicts a residual image.

Zhang, Zuo, Chen, Meng, Zhang, "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image
Denoising", IEEE Transactions on Image Processing 26(7), 2017.
"""

from typing import Any

import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from powerqe.net.autocast import ImageConv
from powerqe.net.blocks import Repeated, check_skip, conv, init_residual
from powerqe.net.networks import NETWORKS
from powerqe.net.weights import State, layers_of, numbered
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

    free_options = ("share_weights",)

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

        self.head = ImageConv(in_channels, num_features, 3, padding=1)
        self.body = Repeated(depth - 2, unit, share_weights=share_weights)
        self.tail = conv(num_features, out_channels, 3)
        init_residual(self, self.tail)
        self.in_channels, self.batch_norm = in_channels, batch_norm

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> the same shape, not clamped."""
        return x + self.tail(self.body(F.relu(self.head(x))))

    def upstream_name(self, name: str) -> str:
        """KAIR `model.N.*`, PowerQE v1 `blk_lst.N.*`, later `layers.N.*`: all layers, ReLUs too, in one sequence."""
        units = (f"body.{i}.{layer}" for i in self.body.order for layer in range(3 if self.batch_norm else 2))
        return numbered(name, (_KAIR, "blk_lst", "layers"), ["head", "relu", *units, "tail"])

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of KAIR and PowerQE v1, which do not distinguish it from DCAD and IRCNN (KAIR, 7 layers)."""
        prefix = _KAIR if f"{_KAIR}.0.weight" in state else "blk_lst"
        layers = layers_of(state, prefix)
        batch_norm = any(name.endswith(".running_mean") for name in state)
        if not layers or (len(layers) == {_KAIR: 7, "blk_lst": 10}[prefix] and not batch_norm):
            return []
        first, last = (state[f"{prefix}.{layer}.weight"] for layer in (layers[0], layers[-1]))
        found = {"in_channels": first.shape[1], "out_channels": last.shape[0], "num_features": first.shape[0]}
        found |= {"depth": len(layers), "batch_norm": batch_norm}
        return [{**found, "share_weights": share_weights} for share_weights in (True, False)]

    def upstream_state(self, state: State) -> dict[str, Tensor]:
        """KAIR, of the paper's author, subtracts what is predicted: there the last layer has the other sign.

        Where batch norm follows a convolution, that has a bias, which the norm's mean takes in.
        """
        *inner, last = layers_of(state, _KAIR) or [-1]
        changed = dict(state)
        for tensor in (f"{_KAIR}.{last}.weight", f"{_KAIR}.{last}.bias"):
            if tensor in state:
                changed[tensor] = -state[tensor]
        for layer in inner:
            mean, bias = f"{_KAIR}.{layer + 1}.running_mean", f"{_KAIR}.{layer}.bias"
            if mean in state and bias in state:
                changed[mean] = state[mean] - changed.pop(bias)
        return changed


_KAIR = "model"
