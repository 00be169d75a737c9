"""Updates of networks: the device itself leaves out what is not finite; the host does not wait, and tells later.

A host that reads a number of the device in each step lets it run dry in between. Fused optimizers take a flag on the
device that leaves an update out, as they do for `torch.amp.GradScaler`; the others are waited for, as before.
"""

import math
import time
from collections import Counter
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from powerqe.algorithm.phase import Phase
from powerqe.utils.errors import UserError
from powerqe.utils.log import logger
from powerqe.utils.options.tree import TrainOptions
from powerqe.utils.ranks import Ranks

EVERY = 10  # iterations between two looks at the device and at the other ranks
SLOW = 0.5  # seconds; iterations that last longer are looked at one by one
MOST_SKIPS = 100  # updates in a row that are not finite, before the training ends; fp16 begins with about 20


class _Update(NamedTuple):
    """values: loss and norm of the gradient, on the device. images: of this rank."""

    iteration: int
    phase: str
    images: str
    values: Tensor


class Updates:
    """The gradients and optimizer steps of a training.

    Args:
        options: amp, clip_grad and nonfinite.
        ranks: of which all leave out an update, or none does.
    """

    def __init__(self, options: TrainOptions, ranks: Ranks) -> None:
        self._options, self._ranks = options, ranks
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=options.amp == "fp16")
        self._waiting: list[_Update] = []
        self._next, self._looked = 0, time.perf_counter()
        self._skips: Counter[str] = Counter()  # of each phase, in a row

    def backward(self, loss: Tensor, batches: int) -> None:
        """Add the gradient of a loss / batches: NaN, by the exchange on all ranks, if the loss is not finite."""
        one_or_nan = loss.detach() * 0 + 1
        self.scaler.scale(loss / batches).backward(one_or_nan)

    def apply(self, phase: Phase, loss: Tensor, images: str, iteration: int) -> None:
        """Step the optimizer, unless the gradient is not finite, and forget the gradient.

        Args:
            loss: the mean over the batches, for messages, as are the names of the images and the iteration.
        """
        optimizer = phase.optimizer
        self.scaler.unscale_(optimizer)
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = get_total_norm([p.grad for p in parameters])  # of what was exchanged: the same on all ranks
        self._waiting.append(_Update(iteration, phase.name, images, torch.stack([loss, norm])))
        if self._options.clip_grad:
            clip_grads_with_norm_(parameters, self._options.clip_grad, norm)
        _step(optimizer, norm.isfinite())
        optimizer.zero_grad()
        if self.scaler.is_enabled():
            self.scaler.update()  # now, as the next phase may use the same optimizer

    def check(self, step: int, *, now: bool, stop: bool) -> bool:
        """Tell of updates that were left out, if it is time; every rank calls it after each iteration.

        Args:
            step: iterations done.
            now: it is time, as on all ranks; else every `EVERY` iterations, and where those are `SLOW` after each.
            stop: this rank is to stop; of a single one it is time, then.

        Returns:
            Whether all ranks are to stop.

        Raises:
            UserError: on all ranks, if train.nonfinite is stop, or after `MOST_SKIPS`.
        """
        if not now and step < self._next and not (stop and self._ranks.world_size == 1):
            return False
        updates, self._waiting = self._waiting, []
        values = torch.stack([update.values for update in updates]).tolist()
        before, self._looked = self._looked, time.perf_counter()
        is_slow = self._looked - before > SLOW * len({update.iteration for update in updates})
        stop, is_slow, *bad = self._ranks.any(stop, is_slow, *(self._is_bad(*each) for each in values))
        self._next = step + (1 if is_slow else EVERY)
        for update, (loss, norm), is_bad in zip(updates, values, bad, strict=True):
            self._count(update, loss, norm, is_bad)
        return stop

    def _is_bad(self, loss: float, norm: float) -> bool:
        # With fp16 infinite gradients are normal: the scaler lowers its scale.
        return not math.isfinite(loss) or not (self.scaler.is_enabled() or math.isfinite(norm))

    def _count(self, update: _Update, loss: float, norm: float, is_bad: bool) -> None:
        phase = update.phase
        self._skips[phase] = self._skips[phase] + 1 if is_bad or not math.isfinite(norm) else 0
        gives_up = self._skips[phase] == MOST_SKIPS
        if not is_bad and not gives_up:
            return
        message = (
            f"iteration {update.iteration}, {phase}: loss {loss:.6g}, gradient norm {norm:.6g} "
            f"(images of this rank: {update.images})"
        )
        if self._options.nonfinite == "stop":
            raise UserError(f"{message}: not finite; reduce lr, set train.clip_grad or train.nonfinite=skip")
        if gives_up:
            raise UserError(f"{message}: {MOST_SKIPS} updates in a row were skipped; reduce lr, or set train.clip_grad")
        logger.info(f"  {message}: update skipped")


def _step(optimizer: torch.optim.Optimizer, is_finite: Tensor) -> None:
    """A step of the optimizer, which changes nothing if the gradient is not finite."""
    is_fused = getattr(optimizer, "_step_supports_amp_scaling", False)
    # A first step that is left out would leave SGD with a momentum that was never set.
    if is_fused and (optimizer.state or not optimizer.defaults.get("momentum")):
        optimizer.found_inf = is_finite.logical_not().float()  # pyright: ignore[reportAttributeAccessIssue]
        optimizer.step()
        del optimizer.found_inf  # pyright: ignore[reportAttributeAccessIssue]
    elif is_finite.item():
        optimizer.step()
