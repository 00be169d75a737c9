"""What an algorithm tells the trainer: which networks it has and what one training step consists of."""

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
    """Optimizer steps of the whole training; schedules stretch over them."""
    device: torch.device
    """Of this rank."""
    prepare: Callable[[nn.Module], nn.Module]
    """Moves a network to this rank's device and returns what to call for its forward pass (DDP, compiled)."""

    @classmethod
    def single(cls, niter: int, device: torch.device | str = "cpu") -> "Setting":
        """Of a training in one process, in its plainest form; without `Trainer`, too (docs/api.md)."""
        place = torch.device(device)
        return cls(niter, place, lambda network: network.to(place))


@dataclass(frozen=True)
class Phase:
    """One optimizer's share of a training step: its losses over the batches, backward, one update."""

    name: str
    network: nn.Module
    """The prepared network that learns."""
    loss: Callable[[Batch], Loss]
    optimizer: torch.optim.Optimizer
    schedule: Schedule


class Algorithm(Protocol):
    """A way to train. One training step runs its phases in order, each over the same batches."""

    networks: dict[str, nn.Module]
    """The plain networks by name, for checkpoints; the first one is the network that is tested."""
    optimizers: dict[str, torch.optim.Optimizer]

    def phases(self, step: int) -> list[Phase]:
        """The phases of training step `step` (0 is the first)."""
        ...
