"""MFQE 2.0: a frame is enhanced with the help of the two good frames around it, brought into its place by their motion.

Guan, Xing, Xu, Yang, Liu, Wang, "MFQE 2.0: A New Approach for Multi-Frame Quality Enhancement on Compressed Video",
IEEE TPAMI 2021, in the form of the authors' TensorFlow program, which their published weights need.
"""

import re
from collections.abc import Callable
from itertools import product
from typing import Any, ClassVar, Literal, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from powerqe.net.blocks import check_clip, init_residual, to_multiple
from powerqe.net.networks import NETWORKS
from powerqe.net.weights import State, count

Border = Literal["zero", "replicate"]

REACH = 64
"""Pixels of motion that a flow of 1 means: the side of the authors' training patches, whatever the frame's size."""
KERNELS = (3, 5, 7)


@NETWORKS.register()
class MFQE(nn.Module):
    """Motion compensation of both neighbors by one network, then a network that enhances; its result is added.

    The neighbors are peak quality frames (PQF), the last before and the first after the frame. 255,422 trainable
    parameters with the defaults, 222,859 with the plain enhancer. As in the authors' program all slopes and biases
    start at zero, so that PReLU starts as ReLU, and the kernels of the motion as Glorot and Bengio have it (uniform);
    those of the enhancer, unlike there, so that it starts near the identity and small signals do not die out in it.

    Args:
        enhancer: "dense": 3x3 convolutions that see the results of all before them, with batch normalization and PReLU
            after each, the last one, too; the authors' network for QP 37 and 42. "plain": more of them in a row, the
            last one linear; their network for QP 22, 27 and 32.
        batch_norm: between convolution and PReLU in the enhancer, but for its first layer. None: as the authors, in the
            dense one.
        border: what a neighbor is where the motion leads out of it: "zero", as for the authors' weights, where the
            last row and column are outside already; "replicate": the nearest pixel of its border.
    """

    multiple: ClassVar[int] = 4
    """Clips are continued to multiples of this; tiles of them start there."""
    frames: ClassVar[int] = 3
    window: ClassVar[str] = "peaks"
    """Which frames it takes: the frames of peak quality before and after, see `forward`."""
    in_channels: ClassVar[int] = 1
    free_options = ("batch_norm",)  # null: determined by the tensors

    def __init__(
        self,
        *,
        enhancer: Literal["dense", "plain"] = "dense",
        batch_norm: bool | None = None,
        border: Border = "zero",
    ) -> None:
        super().__init__()
        norm = enhancer == "dense" if batch_norm is None else batch_norm
        self.motion = _Motion(border)
        self.enhance = _Enhancer(norm=norm, dense=enhancer == "dense")
        self.optional_weights = tuple(f"enhance.layers.{i}.norm.num_batches_tracked" for i in range(9))
        """TensorFlow does not count batches."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.get_parameter("bias"))
        last = self.enhance.last
        init_residual(self.enhance, last.conv)
        if isinstance(last.norm, nn.BatchNorm2d):  # which would undo the small weights
            nn.init.constant_(last.norm.weight, 0.01)

    @overload
    def forward(self, clip: Tensor) -> Tensor: ...
    @overload
    def forward(self, clip: Tensor, return_compensated: Literal[True]) -> tuple[Tensor, Tensor, Tensor]: ...
    def forward(self, clip: Tensor, return_compensated: bool = False) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Enhance frames.

        Args:
            clip: (N, 3, 1, H, W), luma in [0, 1]: the PQF before, the frame, the PQF after. Where there is no PQF on
                a side, the frame itself.
            return_compensated: return the neighbors in the frame's place, too, as the loss of the motion needs them.

        Returns:
            (N, 1, H, W), not clamped; with return_compensated three of them: the enhanced frame, the PQF before, the
            PQF after.

        Raises:
            UserError: the clip has another shape.
        """
        check_clip(self, clip, self.frames, self.in_channels)
        before, frame, after = to_multiple(clip[:, :, 0], self.multiple).split(1, 1)
        # One after the other: together they take twice the memory and, on a CPU, no less time.
        neighbors = [self.motion(frame, neighbor) for neighbor in (before, after)]
        images = (frame + self.enhance(neighbors[0], frame, neighbors[1]), *neighbors)
        height, width = clip.shape[-2:]
        enhanced, first, second = (image[..., :height, :width] for image in images)
        return (enhanced, first, second) if return_compensated else enhanced

    def upstream_name(self, name: str) -> str | None:
        """Variables of the authors' program; what Adam and the program count is not needed."""
        if re.search(_OPTIMIZER, name):
            return None
        for pattern, place in _VARIABLES:
            if found := re.fullmatch(pattern, name):
                return f"{place(*found.groups()[:-1])}.{_TENSORS[found.groups()[-1]]}"
        return name

    @staticmethod
    def options_of(state: State) -> list[dict[str, Any]]:
        """Those of the authors' program."""
        forms = product(("dense", "plain"), (True, False)) if count(state, "netflow/") else ()
        return [{"enhancer": enhancer, "batch_norm": batch_norm} for enhancer, batch_norm in forms]


class _Layer(nn.Module):
    """A convolution as TensorFlow pads it ("SAME"), batch normalization if wanted, PReLU unless it is the last.

    Where a stride 2 leaves an odd number of zeros for even sizes, TensorFlow puts one more behind than before.
    """

    def __init__(
        self,
        before: int,
        after: int,
        kernel_size: int = 3,
        stride: int = 1,
        *,
        norm: bool = False,
        prelu: bool = True,
    ) -> None:
        super().__init__()
        zeros = kernel_size - stride
        self.padding = (zeros // 2, zeros - zeros // 2) * 2 if zeros % 2 else ()
        self.conv = nn.Conv2d(before, after, kernel_size, stride, padding=0 if self.padding else zeros // 2)
        self.norm = nn.BatchNorm2d(after, eps=1e-3, momentum=0.01) if norm else nn.Identity()
        self.prelu = nn.PReLU(after, init=0.0) if prelu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(self.norm(self.conv(F.pad(x, self.padding) if self.padding else x)))


class _Motion(nn.Module):
    """Moves another frame into the place of a frame: flow at 1/4, 1/2 and full size, each added to the one before.

    Args:
        border: see `warp`.
    """

    follows_motion: ClassVar[bool] = True
    """It may look 192 pixels far, so tiles are not exact (inference/tiled.py)."""

    def __init__(self, border: Border) -> None:
        super().__init__()
        self.border: Border = border
        self.coarse = nn.Sequential(
            _Layer(2, 24, 5, 2), _Layer(24, 24), _Layer(24, 24, 5, 2), _Layer(24, 24), *_flow(32, 4)
        )
        self.middle = nn.Sequential(_Layer(5, 24, 5, 2), *(_Layer(24, 24) for _ in range(3)), *_flow(8, 2))
        self.fine = nn.Sequential(_Layer(5, 24), *(_Layer(24, 24) for _ in range(3)), *_flow(2, 1))

    def forward(self, frame: Tensor, other: Tensor) -> Tensor:
        """Two of (N, 1, H, W), H and W multiples of 4 -> the other one, moved."""
        return self.compensate(frame, other)[0]

    def compensate(self, frame: Tensor, other: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What forward returns, and the flows (N, 2, H, W), x and y in units of 64 pixels, the finest last."""
        flows = [self.coarse(torch.cat((frame, other), 1))]
        for finer in (self.middle, self.fine):
            moved = warp(other, REACH * flows[-1], self.border)
            flow = flows[-1].to(frame.dtype)
            flows.append(flows[-1] + finer(torch.cat((frame, other, flow, moved), 1)))
        return warp(other, REACH * flows[-1], self.border), flows


class _Flow(nn.Module):
    """What a level's last convolution has found, at full size.

    In float32 even under autocast: in bfloat16 a place far from the corner has no fraction.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.enlarge = nn.PixelShuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.enlarge(x.to(torch.promote_types(x.dtype, torch.float32)).tanh())


def _flow(features: int, scale: int) -> tuple[nn.Module, nn.Module]:
    return _Layer(24, features, prelu=False), _Flow(scale)


class _Enhancer(nn.Module):
    """Three kernel sizes for each of the three frames, then 3x3 convolutions; the result is to be added."""

    def __init__(self, *, dense: bool, norm: bool) -> None:
        super().__init__()
        self.dense = dense
        self.first = nn.ModuleList(_Layer(1, 32, kernel) for _ in range(3) for kernel in KERNELS)
        """For each frame in turn."""
        inputs = (288, 32, 64, 96, 128) if dense else (288, *[32] * 6)
        layers = [_Layer(before, 32, norm=norm) for before in inputs]
        last = [_Layer(32, 1, norm=norm)] if dense else [_Layer(32, 16, norm=norm), _Layer(16, 1, prelu=False)]
        self.layers = nn.ModuleList([*layers, *last])

    @property
    def last(self) -> _Layer:
        """Whose result is to be added."""
        layer = self.layers[-1]
        assert isinstance(layer, _Layer)
        return layer

    def forward(self, before: Tensor, frame: Tensor, after: Tensor) -> Tensor:
        """Three of (N, 1, H, W) -> (N, 1, H, W)."""
        frames = [image for image in (before, frame, after) for _ in KERNELS]
        f = torch.cat([layer(image) for layer, image in zip(self.first, frames, strict=True)], 1)
        if not self.dense:
            for layer in self.layers:
                f = layer(f)
            return f
        start, *inner, last = self.layers
        seen = [start(f)]
        for layer in inner:
            seen.append(layer(torch.cat(seen, 1)))
        return last(seen[-1])


def warp(frame: Tensor, motion: Tensor, border: Border = "zero") -> Tensor:
    """Each pixel from where its motion points to, bilinear between four pixels.

    Args:
        frame: (N, C, H, W).
        motion: (N, 2, H, W), x and y in pixels.
        border: "zero": zero, in one step, unless the place is in [0, W - 1) x [0, H - 1), as the authors' program does:
            it weighs the four pixels by their distance after it has moved them into the frame. "replicate": the place
            is moved to the nearest one in the frame.

    Returns:
        (N, C, H, W) of the frame's type. NaN where the motion is NaN.
    """
    height, width = frame.shape[-2:]
    x = torch.arange(width, device=frame.device) + motion[:, :1]
    y = torch.arange(height, device=frame.device)[:, None] + motion[:, 1:]
    inside = (x >= 0) & (x < width - 1) & (y >= 0) & (y < height - 1)
    x, left, right = _neighbors(x, width)
    y, top, bottom = _neighbors(y, height)
    pixels = frame.flatten(2)

    def at(row: Tensor, column: Tensor) -> Tensor:
        place = (row * width + column).flatten(2).expand(-1, frame.shape[1], -1)
        return pixels.gather(2, place).view_as(frame)

    upper = at(top, left) * (1 - x) + at(top, right) * x
    lower = at(bottom, left) * (1 - x) + at(bottom, right) * x
    moved = upper * (1 - y) + lower * y
    return (moved * inside if border == "zero" else moved).to(frame.dtype)


def _neighbors(place: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Places along an axis, moved into the frame -> how far behind a pixel, that pixel, and the next one."""
    place = place.clamp(0, size - 1)
    pixel = place.detach().floor()
    index = torch.where(pixel.isnan(), 0, pixel).long()  # the distance remembers NaN
    return place - pixel, index, (index + 1).clamp(max=size - 1)


def _first(kernel: str, frame: str) -> str:
    return f"enhance.first.{3 * (int(frame) - 1) + KERNELS.index(int(kernel))}"


def _later(number: str) -> str:
    return f"enhance.layers.{int(number) - 1}"


def _slope(number: str | None) -> str:
    """Of the dense enhancer, counted in the order in which the layers were made."""
    index = int(number or 0)
    return f"enhance.first.{index}" if index < 9 else f"enhance.layers.{index - 9}"


_LEVELS = {"c": "coarse", "s": "middle", "a": "fine"}
_TENSORS = {
    **dict.fromkeys(("w", "weights"), "conv.weight"),
    **dict.fromkeys(("b", "biases"), "conv.bias"),
    **dict.fromkeys(("alphas", "PReLU/alphas"), "prelu.weight"),
    "gamma": "norm.weight",
    "beta": "norm.bias",
    "moving_mean": "norm.running_mean",
    "moving_variance": "norm.running_var",
}
_VARIABLES: tuple[tuple[str, Callable[..., str]], ...] = (
    (r"easyflow/([csa])(\d)/(weights|biases|PReLU/alphas)", lambda level, n: f"motion.{_LEVELS[level]}.{int(n) - 1}"),
    (r"netflow/c([357])_([123])_(w|b)", _first),
    (r"netflow/conv([357])_([123])/(weights|biases|PReLU/alphas)", _first),
    (r"netflow/c(\d)_(w|b)", _later),
    (r"netflow/cconv(\d)/(weights|biases|PReLU/alphas)", _later),
    (r"netflow/cout/(weights|biases)", lambda: _later("9")),
    (r"netflow/PReLU(?:_(\d+))?/(alphas)", _slope),
    (
        r"netflow/batch_normalization(?:_(\d))?/(gamma|beta|moving_mean|moving_variance)",
        lambda n: _later(str(int(n or 0) + 1)),
    ),
)
_OPTIMIZER = r"/Adam(_\d+)?$|(^|/)(beta[12]_power(_\d+)?|global_step)$"
