"""The interface between algorithms and the trainer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import nn

from powerqe.algorithm.losses import Loss
from powerqe.algorithm.schedules import Schedule
from powerqe.dataset.loader import Batch


class Setting(NamedTuple):
    """What the trainer gives an algorithm."""

    niter: int
    """Optimizer steps of the whole training, for schedules."""
    device: torch.device
    """The device of this rank."""
    prepare: Callable[[nn.Module], nn.Module]
    """Moves a network to the device of this rank and returns what to call for its forward pass (DDP, compiled)."""

    @classmethod
    def single(cls, niter: int, device: torch.device | str = "cpu") -> "Setting":
        """For training in one process, also without `Trainer` (docs/api.md)."""
        place = torch.device(device)
        return cls(niter, place, lambda network: network.to(place))


@dataclass(frozen=True)
class Phase:
    """A part of a training step: losses over the batches, backward, one update of one optimizer."""

    name: str
    network: nn.Module
    """The prepared network that is trained."""
    loss: Callable[[Batch], Loss]
    optimizer: torch.optim.Optimizer
    schedule: Schedule


class Algorithm(Protocol):
    """A training method. A training step runs its phases in order over the same batches."""

    networks: dict[str, nn.Module]
    """Networks by name, for checkpoints; the first one is tested."""
    optimizers: dict[str, torch.optim.Optimizer]

    def phases(self, step: int) -> list[Phase]:
        """The phases of training step `step` (0 is the first)."""
        ...
