"""Training MFQE 2.0: first the motion compensation, then the enhancement."""

from typing import Annotated, Any

from pydantic import Field
from torch import nn

from powerqe.algorithm.losses import Loss, Losses, WeightedLosses
from powerqe.algorithm.phase import Phase, Setting
from powerqe.algorithm.registries import ALGORITHMS
from powerqe.dataset.loader import Batch
from powerqe.net.mfqe import MFQE
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import Slot, create

_MINOR = 0.01


@ALGORITHMS.register()
class MotionCompensated:
    """Minimize motion + 0.01 quality in the first part of the training and 0.01 motion + quality in the second.

    With L the sum of `loss`, quality is L(enhanced frame, gt), and motion is L(previous PQF, frame) + L(next PQF,
    frame) of the motion-compensated decoded PQFs and the decoded frame. Each part has its own optimizer. Source: the
    code of Guan et al., "MFQE 2.0", TPAMI 2021; the motion loss of the paper uses uncompressed frames.

    Args:
        motion_share: share of the iterations in the first part; 20 of 80 epochs in the authors' code. 0: for a
            network that starts from one with trained motion compensation, such as that for PQFs.
    """

    def __init__(
        self,
        network: nn.Module,
        setting: Setting,
        /,
        *,
        loss: Losses = {"MSE": {}},  # noqa: B006 - read only
        motion_share: Annotated[float, Field(ge=0, le=1)] = 0.25,
        optimizer: Annotated[Any, Slot("optimizer")] = {"type": "Adam"},  # noqa: B006
        scheduler: Annotated[Any, Slot("scheduler")] = {"type": "none"},  # noqa: B006
    ) -> None:
        if not isinstance(network, MFQE):
            raise UserError(f"MotionCompensated trains MFQE, found {type(network).__name__}")
        self.networks = {"net": network}
        self._network = setting.prepare(network)
        self._losses = WeightedLosses(loss).to(setting.device)
        self._end_of_motion = round(motion_share * setting.niter)
        self.optimizers = {name: create("optimizer", optimizer, network.parameters()) for name in ("motion", "quality")}
        schedule = create("scheduler", scheduler, setting.niter)
        steps = {"motion": self.motion_step, "quality": self.quality_step}
        self._phases = {
            name: Phase(name, self._network, step, self.optimizers[name], schedule) for name, step in steps.items()
        }

    def phases(self, step: int) -> list[Phase]:
        """The phase of the part that contains the step."""
        return [self._phases["motion" if step < self._end_of_motion else "quality"]]

    def motion_step(self, batch: Batch) -> Loss:
        """Losses of one batch in the first part."""
        motion, quality = self._both(batch)
        return _joined(motion, quality, 1, _MINOR)

    def quality_step(self, batch: Batch) -> Loss:
        """Losses of one batch in the second part."""
        motion, quality = self._both(batch)
        return _joined(motion, quality, _MINOR, 1)

    def _both(self, batch: Batch) -> tuple[Loss, Loss]:
        clip = batch["lq"]
        enhanced, previous, following = self._network(clip, return_compensated=True)
        sides = [self._losses(neighbor, clip[:, 1]) for neighbor in (previous, following)]
        parts = {name: sides[0].parts[name] + sides[1].parts[name] for name in sides[0].parts}
        return Loss(sides[0].total + sides[1].total, parts), self._losses(enhanced, batch["gt"])


def _joined(motion: Loss, quality: Loss, motion_weight: float, quality_weight: float) -> Loss:
    total = motion_weight * motion.total + quality_weight * quality.total
    return Loss(total, quality.parts | {f"motion {name}": part for name, part in motion.parts.items()})
