"""Relativistic average GAN training (ESRGAN): a warm-up with pixel losses, then generator and discriminator."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn

from powerqe.algorithm.losses import Loss, Losses, WeightedLosses
from powerqe.algorithm.phase import Phase, Setting
from powerqe.algorithm.registries import ALGORITHMS
from powerqe.dataset.loader import Batch
from powerqe.utils.options.components import Slot, create


@ALGORITHMS.register()
class RelativisticGAN:
    """Wang et al., "ESRGAN", ECCVW 2018, eq. 1-3; Jolicoeur-Martineau, "The relativistic discriminator", ICLR 2019.

    Iterations below `niter_warmup` train the network alone with `warmup_loss`. After them each iteration
    updates the network, then the discriminator, each over all batches of the iteration. With r and f
    the logits of real and generated images and a bar for the mean over a rank's batch,

        generator       sum of `loss` + adversarial_weight (BCE(r - f_bar, 0) + BCE(f - r_bar, 1)) / 2
        discriminator   (BCE(r - f_bar, 1) + BCE(f - r_bar, 0)) / 2, the bars taken as constants.

    Args:
        discriminator: {type: VGGDiscriminator, ...}; only built for training.
        niter_warmup: iterations of the warm-up, counted in niter.
        warmup_loss: losses of the warm-up.
        loss: pixel and perceptual losses after the warm-up.
        adversarial_weight: factor of the adversarial loss.
        warmup_optimizer: of the network in the warm-up.
        optimizer: of the network after the warm-up, with a new state.
        discriminator_optimizer: of the discriminator.
        warmup_scheduler: of the warm-up.
        scheduler: of network and discriminator, from the end of the warm-up on.
    """

    def __init__(
        self,
        network: nn.Module,
        setting: Setting,
        /,
        *,
        discriminator: Annotated[Any, Slot("network")] = {"type": "VGGDiscriminator"},  # noqa: B006 - read only
        niter_warmup: NonNegativeInt = 0,
        warmup_loss: Losses = {"Charbonnier": {}},  # noqa: B006
        loss: Losses = {"Charbonnier": {"weight": 1e-2}, "Perceptual": {}},  # noqa: B006
        adversarial_weight: NonNegativeFloat = 5e-3,
        warmup_optimizer: Annotated[Any, Slot("optimizer")] = {"type": "Adam", "lr": 2e-4},  # noqa: B006
        optimizer: Annotated[Any, Slot("optimizer")] = {"type": "Adam", "lr": 1e-4},  # noqa: B006
        discriminator_optimizer: Annotated[Any, Slot("optimizer")] = {"type": "Adam", "lr": 4e-4},  # noqa: B006
        warmup_scheduler: Annotated[Any, Slot("scheduler")] = {"type": "none"},  # noqa: B006
        scheduler: Annotated[Any, Slot("scheduler")] = {"type": "none"},  # noqa: B006
    ) -> None:
        self._network, self._discriminator = network, create("network", discriminator)
        self.networks = {"net": network, "discriminator": self._discriminator}
        prepared, both_logits = setting.prepare(network), setting.prepare(_BothLogits(self._discriminator))
        self._prepared, self._both_logits = prepared, both_logits
        self._warmup_losses = WeightedLosses(warmup_loss).to(setting.device)
        self._losses = WeightedLosses(loss).to(setting.device)
        self._adversarial_weight, self._niter_warmup = adversarial_weight, niter_warmup
        self.optimizers = {
            "warmup": create("optimizer", warmup_optimizer, network.parameters()),
            "net": create("optimizer", optimizer, network.parameters()),
            "discriminator": create("optimizer", discriminator_optimizer, self._discriminator.parameters()),
        }
        warmup, rest = (
            create("scheduler", warmup_scheduler, niter_warmup),
            create("scheduler", scheduler, setting.niter - niter_warmup),
        )

        def after_warmup(step: int) -> float:
            return rest(step - niter_warmup)

        optimizers = self.optimizers
        self._warmup = [Phase("warmup", prepared, self._warmup_step, optimizers["warmup"], warmup)]
        self._game = [
            Phase("net", prepared, self._generator_step, optimizers["net"], after_warmup),
            Phase("discriminator", both_logits, self._discriminator_step, optimizers["discriminator"], after_warmup),
        ]

    def phases(self, step: int) -> list[Phase]:
        """The warm-up, or generator and discriminator."""
        return self._warmup if step < self._niter_warmup else self._game

    def _warmup_step(self, batch: Batch) -> Loss:
        return self._warmup_losses(self._prepared(batch["lq"]), batch["gt"])

    def _generator_step(self, batch: Batch) -> Loss:
        fake, real = self._prepared(batch["lq"]), batch["gt"]
        total, parts = self._losses(fake, real)
        with _frozen(self._discriminator):
            adversarial = generator_loss(self._discriminator(real).detach(), self._discriminator(fake))
        return Loss(total + self._adversarial_weight * adversarial, {**parts, "adversarial": adversarial})

    def _discriminator_step(self, batch: Batch) -> Loss:
        with torch.no_grad():
            fake = self._network(batch["lq"])
        loss = discriminator_loss(*self._both_logits(batch["gt"], fake))
        return Loss(loss, {"discriminator": loss})


class _BothLogits(nn.Module):
    """Logits of real and generated images in one forward pass, as DistributedDataParallel requires."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        return self.discriminator(real), self.discriminator(fake)


def generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The generator's adversarial loss from logits (N, 1); gradients reach it through `fake` and its mean."""
    return (_bce(real - fake.mean(), 0) + _bce(fake - real.mean(), 1)) / 2


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss from logits (N, 1); the means are constants."""
    return (_bce(real - fake.mean().detach(), 1) + _bce(fake - real.mean().detach(), 0)) / 2


def _bce(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, label, dtype=torch.float32))


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Gradients pass through the network, but its parameters get none."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
