"""Training CISR-PSI, one update per recursion, and pretraining of its non-local module."""

from functools import partial
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from powerqe.algorithm.losses import Loss, Losses, WeightedLosses
from powerqe.algorithm.phase import Phase, Setting
from powerqe.algorithm.registries import ALGORITHMS
from powerqe.algorithm.regression import Regression
from powerqe.dataset.loader import Batch
from powerqe.inference.forward import image_of
from powerqe.net import load_weights
from powerqe.net.cisr_psi import CISRPSI
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import Slot, create

_ENLARGED = "enlarged"
"""Key of a batch under which one recursion leaves its result for the next."""


@ALGORITHMS.register()
class Unfolding:
    """Luo et al., "Super-resolving compressed images ...", Signal Processing 2023: one update per recursion.

    Recursion t = 1 ... T starts from the detached upsampled image z of the previous recursion. With d the output of the
    network for the clean low-resolution image, and L the sum of `loss`, it minimizes

        (t - 1) / (T - 1)  [(1 - b) L(d, clean) + b L(z, gt)],   b = 0.1, 0.3, 0.5, 0.7, 0.9 in fifths of the training.

    The first recursion has weight zero and is only computed for the second. Images are in [0, 1], in the authors' code
    in [0, 255], which changes nothing in Adam but the effect of eps.

    Args:
        nonlocal_weights: file of a trained NonLocalDeblock for both non-local modules; null: keep their weights, which
            are random in a new network.
        original: as the authors' code: the first recursion updates the weights, too, as Adam moves them even if the
            loss is zero; and epochs, hundredths of the training, count from 1, so that b is 1.1 in the last one.
    """

    def __init__(
        self,
        network: nn.Module,
        setting: Setting,
        /,
        *,
        loss: Losses = {"L1": {}},  # noqa: B006 - read only
        nonlocal_weights: str | None = None,
        original: bool = False,
        optimizer: Annotated[Any, Slot("optimizer")] = {"type": "Adam"},  # noqa: B006
        scheduler: Annotated[Any, Slot("scheduler")] = {"type": "none"},  # noqa: B006
    ) -> None:
        if not isinstance(network, CISRPSI):
            raise UserError(f"Unfolding trains CISRPSI, found {type(network).__name__}")
        if nonlocal_weights is not None:
            _load_both(network, nonlocal_weights)
        self.networks = {"net": network}
        self._network, self._prepared = network, setting.prepare(network)
        self._losses = WeightedLosses(loss).to(setting.device)
        self._niter, self._original = setting.niter, original
        self.optimizers = {"net": create("optimizer", optimizer, network.parameters())}
        self._schedule = create("scheduler", scheduler, setting.niter)
        weights = _recursion_weights(network.recursions)
        self._weights = dict(enumerate(weights)) if original else {t: w for t, w in enumerate(weights) if w}
        """Recursion (0 is the first) -> its weight; of the trained ones only."""

    def phases(self, step: int) -> list[Phase]:
        """One per trained recursion; they share the optimizer."""
        share = enlarged_share(step, self._niter, original=self._original)
        return [
            Phase(
                f"recursion {number + 1}",
                self._prepared,
                partial(self.training_step, number=number, share=share),
                self.optimizers["net"],
                self._schedule,
            )
            for number in self._weights
        ]

    def training_step(self, batch: Batch, number: int, share: float) -> Loss:
        """Losses of one recursion (0 is the first), which stores its result in the batch for the next.

        Args:
            share: b.

        Raises:
            UserError: the batch has no clean low-resolution image.
        """
        if "clean" not in batch:
            raise UserError(
                "Unfolding needs the low-resolution images before compression, which this data set does not have; use "
                "DownSampledImages"
            )
        previous = self._computed_until(batch, number) if number == min(self._weights) else batch[_ENLARGED]
        enlarged, clean = self._prepared(batch["lq"], previous=previous)
        batch[_ENLARGED] = enlarged.detach()
        of_clean, of_enlarged = self._losses(clean, batch["clean"]), self._losses(enlarged, batch["gt"])
        total = self._weights[number] * ((1 - share) * of_clean.total + share * of_enlarged.total)
        parts = {f"{name} clean": value for name, value in of_clean.parts.items()}
        return Loss(total, {**parts, **{f"{name} gt": value for name, value in of_enlarged.parts.items()}})

    @torch.no_grad()
    def _computed_until(self, batch: Batch, number: int) -> Tensor:
        """The upsampled image from which the first trained recursion starts."""
        enlarged, device = self._network.start(batch["lq"]), batch["lq"].device.type
        # Autocast caches the cast weights; in some versions of PyTorch these have no gradient in later calls.
        with torch.autocast(
            device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device), cache_enabled=False
        ):
            for _ in range(number):
                enlarged, _ = self._network(batch["lq"], previous=enlarged)
        return enlarged


@ALGORITHMS.register()
class DeblockPretraining(Regression):
    """Train NonLocalDeblock alone: minimize the losses between network(lq, blurred clean) and clean.

    clean is lq before compression: the batch's `clean`, or gt if it has the size of lq. The blur is 1 2 1 / 2 4 2 /
    1 2 1, normalized (in the authors' code 1 2 1 / 2 4 5 / 1 2 1, not normalized, apparently by mistake). The reference
    exists in training only, hence no validation.
    """

    def training_step(self, batch: Batch) -> Loss:
        """Losses of one batch.

        Raises:
            UserError: the batch has no clean image of lq's size.
        """
        clean = batch.get("clean", batch["gt"])
        if clean.shape != batch["lq"].shape:
            raise UserError("DeblockPretraining needs the images before compression, which this data set does not have")
        return self._losses(image_of(self._forward({**batch, "reference": blurred(clean)})), clean)


def enlarged_share(step: int, niter: int, *, original: bool = False) -> float:
    """Share b of the upsampled image in the loss at iteration `step` (0 is the first) of `niter`."""
    if original:
        epoch = 1 + 100 * step // niter
        return 0.1 + 0.2 * (epoch // 20)
    return 0.1 + 0.2 * min(5 * step // niter, 4)


def blurred(images: Tensor) -> Tensor:
    """Convolve with 1 2 1 / 2 4 2 / 1 2 1 over 16, replicating the border; (N, C, H, W) -> the same shape."""
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    rows = (padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]) / 4
    return (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 4


def _recursion_weights(recursions: int) -> list[float]:
    """0 ... 1 in equal steps; of a single recursion 1."""
    return [number / (recursions - 1) for number in range(recursions)] if recursions > 1 else [1.0]


def _load_both(network: CISRPSI, path: str) -> None:
    try:
        for module in (network.nonlocal1, network.nonlocal2):
            load_weights(module, path)
    except UserError as error:
        raise UserError(
            f"algorithm.nonlocal_weights: {error}; NonLocalDeblock is trained first (opts/cisr_psi.yml, case pretrain)"
        ) from None
