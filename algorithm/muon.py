"""Muon, an optimizer whose steps are orthogonal matrices, for convolutions, too.

Jordan, Jin, Boza, You, Cesista, Newhouse, Bernstein, "Muon: An optimizer for hidden layers in neural networks", 2024,
with the scale of the steps of Liu et al., "Muon is Scalable for LLM Training", arXiv 2502.16982, section 2.2.
`torch.optim.Muon` takes matrices only.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from powerqe.algorithm.registries import OPTIMIZERS
from powerqe.inference.precision import computes_in

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial that moves all singular values towards 1, with the greatest slope at 0."""
_STEPS = 5
_RMS = 0.2
"""Of the elements of a step, as Adam has it in the middle of a training; so both have one learning rate."""
_LEAST = 16
"""Rows and channels of a matrix; layers that see or make the image have fewer."""
_Share = Annotated[float, Field(ge=0, lt=1)]


@OPTIMIZERS.register()
class Muon(torch.optim.Optimizer):
    """Steps of weights are orthogonal matrices, those of biases and other vectors are Adam's.

    The weight of a convolution is a matrix with a row for each of its first dimension. The step is the nearest
    orthogonal matrix to the mean of the gradients, so directions with small gradients are learned as fast as others.

    Args:
        parameters: what to train.
        lr: learning rate of both kinds of steps, in the scale of Adam's.
        momentum: weight of the earlier gradients in the mean, for matrices.
        weight_decay: share of a weight that is subtracted, times lr.
        betas: those of Adam, for vectors.
        eps: that of Adam.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        /,
        *,
        lr: PositiveFloat = 3e-3,
        momentum: _Share = 0.95,
        weight_decay: NonNegativeFloat = 0.0,
        betas: tuple[_Share, _Share] = (0.9, 0.99),
        eps: PositiveFloat = 1e-8,
    ) -> None:
        kinds: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for parameter in parameters:
            kinds[parameter.ndim > 1 and min(parameter.shape[:2]) >= _LEAST].append(parameter)
        groups = [{"params": each, "matrices": is_matrix} for is_matrix, each in kinds.items() if each]
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "betas": betas, "eps": eps}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update of all parameters that have a gradient."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            updates = self._orthogonal(parameters, group) if group["matrices"] else self._adam(parameters, group)
            for parameter, update in zip(parameters, updates, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(update.view_as(parameter), alpha=group["lr"])

    def _orthogonal(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> list[Tensor]:
        alike: dict[tuple[int, int], dict[int, Tensor]] = defaultdict(dict)  # matrices of one size at once
        for number, parameter in enumerate(parameters):
            gradient, state = parameter.grad, self.state[parameter]
            assert gradient is not None
            if not state:
                state["mean"] = torch.zeros_like(gradient)
            mean = state["mean"].lerp_(gradient, 1 - group["momentum"])
            matrix = gradient.lerp(mean, group["momentum"]).flatten(1)  # Nesterov's momentum
            alike[matrix.shape[0], matrix.shape[1]][number] = matrix
        updates: dict[int, Tensor] = {}
        for size, matrices in alike.items():
            steps = orthogonalized(torch.stack(list(matrices.values()))).mul_(_RMS * max(size) ** 0.5)
            updates.update(zip(matrices, steps, strict=True))
        return [updates[number] for number in range(len(parameters))]

    def _adam(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> list[Tensor]:
        updates: list[Tensor] = []
        for parameter in parameters:
            gradient, state, (beta1, beta2) = parameter.grad, self.state[parameter], group["betas"]
            assert gradient is not None
            if not state:
                state.update(step=0, mean=torch.zeros_like(gradient), square=torch.zeros_like(gradient))
            state["step"] += 1
            mean = state["mean"].lerp_(gradient, 1 - beta1) / (1 - beta1 ** state["step"])
            square = state["square"].lerp_(gradient.square(), 1 - beta2) / (1 - beta2 ** state["step"])
            updates.append(mean / (square.sqrt() + group["eps"]))
        return updates


def orthogonalized(matrices: Tensor) -> Tensor:
    """About the nearest matrices whose rows, or columns if those are fewer, are orthonormal, by Newton and Schulz.

    Their singular values are between 0.5 and 1.5, unless they were below a thousandth of the matrix's norm.

    Args:
        matrices: (N, rows, columns).
    """
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if is_tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    x = x.bfloat16() if computes_in("bf16", x.device) else x
    a, b, c = _COEFFICIENTS
    for _ in range(_STEPS):
        squares = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(squares, squares, squares, beta=b, alpha=c), x, beta=a)
    return (x.mT if is_tall else x).float()
