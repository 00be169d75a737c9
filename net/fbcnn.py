"""FBCNN: JPEG restoration that estimates the quality factor and lets the user set it.

Jiang, Zhang, Timofte, "Towards Flexible Blind JPEG Artifacts Removal", ICCV 2021.
"""

import re
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from powerqe.net.autocast import ImageConv, exactly
from powerqe.net.blocks import GlobalMean, ResidualBlock, check_skip, conv, to_multiple
from powerqe.net.networks import NETWORKS
from powerqe.net.severity import severities
from powerqe.net.weights import State, count


@NETWORKS.register()
class FBCNN(nn.Module):
    """A U-Net of residual blocks, whose decoder is controlled by a quality factor: the estimated or a given one.

    Four scales: full size, 1/2, 1/4, 1/8. From the coarsest one the quality factor is estimated. It becomes a
    factor and a summand for each channel of the decoder (fig. 2). The authors do not add the input to the output.

    Args:
        num_features: of the four scales, the finest first.
        num_blocks: residual blocks of each stage.
        hidden_features: width of the layers that estimate the quality factor, and of those that apply it.
        residual: add the input to the output, which learns much sooner.

    Raises:
        UserError: residual with other channels in the output than in the input.
    """

    multiple: ClassVar[int] = 8
    """Tiles of an image must start at multiples of it: the network scales down by that in its own grid."""
    estimates: ClassVar[dict[str, str]] = {"qf": "quality"}
    """What `forward` returns after the image, and what of the sample that estimates."""

    def __init__(
        self,
        *,
        in_channels: PositiveInt = 3,
        out_channels: PositiveInt = 3,
        num_features: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (64, 128, 256, 512),
        num_blocks: PositiveInt = 4,
        hidden_features: PositiveInt = 512,
        residual: bool = False,
    ) -> None:
        super().__init__()
        if residual:
            check_skip("FBCNN with residual: true", in_channels, out_channels)
        self.in_channels, self.residual = in_channels, residual
        levels = list(pairwise(num_features))  # (fine, coarse)
        coarsest = num_features[-1]
        self.head = ImageConv(in_channels, num_features[0], 3, padding=1)
        self.downs = nn.ModuleList(
            nn.Sequential(*_blocks(fine, num_blocks), nn.Conv2d(fine, coarse, 2, stride=2)) for fine, coarse in levels
        )
        self.encoder = nn.Sequential(*_blocks(coarsest, num_blocks))
        self.estimator = nn.Sequential(
            *_blocks(coarsest, num_blocks),
            GlobalMean(),
            nn.Flatten(),
            *_dense(coarsest, hidden_features, hidden_features),
            nn.Linear(hidden_features, 1),
        )
        self._mean = num_blocks + 1  # layers up to the mean
        self.embedding = nn.Sequential(*_dense(1, hidden_features, hidden_features, hidden_features))
        self.decoder = nn.Sequential(*_blocks(coarsest, num_blocks))
        self.ups = nn.ModuleList(
            _ControlledUp(coarse, fine, num_blocks, hidden_features) for fine, coarse in reversed(levels)
        )
        self.tail = conv(num_features[0], out_channels, 3)
        _initialize(self)

    def forward(self, x: Tensor, qf: Tensor | float | None = None) -> tuple[Tensor, Tensor]:
        """Restore images.

        Args:
            x: (N, in_channels, H, W) in [0, 1].
            qf: the quality factor, 0 ... 100, to restore for: one for each image (N, 1), or one for all,
                (1, 1) or a number. A lower one removes more, artifacts and details. None, or NaN or -1 for one of
                the images: the estimated one.

        Returns:
            The images (N, out_channels, H, W), not clamped, and the estimated quality factors (N, 1).

        Raises:
            UserError: qf is not between 0 and 100, or there are not as many as images.
        """
        height, width = x.shape[-2:]
        f = self.head(to_multiple(x, self.multiple))
        skips = []
        for down in self.downs:
            skips.append(f)
            f = down(f)
        encoded = self.encoder(f)
        means = self.estimator[: self._mean](encoded)
        severity = exactly(self.estimator[self._mean :], means).float().sigmoid()  # 1 - QF / 100, as the network has it
        control = exactly(self.embedding, severities("FBCNN", qf, severity))
        f = f + self.decoder(encoded)
        for up in self.ups:
            f = up(f, control) + skips.pop()
        restored = self.tail(f)[..., :height, :width]
        return x + restored if self.residual else restored, 100 * (1 - severity)

    def upstream_name(self, name: str) -> str:
        """The official code calls the stages m_..., and numbers the layers of a stage, ReLUs too, as we do."""
        for pattern, ours in _UPSTREAM_NAMES:
            name = re.sub(pattern, ours, name)
        if found := re.match(r"ups\.(\d)\.(\d+)\.(.*)", name):  # the blocks there stand behind a layer 0
            stage, layer, tensor = found.groups()
            name = f"ups.{stage}.blocks.{int(layer) - 1}.{tensor}" if layer != "0" else f"ups.{stage}.up.{tensor}"
        return name

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of the official code."""
        head, num_blocks = state["m_head.weight"], count(state, r"m_body_encoder\.\d+\.")
        coarser = [state[f"m_down{level}.{num_blocks}.weight"].shape[0] for level in (1, 2, 3)]
        found = {
            "in_channels": head.shape[1],
            "out_channels": state["m_tail.weight"].shape[0],
            "num_features": [head.shape[0], *coarser],
            "num_blocks": num_blocks,
            "hidden_features": state["qf_embed.0.weight"].shape[0],
        }
        return [found]


class _ControlledUp(nn.Module):
    """Twice the size, then residual blocks that are scaled and shifted as the quality factor demands (eq. 2)."""

    def __init__(self, coarse: int, fine: int, num_blocks: int, hidden_features: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(coarse, fine, 2, stride=2)
        self.blocks = nn.ModuleList(ControlledBlock(fine) for _ in range(num_blocks))
        self.gamma = nn.Linear(hidden_features, fine)
        self.beta = nn.Linear(hidden_features, fine)

    def forward(self, x: Tensor, control: Tensor) -> Tensor:
        gamma, beta = self.gamma(control).sigmoid()[..., None, None], self.beta(control).tanh()[..., None, None]
        x = self.up(x)
        for block in self.blocks:
            x = block(x, gamma, beta)
        return x


class ControlledBlock(nn.Module):
    """x + gamma conv(ReLU(conv(x))) + beta; gamma and beta (N, features, 1, 1)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = conv(features, features, 3)
        self.conv2 = conv(features, features, 3)

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        return x + gamma * self.conv2(F.relu(self.conv1(x))) + beta


def _blocks(features: int, times: int) -> list[nn.Module]:
    return [ResidualBlock(features) for _ in range(times)]


def _dense(*features: int) -> list[nn.Module]:
    """Linear layers from one width to the next, each with a ReLU."""
    return [
        layer for before, after in pairwise(features) for layer in (nn.Linear(before, after), nn.ReLU(inplace=True))
    ]


def _initialize(network: FBCNN) -> None:
    """Keep the variance of the input, add a fifth of that in residual branches; no biases; first estimates near 50.

    The authors start from orthogonal weights of gain 0.2 everywhere, which lets the estimator see next to nothing
    (0.2 from scale to scale).
    """
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu" if isinstance(module, nn.Linear) else "linear")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            if "conv" in name:
                _scale(module, 0.2)
    _scale(network.estimator[-1], 0.01)
    if network.residual:  # start as the identity
        _scale(network.tail, 0.01)


@torch.no_grad()
def _scale(layer: nn.Module, factor: float) -> None:
    layer.get_parameter("weight").mul_(factor)


_UPSTREAM_NAMES = (
    (r"\.res\.0\.", ".conv1."),
    (r"\.res\.2\.", ".conv2."),
    (r"^m_(head|tail)\.", r"\1."),
    (r"^m_body_(encoder|decoder)\.", r"\1."),
    (r"^m_down1\.", "downs.0."),
    (r"^m_down2\.", "downs.1."),
    (r"^m_down3\.", "downs.2."),
    (r"^qf_pred\.", "estimator."),
    (r"^qf_embed\.", "embedding."),
    (r"^(?:m_up|to_(gamma|beta)_)3\.", r"ups.0.\1."),
    (r"^(?:m_up|to_(gamma|beta)_)2\.", r"ups.1.\1."),
    (r"^(?:m_up|to_(gamma|beta)_)1\.", r"ups.2.\1."),
    (r"\.\.", "."),  # of m_up, which names neither gamma nor beta
    (r"\.(gamma|beta)\.0\.", r".\1."),
)
