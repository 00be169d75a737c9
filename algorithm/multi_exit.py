"""Training a network with several exits (RBQE): all exits together, weighted by the quality of the sample."""

from typing import Annotated, Any

import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from powerqe.algorithm.losses import Loss, Losses, WeightedLosses
from powerqe.algorithm.phase import Phase, Setting
from powerqe.algorithm.registries import ALGORITHMS
from powerqe.dataset.loader import Batch
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import Slot, create

_EXIT_WEIGHTS = {  # QF or QP -> five exits
    **dict.fromkeys((50, 22), (2, 1, 1, 0.5, 0.5)),
    **dict.fromkeys((40, 27), (1, 2, 1, 0.5, 0.5)),
    **dict.fromkeys((30, 32), (0.5, 1, 2, 1, 0.5)),
    **dict.fromkeys((20, 37), (0.5, 0.5, 1, 2, 1)),
    **dict.fromkeys((10, 42), (0.5, 0.5, 1, 1, 2)),
}


@ALGORITHMS.register()
class MultiExit:
    """Minimize (1/N) sum over samples and exits of weight[quality][exit] x loss(output of the exit, gt).

    The network is called as `network(lq, exit="all")` and returns (exits, N, C, H, W). Source: Xing et al.,
    "Early Exit or Not", ECCV 2020, eq. 4; the weights are those of PowerQE 1.

    Args:
        exit_weights: quality -> a weight per exit. Samples of other qualities get the weights of the nearest one.
    """

    def __init__(
        self,
        network: nn.Module,
        setting: Setting,
        /,
        *,
        loss: Losses = {"MSE": {}},  # noqa: B006 - read only
        exit_weights: dict[int, tuple[NonNegativeFloat, ...]] = _EXIT_WEIGHTS,
        optimizer: Annotated[Any, Slot("optimizer")] = {"type": "Adam"},  # noqa: B006
        scheduler: Annotated[Any, Slot("scheduler")] = {"type": "none"},  # noqa: B006
    ) -> None:
        lengths = {len(weights) for weights in exit_weights.values()}
        if len(lengths) != 1:
            raise UserError(f"exit_weights: found lists of {sorted(lengths)} weights, expected one weight per exit")
        self.networks = {"net": network}
        self._network = setting.prepare(network)
        self._losses = WeightedLosses(loss).to(setting.device)
        self._qualities = torch.tensor(list(exit_weights), device=setting.device)
        self._weights = torch.tensor(list(exit_weights.values()), device=setting.device)
        self.optimizers = {"net": create("optimizer", optimizer, network.parameters())}
        schedule = create("scheduler", scheduler, setting.niter)
        self._phase = Phase("net", self._network, self.training_step, self.optimizers["net"], schedule)

    def phases(self, step: int) -> list[Phase]:
        """One phase."""
        return [self._phase]

    def training_step(self, batch: Batch) -> Loss:
        """Losses of one batch.

        Raises:
            UserError: the quality of a sample is unknown, or as `weights_of`.
        """
        is_known = batch.get("has_quality")  # as `collate` says, without waiting for the device
        if not ((batch["quality"] >= 0).all() if is_known is None else is_known):
            raise UserError("MultiExit needs the quality of each image: folders or files named qfNN or qpNN")
        outputs = self._network(batch["lq"], exit="all")
        return self._losses.weighted(outputs, batch["gt"], self.weights_of(batch["quality"], len(outputs)))

    def weights_of(self, quality: Tensor, num_exits: int) -> Tensor:
        """Weights (exits, N) for samples with qualities (N,).

        Raises:
            UserError: the network has another number of exits.
        """
        if num_exits != self._weights.shape[1]:
            found = self._weights.shape[1]
            raise UserError(f"exit_weights: found {found} per quality, but the network has {num_exits} exits")
        nearest = (quality[:, None] - self._qualities[None]).abs().argmin(dim=1)
        return self._weights[nearest].T
