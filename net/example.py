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

    All that comes from outside of the network are the sizes. What else is needed, it says itself:

    - `in_channels`: of the picture; 3 where it says nothing.
    - `frames`: it takes a clip (N, frames, C, H, W) in the place of a picture (N, C, H, W).
    - `patch_size`: (height, width), the only size that it takes; `height` and `width` are then not heeded.
    - what its forward requires beside the picture, by the parameter's name, see `_OTHERS`. Arguments with a default are
      left to it.

    Args:
        network: built in any way, on any device; fake tensors (torch.compiler) do, too.
        height, width: of the picture, in pixels.
        batch: number of pictures N.

    Returns:
        The tensors whose axes may be batch, height and width, the picture first, to be passed in this order; and
        what is passed by name and is no tensor (the scale of MDSR).

    Raises:
        UserError: its forward requires something of which there is no example.
    """
    frames, channels = getattr(network, "frames", None), getattr(network, "in_channels", 3)
    sizes = getattr(network, "patch_size", (height, width))
    picture = _picture((batch, *([] if frames is None else [frames]), channels, *sizes))
    positional, named = [picture], {}
    for name in required(network):
        if name not in _OTHERS:
            raise UserError(
                f"{type(network).__name__} requires {name!r} beside the picture, of which there is no example; "
                f"known are: {', '.join(_OTHERS)}"
            )
        value = _OTHERS[name](network, picture)
        if isinstance(value, Tensor):
            positional.append(value)
        else:
            named[name] = value
    device = next((parameter.device for parameter in network.parameters()), picture.device)
    return tuple(tensor.to(device) for tensor in positional), named


def required(network: nn.Module) -> list[str]:
    """Names of what the network's forward requires beside the picture."""
    parameters = list(inspect.signature(network.forward).parameters.values())[1:]
    return [each.name for each in parameters if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD]


def _picture(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Faint noise on gray, in which patches look alike, as they do in pictures."""
    return 0.45 + 0.1 * torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _tables(network: nn.Module, picture: Tensor) -> Tensor:
    """(N, 2, 8, 8) of RGB, (N, 1, 8, 8) of gray."""
    tables = torch.from_numpy(quant_tables(_QUALITY, picture.shape[-3])).float()
    return tables.expand(len(picture), -1, -1, -1).contiguous()


_OTHERS: dict[str, Callable[[Any, Tensor], Any]] = {
    "tables": _tables,
    "scale": lambda network, picture: network.scales[0],
    "reference": lambda network, picture: _picture(tuple(picture.shape), seed=1),
}
"""What a forward may require: its name -> an example for a network and its picture."""
