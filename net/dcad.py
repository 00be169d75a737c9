"""DCAD, ten convolutions that predict what is to be added to the decoded image.

Wang, Chen, Chao, "A Novel Deep Learning-Based Method of Improving Coding Efficiency from the Decoder-End
for HEVC", DCC 2017.
"""

from typing import Any

import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from powerqe.net.autocast import ImageConv
from powerqe.net.blocks import Repeated, check_skip, conv, init_residual
from powerqe.net.networks import NETWORKS
from powerqe.net.weights import State, layers_of, numbered


@NETWORKS.register()
class DCAD(nn.Module):
    """3x3 convolutions with ReLU; the output of the last is added to the input.

    Args:
        num_blocks: convolutions between the first and the last, 8 in the paper.
        share_weights: one set of weights for all of them, as in PowerQE v1 (40,451 parameters); the
            paper's network has one set each (298,947).
    """

    free_options = ("share_weights",)

    def __init__(
        self,
        *,
        in_channels: PositiveInt = 3,
        out_channels: PositiveInt = 3,
        num_features: PositiveInt = 64,
        num_blocks: PositiveInt = 8,
        share_weights: bool = True,
    ) -> None:
        super().__init__()
        check_skip("DCAD", in_channels, out_channels)
        self.in_channels = in_channels

        def block() -> nn.Module:
            return nn.Sequential(conv(num_features, num_features, 3), nn.ReLU(inplace=True))

        self.head = ImageConv(in_channels, num_features, 3, padding=1)
        self.body = Repeated(num_blocks, block, share_weights=share_weights)
        self.tail = conv(num_features, out_channels, 3)
        init_residual(self, self.tail)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> the same shape, not clamped."""
        return x + self.tail(self.body(F.relu(self.head(x))))

    def upstream_name(self, name: str) -> str:
        """PowerQE v1 `blk_lst.N.*`, later `layers.N.*`: all layers, ReLUs too, in one sequence."""
        blocks = (f"body.{i}.{layer}" for i in self.body.order for layer in range(2))
        return numbered(name, ("blk_lst", "layers"), ["head", "relu", *blocks, "tail"])

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of PowerQE v1, whose files of DnCNN have the same names and another number of layers."""
        layers = layers_of(state, "blk_lst")
        if len(layers) != 10:
            return []
        first, last = (state[f"blk_lst.{layer}.weight"] for layer in (layers[0], layers[-1]))
        found = {"in_channels": first.shape[1], "out_channels": last.shape[0], "num_features": first.shape[0]}
        return [{**found, "share_weights": share_weights} for share_weights in (True, False)]
