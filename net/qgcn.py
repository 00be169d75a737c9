"""QCN and QGCN, one model for all JPEG qualities, conditioned on the quantization tables.

Li, Wang, Xie, Ma, "Learning a Single Model With a Wide Range of Quality Factors for JPEG Image Artifacts Removal",
IEEE Transactions on Image Processing 29, 2020 (arXiv 2009.06912). The tensors have the names of the authors'
checkpoints, whose networks take and give [-1, 1]; ours do so inside.
"""

from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from powerqe.net.blocks import PixelShuffleUp, ResidualBlock, conv, to_multiple
from powerqe.net.networks import NETWORKS
from powerqe.net.weights import State, count
from powerqe.utils.errors import UserError

_BLOCK = 8  # pixels; a JPEG block, and so the side of a table
_SIDE = 112  # pixels; height and width of the image that QGCN's global branch sees


@NETWORKS.register()
class QCN(nn.Module):
    """EDSR-like residual blocks at half size, conditioned on the quantization tables, further channels of the input.

    The tables are repeated over the image from its top left pixel, where a block of the JPEG must begin. The last
    layer predicts the image itself; the features of the first are added before it.

    Args:
        in_channels: 3 for RGB, 1 for gray.
        num_blocks: residual blocks.
        res_scale: factor of what a block adds.
    """

    multiple: ClassVar[int] = _BLOCK
    """Where an image may be cut into tiles: at multiples of this many pixels."""

    def __init__(
        self,
        *,
        in_channels: Literal[3, 1] = 3,
        num_features: PositiveInt = 64,
        num_blocks: PositiveInt = 64,
        res_scale: float = 0.1,
    ) -> None:
        super().__init__()
        self.in_channels, self._num_maps = in_channels, _num_maps(in_channels)
        self.conv_input = conv(in_channels + self._num_maps, num_features, 3, bias=False)
        self.downscale = _halving(num_features)
        self.residual = _blocks(num_features, num_blocks, res_scale)
        self.conv_mid = conv(num_features, num_features, 3, bias=False)
        self.upscale = PixelShuffleUp(num_features, 2)
        self.conv_output = conv(num_features, in_channels, 3, bias=False)
        _init(self)

    def forward(self, x: Tensor, tables: Tensor) -> Tensor:
        """(N, in_channels, H, W) in [0, 1] -> the same shape, not clamped.

        Args:
            tables: (N, 2, 8, 8), gray (N, 1, 8, 8): quantization steps 1 ... 255, luma first, natural order.

        Raises:
            UserError: tables of another shape.
        """
        _check_tables("QCN", x, tables, self._num_maps)
        skip = self.conv_input(_with_maps(to_multiple(x, _BLOCK), tables))
        features = self.conv_mid(self.residual(self.downscale(skip)))
        return _image(self.conv_output(skip + self.upscale(features)), x)

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of the official code."""
        return [{**_sizes(state), "num_blocks": count(state, r"residual\.\d+\.")}]


@NETWORKS.register()
class QGCN(nn.Module):
    """QCN with a global branch, which processes the whole image at 112 x 112 and gives one vector to all pixels.

    Args:
        in_channels: 3 for RGB, 1 for gray.
        num_features: channels of the restoration, and length of the vector.
        global_features: channels of the four scales of the global branch.
        hidden_features: between its two linear layers.
        num_blocks: residual blocks; a half stands before, a half after the branches meet.
        res_scale: factor of what a block adds.

    Raises:
        UserError: an odd number of blocks.
    """

    multiple: ClassVar[int] = _BLOCK
    """Where an image may be cut into tiles: at multiples of this many pixels."""

    def __init__(
        self,
        *,
        in_channels: Literal[3, 1] = 3,
        num_features: PositiveInt = 64,
        num_blocks: PositiveInt = 64,
        res_scale: float = 0.1,
        global_features: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (32, 64, 128, 128),
        hidden_features: PositiveInt = 1024,
    ) -> None:
        super().__init__()
        if num_blocks % 2:
            raise UserError(
                f"QGCN: found num_blocks {num_blocks}, expected an even number (half before the branches meet)"
            )
        features = num_features
        self.in_channels, self._num_maps = in_channels, _num_maps(in_channels)
        self.thumbnail = Thumbnail()
        self.conv_global = _global_convolutions(in_channels, global_features)
        flat = global_features[-1] * (_SIDE // 16) ** 2
        self.conv_global_l = nn.Sequential(
            nn.Linear(flat, hidden_features), nn.ReLU(), nn.Linear(hidden_features, features)
        )
        self.conv_input = conv(in_channels + self._num_maps, features, 3, bias=False)
        self.downscale = _halving(features)
        self.residual1 = _blocks(features, num_blocks // 2, res_scale)
        self.conv_res_mid = conv(2 * features, features, 3)
        self.residual2 = _blocks(features, num_blocks // 2, res_scale)
        self.conv_mid = conv(features, features, 3, bias=False)
        self.upscale = PixelShuffleUp(features, 2)
        self.conv_output = conv(features, in_channels, 3, bias=False)
        _init(self)

    def forward(self, x: Tensor, tables: Tensor, thumbnail: Tensor | None = None) -> Tensor:
        """(N, in_channels, H, W) in [0, 1] -> the same shape, not clamped.

        Args:
            tables: (N, 2, 8, 8), gray (N, 1, 8, 8): quantization steps 1 ... 255, luma first, natural order.
            thumbnail: (N, in_channels, 112, 112) in [0, 1], what the global branch sees; without, `Thumbnail` makes
                it of x.

        Raises:
            UserError: tables or thumbnail of another shape.
        """
        _check_tables("QGCN", x, tables, self._num_maps)
        small = self.thumbnail(x) if thumbnail is None else thumbnail
        if small.shape != (*x.shape[:2], _SIDE, _SIDE):
            raise UserError(
                f"QGCN: found a thumbnail of shape {tuple(small.shape)}, expected {(*x.shape[:2], _SIDE, _SIDE)}; "
                "without one the network makes it itself"
            )
        overview = self.conv_global_l(self.conv_global(_signed(small)).flatten(1))
        features = self.downscale(self.conv_input(_with_maps(to_multiple(x, _BLOCK), tables)))
        features = features + self.residual1(features)
        overview = overview[..., None, None].expand(-1, -1, *features.shape[-2:])
        features = F.relu(self.conv_res_mid(torch.cat([features, overview], dim=1)))
        features = self.conv_mid(features + self.residual2(features))
        return _image(self.conv_output(self.upscale(features)), x)

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of the official code."""
        found = {
            "num_blocks": count(state, r"residual[12]\.\d+\."),
            "global_features": [state[f"conv_global.{layer}.weight"].shape[0] for layer in (0, 4, 8, 12)],
            "hidden_features": state["conv_global_l.0.weight"].shape[0],
        }
        return [{**_sizes(state), **found}]


# --------------------------------------------------------------------------- what both have


def _sizes(state: State) -> dict[str, Any]:
    """Options of the network of an official checkpoint, from its last layer."""
    in_channels, num_features = state["conv_output.weight"].shape[:2]
    return {"in_channels": in_channels, "num_features": num_features}


def _check_tables(network: str, x: Tensor, tables: Tensor, num_maps: int) -> None:
    """Raise `UserError` for tables that do not fit the images x, such as tables of color for gray."""
    expected = (x.shape[0], num_maps, _BLOCK, _BLOCK)
    if tables.shape != expected:
        raise UserError(
            f"{network}: found tables of shape {tuple(tables.shape)}, expected {expected}: "
            "luma and chroma for each color image, one for each gray one"
        )


def _with_maps(x: Tensor, tables: Tensor) -> Tensor:
    """x (N, C, H, W) in [0, 1], sides multiples of 8, and the tables repeated over it; all in [-1, 1]."""
    rows, columns = (length // _BLOCK for length in x.shape[-2:])
    return torch.cat([_signed(x), _signed(tables.to(x) / 255).repeat(1, 1, rows, columns)], dim=1)


def _num_maps(in_channels: int) -> int:
    return 1 if in_channels == 1 else 2


def _signed(x: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1]."""
    return 2 * x - 1


def _image(y: Tensor, x: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1], without what was added to the sides of x."""
    return (y[..., : x.shape[-2], : x.shape[-1]] + 1) / 2


def _halving(features: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(features, features, 4, stride=2, padding=1, bias=False), nn.ReLU(inplace=True))


def _blocks(features: int, count: int, scale: float) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(features, bias=False, scale=scale) for _ in range(count)))


def _global_convolutions(in_channels: int, features: tuple[int, ...]) -> nn.Sequential:
    """(N, in_channels, 112, 112) -> (N, features[-1], 7, 7): four times halved."""
    layers: list[nn.Module] = []
    for before, after in pairwise((in_channels, *features)):
        halving = nn.Conv2d(before, after, 4, stride=2, padding=1)
        layers += [halving, nn.ReLU(inplace=True), conv(after, after, 3), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _init(network: nn.Module) -> None:
    """The authors' start: He et al. (ICCV 2015) with the fan of the outputs; linear layers stay as PyTorch has them."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


# --------------------------------------------------------------------------- the image at 112 x 112


class Thumbnail(nn.Module):
    """A whole image at 112 x 112, whatever its shape, as `skimage.transform.resize(..., order=3)` makes it.

    A side that shrinks is smoothed with a Gaussian of (factor - 1) / 2 pixels; then a cubic spline goes through the
    pixels and is read at the middles of the new ones; last, values are kept within those of the image. The
    image is mirrored at its edges, which are not repeated. All but the last is linear and the same for each row
    and for each column, so two matrices do it.
    """

    sees_whole_image: ClassVar[bool] = True
    """Who applies the network to an image in tiles gives this module the image, not a tile."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (N, C, 112, 112) in [0, 1].

        As the network does, repeat the last row and column first until H and W are multiples of 8.
        """
        x = to_multiple(x, _BLOCK)
        with torch.autocast(x.device.type, enabled=False):  # 8 bits of precision would show as another quality
            x = x.float()
            rows, columns = (_resizing(length).to(x) for length in x.shape[-2:])
            low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
            return (rows @ x @ columns.T).clamp(low, high)


def _resizing(size: int) -> Tensor:
    """The matrix (112, size), float64, that resizes a column of pixels, at least 8 of them.

    Of PyTorch's operations, without a branch, so that a network that is compiled or exported makes it of any size.
    """
    at = (torch.arange(_SIDE, dtype=torch.float64) + 0.5) * size / _SIDE - 0.5
    reach = 34 + size // 56  # of spline, its filter and the Gaussian together
    taps = torch.arange(-reach, reach + 1)
    between = (taps[:, None] - taps).abs()
    nearest = at.floor()[:, None].long()
    weights = _cubic_b_spline(at[:, None] - nearest - taps) @ _spline_filter(between) @ _gaussian(between, size)
    return weights.new_zeros(_SIDE, size).scatter_add(1, _mirrored(nearest + taps, size), weights)


def _cubic_b_spline(distance: Tensor) -> Tensor:
    """The cubic B-spline at a distance from its center."""
    near = distance.abs().clamp(max=2)
    return torch.where(near < 1, 2 / 3 - near.square() * (2 - near) / 2, (2 - near) ** 3 / 6)


def _spline_filter(distance: Tensor) -> Tensor:
    """Gives the coefficients of the B-splines through all pixels, the inverse of (1 4 1) / 6.

    Unser, "Splines: A Perfect Fit for Signal and Image Processing", IEEE Signal Processing Magazine 16(6), 1999, box 2.
    """
    return (3**0.5 - 2) ** distance.double() * 3**0.5


def _gaussian(distance: Tensor, size: int) -> Tensor:
    """Of (factor - 1) / 2 pixels, cut off beyond four times that; without effect where nothing shrinks.

    The sum of its taps, 1, is taken at the middle row, which has them all.
    """
    deviation = torch.full((), size / _SIDE - 1, dtype=torch.float64).clamp(min=1e-3) / 2
    near = distance <= (4 * deviation + 0.5).floor()
    weights = torch.where(near, (-0.5 * (distance / deviation).square()).exp(), 0)
    return weights / weights[len(weights) // 2].sum()


def _mirrored(index: Tensor, size: int) -> Tensor:
    """Where a pixel of the image mirrored at its first and last pixel comes from: ... 2 1 0 1 2 ..."""
    period = index.new_full((), 2 * (size - 1))
    index = index % period
    return torch.minimum(index, period - index)
