"""RCAN, groups of residual blocks with channel attention that enlarge an image.

Zhang, Li, Li, Wang, Zhong, Fu, "Image Super-Resolution Using Very Deep Residual Channel Attention Networks",
ECCV 2018. Inside, images are in [0, 255], which the published weights expect.
"""

from typing import Any, Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from powerqe.net.autocast import ExactConv, ImageConv
from powerqe.net.blocks import MeanShift, PixelShuffleUp, ResidualGroup, conv
from powerqe.net.networks import NETWORKS
from powerqe.net.weights import State, count, enlargement, renamed


@NETWORKS.register()
class RCAN(nn.Module):
    """Head convolution, groups with a long skip over them, sub-pixel enlargement (fig. 2); RGB.

    The defaults are those of the SRCNN study (net/srcnn.py); the paper has 10 groups of 20 blocks.

    Args:
        scale: height and width of the output in those of the input.
        num_groups: residual groups.
        num_blocks: channel attention blocks of each group.
        reduction: channels of the attention's middle layer are num_features / reduction.
    """

    optional_weights = ("sub_mean", "add_mean")

    def __init__(
        self,
        *,
        scale: Literal[2, 3, 4] = 2,
        num_features: PositiveInt = 64,
        num_groups: PositiveInt = 10,
        num_blocks: PositiveInt = 4,
        reduction: PositiveInt = 16,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.sub_mean = MeanShift(3, -1)
        self.head = ImageConv(3, num_features, 3, padding=1)
        groups = (ResidualGroup(num_features, num_blocks, reduction) for _ in range(num_groups))
        self.body = nn.Sequential(*groups, conv(num_features, num_features, 3))
        self.tail = nn.Sequential(PixelShuffleUp(num_features, scale), ExactConv(num_features, 3, 3, padding=1))
        self.add_mean = MeanShift(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, 3, scale H, scale W), not clamped."""
        features = self.head(self.sub_mean(255 * x))
        features = features + self.body(features)
        return self.add_mean(self.tail(features)) / 255

    def upstream_name(self, name: str) -> str:
        """The names of the authors' code, and of BasicSR, among whose tensors there is no mean."""
        last = len(self.body) - 1
        authors = (
            (r"^head\.0\.", "head."),
            (r"^(body\.\d+)\.body\.(\d+\.(?:weight|bias))$", r"\1.conv.\2"),
            (r"^(body\.\d+)\.conv\.\d+\.", r"\1.conv."),
            (r"^(body\.\d+)\.body\.", r"\1.blocks."),
            (r"\.body\.0\.", ".conv1."),
            (r"\.body\.2\.", ".conv2."),
            (r"\.body\.3\.conv_du\.0\.", ".attention.reduce."),
            (r"\.body\.3\.conv_du\.2\.", ".attention.expand."),
        )
        basicsr = (
            (r"^conv_first\.", "head."),
            (r"^conv_after_body\.", f"body.{last}."),
            (r"\.residual_group\.", ".blocks."),
            (r"\.rcab\.0\.", ".conv1."),
            (r"\.rcab\.2\.", ".conv2."),
            (r"\.rcab\.3\.attention\.1\.", ".attention.reduce."),
            (r"\.rcab\.3\.attention\.3\.", ".attention.expand."),
            (r"^upsample\.", "tail.0."),
            (r"^conv_last\.", "tail.1."),
        )
        return renamed(name, (*authors, *basicsr))

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of the authors and of BasicSR."""
        head, up, blocks, attention = _BASICSR if "conv_first.weight" in state else _AUTHORS
        num_features = state[f"{head}.weight"].shape[0]
        found = {
            "scale": enlargement(state, up),
            "num_features": num_features,
            "num_groups": count(state, rf"body\.\d+\.{blocks}\."),
            "num_blocks": count(state, rf"body\.0\.{blocks}\.\d+\.{attention.partition('.')[0]}\."),
            "reduction": num_features // state[f"body.0.{blocks}.0.{attention}.weight"].shape[0],
        }
        return [found]


_AUTHORS = ("head.0", "tail.0", "body", "body.3.conv_du.0")
_BASICSR = ("conv_first", "upsample", "residual_group", "rcab.3.attention.1")
"""Names of the first convolution, the enlargement, the blocks of a group, the first layer of a block's attention."""
