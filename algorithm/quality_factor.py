"""Training a network that also estimates the quality factor (FBCNN)."""

from typing import Annotated, Any

from pydantic import NonNegativeFloat
from torch import Tensor, nn

from powerqe.algorithm.losses import Loss, Losses
from powerqe.algorithm.phase import Setting
from powerqe.algorithm.registries import ALGORITHMS
from powerqe.algorithm.regression import Regression
from powerqe.dataset.loader import Batch
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import Slot

KEY = "quality"


@ALGORITHMS.register()
class QualityFactor(Regression):
    """Minimize the weighted losses between image and gt, and the error of the estimated quality factor.

    Jiang et al., "Towards Flexible Blind JPEG Artifacts Removal", ICCV 2021, eq. 5 (there both are L1, and
    qf_weight 0.1).

    Args:
        qf_weight: factor of the mean of |estimate - quality| / 100 over the images of a rank's batch with known
            quality; quality -1 (unknown or double JPEG) is ignored.
    """

    def __init__(
        self,
        network: nn.Module,
        setting: Setting,
        /,
        *,
        loss: Losses = {"L1": {}},  # noqa: B006 - read only
        qf_weight: NonNegativeFloat = 0.1,
        optimizer: Annotated[Any, Slot("optimizer")] = {"type": "Adam"},  # noqa: B006
        scheduler: Annotated[Any, Slot("scheduler")] = {"type": "none"},  # noqa: B006
    ) -> None:
        super().__init__(network, setting, loss=loss, optimizer=optimizer, scheduler=scheduler)
        estimated = list(self._forward.estimates.values())
        if KEY not in estimated:
            raise UserError(f"QualityFactor: {type(network).__name__} estimates no quality factor; FBCNN does")
        self._place, self._qf_weight = 1 + estimated.index(KEY), qf_weight

    def training_step(self, batch: Batch) -> Loss:
        """Losses of one batch."""
        output = self._forward(batch)
        total, parts = self._losses(output[0], batch["gt"])
        error = quality_error(output[self._place], batch[KEY])
        return Loss(total + self._qf_weight * error, {**parts, "QF": error})


def quality_error(estimate: Tensor, quality: Tensor) -> Tensor:
    """Mean of |estimate - quality| / 100 where the quality is known.

    Args:
        estimate: (N, 1).
        quality: (N,); below 1 it is unknown. If all are unknown, the error is 0 with zero gradients, as ranks of a
            distributed training wait for the gradients of all parameters.
    """
    known = quality >= 1
    errors = (estimate.float().flatten() - quality).abs() / 100
    return (errors * known).sum() / known.sum().clamp(min=1)
