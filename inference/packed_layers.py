"""The layers of a network as oneDNN, which computes them on x86 processors, computes them fastest.

PyTorch hands oneDNN one layer at a time, whose weights are brought into oneDNN's layout, and under autocast into
another type, in every call. Here they are packed once for each type and size of images, on which oneDNN's layout
depends, and a ReLU or sum behind a convolution is computed with it, without another pass over the memory. Two kinds of
layers come to the same sums another way: as oneDNN computes 16 channels at once (8 with AVX2), a convolution with few
outputs gives those of a block of pixels as channels; and so does a convolution in place of a transposed one whose
kernel is no multiple of its stride, for which oneDNN has no fast code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache, partial
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from powerqe.net.autocast import ExactConv, ImageConv
from powerqe.net.blocks import GlobalMean, ResidualBlock
from powerqe.net.drunet import Block
from powerqe.net.fbcnn import ControlledBlock

Forward = Callable[..., Tensor]
Maker = Callable[[Any], Forward | None]
_LANES = {"AVX2": 8, "AVX512": 16}
"""What PyTorch finds in the processor -> channels of float32 at once."""
_BLOCKS = (1, 2, 4)
"""Sides of blocks of pixels."""
_SIZES = 2
"""Of images, for which packed weights are kept: of two that are enhanced at once, or of tiles and those at the edge.
Packing takes a tenth of a layer's time for small images; the layout of another size takes up to 14 times it.
"""
_ROWS = 32
"""Of which a mean takes the sum at a time; they stay in the cache."""


def pack_layers(network: nn.Module) -> None:
    """Let the layers of a network in evaluation mode compute so, on the CPU and where no gradients are wanted.

    Modules stay what and where they are and get another `forward`. Weights that change afterwards change nothing.
    Without oneDNN and on other processors nothing happens.
    """
    if torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() in _LANES:
        for module in network.modules():
            make: Maker | None = _MAKERS.get(type(module), _chain if _is_plain_sequence(module) else None)
            if fast := make and make(module):
                module.forward = FastForward(module.forward, fast)


class FastForward:
    """A module's forward.

    Args:
        usual: that of its class.
        fast: what gives the same of images (N, C, H, W) in float32, or bfloat16 or under autocast to it, on the CPU.
    """

    def __init__(self, usual: Forward, fast: Forward) -> None:
        self._usual, self.fast = usual, fast

    def __call__(self, x: Tensor, *others: Any) -> Tensor:
        return self.fast(x, *others) if _is_possible(x) else self._usual(x, *others)


def _is_possible(x: Tensor) -> bool:
    is_image = x.device.type == "cpu" and x.ndim == 4 and x.numel() > 0
    return is_image and _type_of(x) in _types() and not (torch.is_grad_enabled() or torch.compiler.is_compiling())


@cache
def _types() -> tuple[torch.dtype, ...]:
    """In which oneDNN computes here; without AVX-512 it packs no bfloat16, which PyTorch itself then emulates."""
    has_bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return (torch.float32, torch.bfloat16) if has_bfloat16 else (torch.float32,)


def _type_of(x: Tensor) -> torch.dtype:
    """In which a layer computes x."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def _fast(module: nn.Module) -> Forward | None:
    """What replaces the module's forward; None while something else does so."""
    forward = vars(module).get("forward")
    return forward.fast if isinstance(forward, FastForward) else None


# --------------------------------------------------------------------------- convolutions


@dataclass(frozen=True, eq=False, repr=False)
class PackedConv:
    """A convolution without gradients; its weights are packed at the first call in each type and size.

    Attributes: those of a convolution; dtype: in which it computes, None: that of autocast or of the image.
    """

    weight: Tensor
    bias: Tensor | None
    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int] = (1, 1)
    groups: int = 1
    dtype: torch.dtype | None = None

    def __call__(self, x: Tensor, *, relu: bool = False, plus: Tensor | None = None) -> Tensor:
        """The convolution of (N, C, H, W), its ReLU if wanted, or its sum with `plus`; channels_last."""
        dtype = self.dtype or _type_of(x)
        x = _channels_last(x, dtype)
        arguments = (*self._weights(dtype, x.shape), self.padding, self.stride, self.dilation, self.groups)
        compute = torch.ops.mkldnn._convolution_pointwise
        if plus is None:
            return compute(x, *arguments, "relu" if relu else "none", [], "")
        return compute.binary(x, _channels_last(plus, dtype), *arguments, "add", 1.0, None, [], None)

    @cached_property
    def _weights(self) -> Callable[[torch.dtype, torch.Size], tuple[Tensor, Tensor | None]]:
        # Of the tensors and not of self, which would be a circle: networks make convolutions for a single image, too.
        arguments = (self.padding, self.stride, self.dilation, self.groups)
        return lru_cache(_SIZES)(partial(_pack, self.weight, self.bias, arguments))


def _pack(
    weight: Tensor, bias: Tensor | None, arguments: Sequence[Any], dtype: torch.dtype, size: torch.Size
) -> tuple[Tensor, Tensor | None]:
    packed = torch.ops.mkldnn._reorder_convolution_weight(_channels_last(weight, dtype), *arguments, size)
    return packed, None if bias is None else bias.to(dtype)


def _packed(layer: nn.Conv2d) -> PackedConv:
    bias = None if layer.bias is None else layer.bias.detach()
    arguments = (layer.stride, layer.padding, layer.dilation, layer.groups)
    dtype = layer.weight.dtype if isinstance(layer, ExactConv) else None
    return PackedConv(layer.weight.detach(), bias, *arguments, dtype)  # type: ignore[arg-type]


def _conv(layer: nn.Conv2d) -> Forward | None:
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return None
    packed = _packed(layer)
    plain = layer.groups == 1 and layer.stride == layer.dilation == (1, 1)
    side = min(_BLOCKS, key=partial(_cost, layer)) if plain else 1
    return packed if side == 1 else partial(_in_blocks, _block_conv(packed, side), side, layer.kernel_size)


def _image_conv(layer: ImageConv) -> Forward | None:
    fast = _conv(layer)
    return fast and (lambda x: fast(x).to(_type_of(x)))


def _cost(layer: nn.Conv2d, side: int) -> float:
    """Operations for a pixel if blocks of so many are computed at once."""
    lanes = _LANES[torch.backends.cpu.get_cpu_capability()]
    taps = [size + side - 1 for size in layer.kernel_size]
    return -(-layer.out_channels * side**2 // lanes) * lanes * taps[0] * taps[1] / side**2


def _block_conv(conv: PackedConv, side: int) -> PackedConv:
    """What gives for each block of pixels the channels of its first pixel, then those of the second ..."""
    after, before, height, width = conv.weight.shape
    weight = conv.weight.new_zeros(side, side, after, before, height + side - 1, width + side - 1)
    for row, column in product(range(side), repeat=2):
        weight[row, column, ..., row : row + height, column : column + width] = conv.weight
    bias = None if conv.bias is None else conv.bias.repeat(side**2)
    return replace(conv, weight=weight.flatten(0, 2), bias=bias, stride=(side, side))


def _in_blocks(
    conv: PackedConv,
    side: int,
    kernel_size: Sequence[int],
    x: Tensor,
    *,
    relu: bool = False,
    plus: Tensor | None = None,
) -> Tensor:
    rows, columns = (
        length + 2 * zeros - size + 1
        for length, zeros, size in zip(x.shape[-2:], conv.padding, kernel_size, strict=True)
    )
    more = (0, -columns % side, 0, -rows % side)
    result = _pixels(conv(F.pad(x, more) if any(more) else x, relu=relu), side)[..., :rows, :columns]
    return result if plus is None else plus + result


def _transposed(layer: nn.ConvTranspose2d) -> Forward | None:
    """For stride s, pixel s i + t of the result, t < s, is a convolution of the pixels around i for each t."""
    square = all(len({*each}) == 1 for each in (layer.kernel_size, layer.stride, layer.padding))
    if not square or layer.groups > 1 or layer.dilation != (1, 1) or layer.output_padding != (0, 0):
        return None
    size, stride, zeros = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
    if size % stride == 0:
        return _directly_transposed(layer)
    taps = {(t, d): t + zeros - stride * d for t in range(stride) for d in range(-size, size + 1)}
    taps = {key: tap for key, tap in taps.items() if 0 <= tap < size}
    distances = [d for _, d in taps]
    first, last = min(distances), max(distances)
    zeros_around = max(-first, last)
    before, after = layer.weight.shape[:2]
    weight = layer.weight.new_zeros(stride, stride, after, before, last - first + 1, last - first + 1)
    for ((t, d), row), ((v, e), column) in product(taps.items(), repeat=2):
        weight[t, v, ..., d - first, e - first] = layer.weight[..., row, column].T
    bias = None if layer.bias is None else layer.bias.detach().repeat(stride**2)
    conv = PackedConv(weight.detach().flatten(0, 2), bias, (1, 1), (zeros_around, zeros_around))
    start = stride * (zeros_around + first)

    def fast(x: Tensor) -> Tensor:
        rows, columns = (slice(start, start + stride * (length - 1) - 2 * zeros + size) for length in x.shape[-2:])
        return _pixels(conv(x), stride)[..., rows, columns]

    return fast


def _directly_transposed(layer: nn.ConvTranspose2d) -> Forward:
    arguments = (layer.padding, layer.output_padding, layer.stride, layer.dilation, layer.groups)
    pack = torch.ops.mkldnn._reorder_convolution_transpose_weight
    compute = torch.ops.mkldnn._convolution_transpose_pointwise

    @lru_cache(_SIZES)
    def packed(dtype: torch.dtype, size: torch.Size) -> tuple[Tensor, Tensor | None]:
        bias = None if layer.bias is None else layer.bias.detach().to(dtype)
        return pack(layer.weight.detach().to(dtype), *arguments, size), bias

    def fast(x: Tensor) -> Tensor:
        x = _channels_last(x, _type_of(x))
        return compute(x, *packed(x.dtype, x.shape), *arguments, "none", [], "")

    return fast


def _pixels(x: Tensor, side: int) -> Tensor:
    """(N, side side C, H, W) -> (N, C, side H, side W), of channels in the order of `_block_conv`."""
    rows = x.permute(0, 2, 3, 1).unflatten(-1, (side, -1)).transpose(2, 3)
    return rows.reshape(len(x), side * x.shape[2], side * x.shape[3], -1).permute(0, 3, 1, 2)


def _channels_last(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


# --------------------------------------------------------------------------- several layers


def _is_plain_sequence(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _chain(layers: Any) -> Forward | None:
    """The layers, ReLUs with the convolution before them."""
    steps: list[tuple[nn.Module, bool]] = []
    for layer in layers:
        follows = bool(steps) and type(steps[-1][0]) is nn.Conv2d and not steps[-1][1]
        if type(layer) is nn.ReLU and follows:
            steps[-1] = (steps[-1][0], True)
        else:
            steps.append((layer, False))

    def fast(x: Tensor) -> Tensor:
        for layer, relu in steps:
            x = _with_relu(layer, x) if relu else layer(x)
        return x

    return fast if len(steps) < len(layers) else None


def _with_relu(conv: nn.Module, x: Tensor) -> Tensor:
    fast = _fast(conv)
    return fast(x, relu=True) if fast else conv(x).relu()


def _residual(block: ResidualBlock) -> Forward:
    """The sum with the second convolution, whose weights are scaled."""
    conv = _packed(block.conv2)
    bias = None if conv.bias is None else block.scale * conv.bias
    scaled = replace(conv, weight=block.scale * conv.weight, bias=bias)

    def fast(x: Tensor) -> Tensor:
        if not _fast(block.conv2):
            return x + block.scale * block.conv2(_with_relu(block.conv1, x))
        return scaled(_with_relu(block.conv1, x), plus=x)

    return fast


def _drunet_block(block: Block) -> Forward:
    first, _, second = block.res
    conv = _packed(second)  # type: ignore[arg-type]

    def fast(x: Tensor) -> Tensor:
        return conv(_with_relu(first, x), plus=x) if _fast(second) else x + block.res(x)

    return fast


def _controlled(block: ControlledBlock) -> Forward:
    """As the convolution of a single image, gamma and beta are its weights and biases."""
    conv = _packed(block.conv2)
    assert conv.bias is not None
    usual, bias = block.forward, conv.bias

    def fast(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        if len(gamma) > 1 or not _fast(block.conv2):
            return usual(x, gamma, beta)
        scales, sums = gamma.float().flatten(), beta.float().flatten()
        controlled = replace(conv, weight=scales[:, None, None, None] * conv.weight, bias=scales * bias + sums)
        return controlled(_with_relu(block.conv1, x), plus=x)

    return fast


def _mean(module: GlobalMean) -> Forward:
    """In float32, of some rows at a time: PyTorch copies all of them first."""
    usual = module.forward

    def fast(x: Tensor) -> Tensor:
        if x.dtype == torch.float32:
            return usual(x)
        sums = [rows.float().sum((2, 3), keepdim=True) for rows in x.split(_ROWS, 2)]
        return torch.stack(sums).sum(0) / (x.shape[2] * x.shape[3])

    return fast


def _prelu(layer: nn.PReLU) -> Forward | None:
    """PyTorch takes ten times as long for bfloat16 and these numbers of channels."""
    usual, slopes = layer.forward, layer.weight.detach()[:, None, None]
    if len(slopes) % 32 == 0 or len(slopes) == 1 or slopes.max() > 1:
        return None
    return lambda x: torch.maximum(x, x * slopes.to(x.dtype)) if x.dtype == torch.bfloat16 else usual(x)


_MAKERS: dict[type[nn.Module], Maker] = {
    nn.Conv2d: _conv,
    ExactConv: _conv,
    ImageConv: _image_conv,
    nn.ConvTranspose2d: _transposed,
    nn.PReLU: _prelu,
    ResidualBlock: _residual,
    ControlledBlock: _controlled,
    Block: _drunet_block,
    GlobalMean: _mean,
}
"""Type of module -> its fast forward; None: its own stays."""
