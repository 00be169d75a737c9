"""AR-CNN, the smallest network: a stack of convolutions without normalization.

Dong, Deng, Loy, Tang, "Compression Artifacts Reduction by a Deep Convolutional Network", ICCV 2015.
"""

from itertools import pairwise
from typing import Any

from pydantic import PositiveInt
from torch import Tensor, nn

from powerqe.net.blocks import check_skip, conv
from powerqe.net.networks import NETWORKS
from powerqe.net.weights import State, layers_of
from powerqe.utils.errors import UserError


@NETWORKS.register()
class ARCNN(nn.Module):
    """Convolutions with a ReLU between them; nothing after the last.

    The defaults are PowerQE's: three layers 9-1-5. The paper has four, 9-7-1-5: feature extraction,
    feature enhancement, non-linear mapping, reconstruction (section 4); that is
    `hidden_channels=(64, 32, 16), kernel_sizes=(9, 7, 1, 5)`.

    Args:
        hidden_channels: channels between the layers, one number less than there are layers.
        kernel_sizes: one odd size per layer.
        residual: add the input to the output, as later versions of PowerQE do.
    """

    def __init__(
        self,
        *,
        in_channels: PositiveInt = 3,
        out_channels: PositiveInt = 3,
        hidden_channels: tuple[PositiveInt, ...] = (64, 32),
        kernel_sizes: tuple[PositiveInt, ...] = (9, 1, 5),
        residual: bool = False,
    ) -> None:
        super().__init__()
        _check_kernels(hidden_channels, kernel_sizes)
        if residual:
            check_skip("ARCNN with residual: true", in_channels, out_channels)
        channels = pairwise((in_channels, *hidden_channels, out_channels))
        layers: list[nn.Module] = []
        for (before, after), kernel_size in zip(channels, kernel_sizes, strict=True):
            layers += [conv(before, after, kernel_size), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers[:-1])
        self.in_channels, self.residual = in_channels, residual

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) in [0, 1] -> (N, out_channels, H, W), not clamped."""
        y = self.layers(x)
        return x + y if self.residual else y

    def upstream_name(self, name: str) -> str:
        """PowerQE v1 has `blk_lst.N.*`; later versions have our own `layers.N.*`."""
        return name.replace("blk_lst.", "layers.", 1)

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of PowerQE v1; later versions, which have the names `layers.N.*`, may add the input or not."""
        prefix = "blk_lst" if "blk_lst.0.weight" in state else "layers"
        weights = [state[f"{prefix}.{layer}.weight"] for layer in layers_of(state, prefix)]
        if all(weight.shape[-1] == 3 for weight in weights):  # of DCAD or DnCNN
            return []
        found = {
            "in_channels": weights[0].shape[1],
            "out_channels": weights[-1].shape[0],
            "hidden_channels": [weight.shape[0] for weight in weights[:-1]],
            "kernel_sizes": [weight.shape[-1] for weight in weights],
        }
        return [{**found, "residual": residual} for residual in (False, True)[: 1 if prefix == "blk_lst" else 2]]


def _check_kernels(hidden_channels: tuple[int, ...], kernel_sizes: tuple[int, ...]) -> None:
    if len(kernel_sizes) != len(hidden_channels) + 1:
        raise UserError(
            f"ARCNN: {len(hidden_channels)} hidden_channels make {len(hidden_channels) + 1} layers, "
            f"found {len(kernel_sizes)} kernel_sizes {tuple(kernel_sizes)}; give one per layer"
        )
    if any(size % 2 == 0 for size in kernel_sizes):
        raise UserError(
            f"ARCNN: found kernel_sizes {tuple(kernel_sizes)}, give odd ones (even ones change the image size)"
        )
