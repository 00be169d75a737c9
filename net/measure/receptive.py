"""The receptive field of a network, measured with NaN, which propagates through every layer.

What a convolution makes NaN does not depend on its weights, as NaN times anything is NaN, and is the same in all of its
channels. So the plain ones are measured with one channel in the place of all, which takes a hundredth of the time.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from powerqe.net.forward_inputs import ForwardInputs, is_image, ratio_of, results
from powerqe.net.measure.unbounded_modules import Forward, by_longest_path, replaced

FURTHEST = 4096
"""In pixels; a larger receptive field is regarded as unbounded."""


def reach(
    network: nn.Module, modules: Sequence[nn.Module], arguments: ForwardInputs, multiple: int, device: torch.device
) -> tuple[int, int] | None:
    """How many pixels around a cell of `multiple` pixels can change through it, vertically and horizontally.

    A cell in the middle of a strip, whose size has the image's remainder, is set to NaN, and every image that
    comes out and every map that a module of the whole image takes in is searched for NaN. The strip grows
    until none is found at its ends. Modules that depend on the whole image return finite values, the same everywhere.

    Args:
        network: in evaluation mode, on `device`.
        modules: those that depend on the whole image.
        arguments: with an image of the size, type and number of channels that the network will see.

    Returns:
        The larger of above and below, and of left and right. None: the network sees everything.
    """
    dense = [layer for layer in network.modules() if type(layer) in _DENSE and layer.groups == 1]
    with _plain_convolutions(), replaced(dense, _thin):
        probe = _Probe(network, modules, arguments, multiple, device)
        vertical, horizontal = probe.along(-2), probe.along(-1)
    return None if vertical is None or horizontal is None else (vertical, horizontal)


_DENSE = (nn.Conv2d, nn.ConvTranspose2d)


def _thin(layer: Any) -> Forward:
    """A forward that makes NaN what the layer makes NaN: a mean over channels and taps, repeated for each channel."""
    sizes = {name: getattr(layer, name) for name in ("stride", "padding", "dilation", "padding_mode")}
    sizes |= {"output_padding": layer.output_padding} if layer.transposed else {}
    thin = type(layer)(1, 1, layer.kernel_size, bias=False, **sizes).requires_grad_(False)
    nn.init.constant_(thin.weight, 1 / thin.weight.numel())

    def forward(x: Tensor, *others: Any) -> Tensor:
        result = thin.to(x)(x.mean(-3, keepdim=True), *others)
        return result.repeat_interleave(layer.out_channels, -3)

    return forward


@contextmanager
def _plain_convolutions() -> Iterator[None]:
    """No Winograd's and no Fourier's: they spread NaN over pixels that have nothing to do with it."""
    libraries: tuple[Any, ...] = torch.backends.cudnn, torch.backends.mkldnn
    before = [library.enabled for library in libraries]
    try:
        for library in libraries:
            library.enabled = False
        yield
    finally:
        for library, enabled in zip(libraries, before, strict=True):
            library.enabled = enabled


class _Probe:
    def __init__(
        self,
        network: nn.Module,
        modules: Sequence[nn.Module],
        arguments: ForwardInputs,
        multiple: int,
        device: torch.device,
    ) -> None:
        self._network, self._modules, self._arguments = network, modules, arguments
        self._multiple, self._device = multiple, device

    def along(self, axis: int) -> int | None:
        """The pixels along one axis, -2 or -1; None: too many."""
        cells = max(8, 64 // self._multiple)
        while cells <= max(8, 2 * FURTHEST // self._multiple):
            distances = self._distances(axis, cells)
            if None not in distances:
                return max((pixels for pixels in distances if pixels is not None), default=0)
            cells *= 2
        return None

    def _distances(self, axis: int, cells: int) -> list[int | None]:
        """Reach of NaN in all outputs and inputs of global modules, in a strip of this many cells."""
        shape = [self._multiple + side % self._multiple for side in self._arguments.image.shape[-2:]]
        shape[axis] += (cells - 1) * self._multiple
        start = cells // 2 * self._multiple

        def strip(like: Tensor) -> Tensor:
            made = like.new_ones((*like.shape[:-2], *shape))
            if made.is_floating_point():
                made.mul_(0.5).narrow(axis, start, self._multiple).fill_(torch.nan)
            return made

        seen = self._seen(self._arguments.changed(strip).to(self._device))
        return [self._distance(features, axis, start, shape[axis]) for features in seen]

    def _seen(self, arguments: ForwardInputs) -> list[Tensor]:
        """The network's images and the maps that the modules get."""
        maps: list[Tensor] = []

        def blocked(module: nn.Module) -> Forward:
            original = module.forward

            def forward(*inputs: Any) -> Any:
                maps.extend(value for value in inputs if isinstance(value, Tensor) and value.ndim == 4)
                return by_longest_path(original(*inputs))

            return forward

        with replaced(self._modules, blocked):
            output = self._network(*arguments.positional, **arguments.named)
        size = arguments.image.shape[-2:]
        return maps + [result for result in results(output) if is_image(result, *size)]

    def _distance(self, features: Tensor, axis: int, start: int, length: int) -> int | None:
        """Reach of NaN from the cell at `start` of `length` pixels; None if it reaches an end of the map."""
        others = [number for number in range(features.ndim) if number != axis % features.ndim]
        marked = features.isnan().sum(others).nonzero()
        if not len(marked):
            return 0
        first, end, size = int(marked[0]), int(marked[-1]) + 1, features.shape[axis]
        if first == 0 or end == size:
            return None
        ratio = ratio_of(size, length, self._multiple)
        before, after = start - first / ratio, end / ratio - (start + self._multiple)
        return max(0, math.ceil(before), math.ceil(after))
