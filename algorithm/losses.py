"""Losses between a network's output and the ground truth, and their weighted sum."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from powerqe.algorithm.registries import LOSSES
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import Component, Slot, build, validate_components


class LossOptions(Component):
    """A loss with its weight in the sum."""

    weight: Annotated[float, Field(description="factor of this loss in the sum")] = 1.0


Losses: TypeAlias = Annotated[Any, Slot("loss", LossOptions, named=True)]
"""The type of an algorithm's option `loss`."""


class Loss(NamedTuple):
    """The loss of a training step: the weighted sum to minimize, and its unweighted parts for the log."""

    total: Tensor
    parts: dict[str, Tensor]


class WeightedLosses(nn.Module):
    """Sum of weight x loss.

    Args:
        losses: name -> `LossOptions`, or a mapping such as `{"L1": {"weight": 2}}`.

    Raises:
        UserError: no such loss, or an argument that it does not take.
    """

    def __init__(self, losses: Mapping[str, Any]) -> None:
        super().__init__()
        found: dict[str, LossOptions] = validate_components("loss", losses, LossOptions)
        self.weights = {name: options.weight for name, options in found.items()}
        self.losses = nn.ModuleDict({name: build(options) for name, options in found.items()})

    def forward(self, result: Tensor, target: Tensor) -> Loss:
        """Compare two (N, C, H, W) tensors in [0, 1], in float32.

        Raises:
            UserError: their shapes differ; a tensor of one channel would be compared with each of three.
        """
        check_shapes(result, target)
        return self._sum({name: loss(result.float(), target.float()) for name, loss in self.losses.items()})

    def weighted(self, results: Tensor, target: Tensor, weights: Tensor) -> Loss:
        """(1/N) sum over exits and samples of weight x loss.

        Args:
            results: (exits, N, C, H, W), compared with target (N, C, H, W).
            weights: (exits, N).

        Raises:
            UserError: the shapes differ.
        """
        check_shapes(results[0], target)
        results, target = results.float(), target.float()
        parts = {}
        for name, loss in self.losses.items():
            each = torch.vmap(torch.vmap(loss), in_dims=(0, None))(results, target)
            parts[name] = (weights * each).sum() / results.shape[1]
        return self._sum(parts)

    def _sum(self, parts: dict[str, Tensor]) -> Loss:
        return Loss(torch.stack([self.weights[name] * part for name, part in parts.items()]).sum(), parts)


def check_shapes(result: Tensor, target: Tensor) -> None:
    """Raise `UserError` unless a result has the shape of its ground truth."""
    if result.shape != target.shape:
        found, expected = ("x".join(map(str, each.shape)) for each in (result, target))
        raise UserError(f"the network's output is {found} (images x channels x height x width), its target {expected}")


@LOSSES.register()
class MSE(nn.Module):
    """Mean squared error over all elements."""

    def forward(self, result: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(result, target)


@LOSSES.register()
class L1(nn.Module):
    """Mean absolute error over all elements."""

    def forward(self, result: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(result, target)


@LOSSES.register()
class Charbonnier(nn.Module):
    """Mean of sqrt(d^2 + eps) over all elements (Lai et al., LapSRN, CVPR 2017; eps is not squared)."""

    def __init__(self, *, eps: PositiveFloat = 1e-6) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, result: Tensor, target: Tensor) -> Tensor:
        return torch.sqrt((result - target).square() + self.eps).mean()


@LOSSES.register("PSNR")
class PSNRLoss(nn.Module):
    """Mean over samples of 10 log10(MSE + eps): minus their PSNR in dB (Chen et al., HINet, CVPRW 2021, eq. 4).

    A sample counts by how much better it gets, whether it was damaged much or little. Its gradient is hundreds of
    times that of L1: choose train.clip_grad and the weight accordingly.

    Args:
        eps: least mean squared error of samples in [0, 1] that counts; 1e-8 is 80 dB.
    """

    def __init__(self, *, eps: PositiveFloat = 1e-8) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, result: Tensor, target: Tensor) -> Tensor:
        return 10 * torch.log10((result - target).square().mean(dim=(-3, -2, -1)) + self.eps).mean()


@LOSSES.register()
class FFT(nn.Module):
    """Mean absolute difference of the two-dimensional discrete Fourier transforms, as they are (not divided by H W).

    Args:
        part: "complex", of real and imaginary parts (Cho et al., MIMO-UNet, ICCV 2021, the frequency reconstruction
            loss at one scale; weight 0.1 relative to L1); "amplitude", of absolute values (Fuoli et al., Fourier
            space losses, ICCV 2021, without their window).
    """

    def __init__(self, *, part: Literal["complex", "amplitude"] = "complex") -> None:
        super().__init__()
        self._of = {"complex": torch.view_as_real, "amplitude": torch.abs}[part]

    def forward(self, result: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(self._of(torch.fft.fft2(result)), self._of(torch.fft.fft2(target)))
