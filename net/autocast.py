"""Parts of networks that compute in float32 also under autocast (torch.autocast): what depends on the last bits.

bfloat16 has 8 significant bits: enough for features, not for an estimate that decides, a mean of many pixels, or the
image itself.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn


def is_autocast(device: str) -> bool:
    """Whether automatic mixed precision is on for a type of device."""
    # The meta device has none. `torch.amp.is_autocast_available` cannot be compiled by PyTorch 2.11.
    return device != "meta" and torch.is_autocast_enabled(device)


def exactly(layer: nn.Module, x: Tensor) -> Tensor:
    """`layer(x)` in the type of the layer's weights."""
    with _without_autocast(x):
        return layer(x.to(next(layer.parameters()).dtype))


class ExactConv(nn.Conv2d):
    """A convolution whose result is the image, at least one that nothing is added to."""

    def forward(self, x: Tensor) -> Tensor:
        with _without_autocast(x):
            return super().forward(x.to(self.weight.dtype))


class ImageConv(ExactConv):
    """A convolution of the image, whose pixels k / 255 bfloat16 would round; its result has autocast's type."""

    def forward(self, x: Tensor) -> Tensor:
        result, device = super().forward(x), x.device.type
        return result.to(torch.get_autocast_dtype(device)) if is_autocast(device) else result


def _without_autocast(x: Tensor) -> AbstractContextManager[object]:
    device = x.device.type
    return torch.autocast(device, enabled=False) if is_autocast(device) else nullcontext()
