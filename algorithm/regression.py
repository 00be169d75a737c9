"""Regression: one network, one output, losses against the ground truth."""

from typing import Annotated, Any

from torch import nn

from powerqe.algorithm.losses import Loss, Losses, WeightedLosses
from powerqe.algorithm.phase import Phase, Setting
from powerqe.algorithm.registries import ALGORITHMS
from powerqe.dataset.loader import Batch
from powerqe.inference.forward import Forward, image_of
from powerqe.utils.options.components import Slot, create


@ALGORITHMS.register()
class Regression:
    """Minimize the weighted losses between network(lq) and gt."""

    def __init__(
        self,
        network: nn.Module,
        setting: Setting,
        /,
        *,
        loss: Losses = {"MSE": {}},  # noqa: B006 - read only
        optimizer: Annotated[Any, Slot("optimizer")] = {"type": "Adam"},  # noqa: B006
        scheduler: Annotated[Any, Slot("scheduler")] = {"type": "none"},  # noqa: B006
    ) -> None:
        self.networks = {"net": network}
        prepared = setting.prepare(network)
        self._forward = Forward(network, prepared)
        self._losses = WeightedLosses(loss).to(setting.device)
        self.optimizers = {"net": create("optimizer", optimizer, network.parameters())}
        schedule = create("scheduler", scheduler, setting.niter)
        self._phase = Phase("net", prepared, self.training_step, self.optimizers["net"], schedule)

    def phases(self, step: int) -> list[Phase]:
        """One phase."""
        return [self._phase]

    def training_step(self, batch: Batch) -> Loss:
        """Losses of one batch."""
        return self._losses(image_of(self._forward(batch)), batch["gt"])
