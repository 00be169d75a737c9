"""Inputs with which any network can be called once: to count what it costs, or to export it."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from powerqe.utils.codecs.jpeg_tables import quant_tables
from powerqe.utils.errors import UserError

_QUALITY = 10


def example_inputs(
    network: nn.Module, height: int, width: int, batch: int = 1
) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    """What `network(*positional, **named)` can be called with: the same at each call, on the network's device.

    The sizes are given; everything else follows from the network:

    - `in_channels`: of the image; 3 by default.
    - `frames`: it takes a clip (N, frames, C, H, W) in the place of an image (N, C, H, W).
    - `patch_size`: (height, width), the only size that it takes; `height` and `width` are ignored.
    - what its forward requires besides the image, by the parameter's name, see `_OTHERS`. Arguments with a default are
      left to it.

    Args:
        network: built in any way, on any device; fake tensors (torch.compiler) do, too.
        height, width: of the image, in pixels.
        batch: number of images N.

    Returns:
        The tensors whose axes may be batch, height and width, the image first, to be passed in this order; and
        what is passed by name and is no tensor (the scale of MDSR).

    Raises:
        UserError: its forward requires an argument without an example.
    """
    frames, channels = getattr(network, "frames", None), getattr(network, "in_channels", 3)
    sizes = getattr(network, "patch_size", (height, width))
    image = _image((batch, *([] if frames is None else [frames]), channels, *sizes))
    positional, named = [image], {}
    for name in required(network):
        if name not in _OTHERS:
            raise UserError(
                f"{type(network).__name__} requires {name!r} besides the image, of which there is no example; "
                f"known are: {', '.join(_OTHERS)}"
            )
        value = _OTHERS[name](network, image)
        if isinstance(value, Tensor):
            positional.append(value)
        else:
            named[name] = value
    device = next((parameter.device for parameter in network.parameters()), image.device)
    return tuple(tensor.to(device) for tensor in positional), named


def required(network: nn.Module) -> list[str]:
    """Names of what the network's forward requires besides the image."""
    parameters = list(inspect.signature(network.forward).parameters.values())[1:]
    return [each.name for each in parameters if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD]


def _image(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Faint noise on gray, in which patches look alike, as they do in images."""
    return 0.45 + 0.1 * torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _tables(network: nn.Module, image: Tensor) -> Tensor:
    """(N, 2, 8, 8) of RGB, (N, 1, 8, 8) of gray."""
    tables = torch.from_numpy(quant_tables(_QUALITY, image.shape[-3])).float()
    return tables.expand(len(image), -1, -1, -1).contiguous()


_OTHERS: dict[str, Callable[[Any, Tensor], Any]] = {
    "tables": _tables,
    "scale": lambda network, image: network.scales[0],
    "reference": lambda network, image: _image(tuple(image.shape), seed=1),
}
"""What a forward may require: its name -> an example for a network and its image."""
