"""What a network is called with while it is exported: tensors that become inputs of the file, and what is fixed in it.

Inputs are the image, what the forward requires in addition, and what the network estimates if it is not given
(`estimates`, which is also an argument of the forward: the quality factor of FBCNN) or takes as unknown then
(`conditioning`: that of DRUNet); NaN stands for not given.
"""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from powerqe.net.example import example_inputs, required
from powerqe.utils.errors import UserError
from powerqe.utils.options.registry import nearest

AXES = ("batch", "height", "width")
_SIZES = ((2, 40, 27), (3, 42, 30))
"""Two examples of batch, height and width, by which the axes are known."""


@dataclass(frozen=True)
class Inputs:
    """Makes the inputs of a network.

    Attributes:
        fixed: arguments of the forward that are no inputs: what the caller sets, and what has to be set.
        conditions: names of inputs that may be left out, because the network estimates them or does without.
    """

    network: nn.Module
    fixed: Mapping[str, Any]
    conditions: tuple[str, ...]

    @classmethod
    def of(cls, network: nn.Module, arguments: Mapping[str, Any]) -> "Inputs":
        """The inputs when these arguments of the forward are fixed.

        Raises:
            UserError: the forward takes no such argument, or only an image or tensor there; or requires something of
                which there is no example.
        """
        parameters = list(inspect.signature(network.forward).parameters)
        _, needed = example_inputs(network, *_SIZES[0][1:])
        tensors = [name for name in required(network) if name not in needed]
        known = [name for name in parameters[1:] if name not in tensors]
        for name in arguments:
            if name not in known:
                raise UserError(
                    f"{type(network).__name__} takes no {name!r} that can be set{nearest(name, known)}; "
                    f"there is: {', '.join(known) or 'nothing'}"
                )
        names = [*getattr(network, "estimates", {}), *getattr(network, "conditioning", {})]
        conditions = [name for name in names if name in known and name not in arguments]
        return cls(network, {**needed, **arguments}, tuple(conditions))

    def example(self, batch: int, height: int, width: int) -> dict[str, Tensor]:
        """Tensors by name, in the order of the forward's parameters."""
        tensors, named = example_inputs(self.network, height, width, batch)
        names = [next(iter(inspect.signature(self.network.forward).parameters))]
        names += [name for name in required(self.network) if name not in named]
        given = dict(zip(names, tensors, strict=True))
        return given | {name: torch.full((batch, 1), math.nan) for name in self.conditions}

    def axes(self) -> dict[str, dict[int, str]]:
        """Input -> its axes that are free: the axis' number -> its name."""
        first, second = (self.example(*size) for size in _SIZES)
        names = dict(zip(zip(*_SIZES, strict=True), AXES, strict=True))
        return {
            name: {
                axis: names[sizes]
                for axis, sizes in enumerate(zip(tensor.shape, second[name].shape, strict=True))
                if sizes[0] != sizes[1]
            }
            for name, tensor in first.items()
        }
