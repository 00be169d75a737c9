"""The optimizers of `torch.optim`, each with the arguments of its own signature.

Arguments that only change the implementation (`foreach`, `fused` ...) and `maximize` are not options; fused
implementations are used where they exist.
"""

import inspect
from collections.abc import Iterable
from typing import Annotated, Any

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import nn

from powerqe.algorithm.registries import OPTIMIZERS
from powerqe.utils.errors import UserError

_NOT_THESE = {"Optimizer", "Muon"}
"""The base class, and what algorithm/muon.py has for convolutions, too."""
_NO_OPTIONS = {"fused", "foreach", "capturable", "differentiable", "maximize"}
_DEFAULTS: dict[str, dict[str, float]] = {
    "Adam": {"lr": 1e-4},
    "AdamW": {"lr": 1e-4},
    "SGD": {"lr": 1e-2, "momentum": 0.9},
}
"""Defaults that differ from those of PyTorch."""
_Share = Annotated[float, Field(ge=0, lt=1)]
_TYPES: dict[str, Any] = {
    "lr": PositiveFloat,
    "betas": tuple[_Share, _Share],
    "eps": PositiveFloat,
    "weight_decay": NonNegativeFloat,
    "momentum": NonNegativeFloat,
}
"""Stricter types than those of the signatures, which allow tensors and any number."""


def _register(kind: type[torch.optim.Optimizer]) -> None:
    """Register an optimizer under its name, with its signature as options."""
    name = kind.__name__
    parameters = inspect.signature(kind, eval_str=True).parameters
    fused: dict[str, Any] = {"fused": True} if "fused" in parameters else {}

    def optimizer(parameters: Iterable[nn.Parameter], /, **arguments: Any) -> torch.optim.Optimizer:
        try:
            return kind(parameters, **arguments, **fused)
        except ValueError as error:  # of a value that its signature does not rule out
            raise UserError(f"optimizer {name}: {error}") from None

    first, *options = parameters.values()
    optimizer.__doc__ = f"`torch.optim.{name}`; PyTorch's documentation has the algorithm and its paper."
    optimizer.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]
        [
            first.replace(kind=inspect.Parameter.POSITIONAL_ONLY),
            *(_option(name, each) for each in options if each.name not in _NO_OPTIONS),
        ]
    )
    OPTIMIZERS.register(name)(optimizer)


def _option(optimizer: str, parameter: inspect.Parameter) -> inspect.Parameter:
    default = _DEFAULTS.get(optimizer, {}).get(parameter.name, parameter.default)
    is_known = parameter.name in _TYPES and None not in (default if isinstance(default, tuple) else ())
    return parameter.replace(
        kind=inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=_TYPES[parameter.name] if is_known else parameter.annotation,
    )


for _kind in vars(torch.optim).values():
    is_optimizer = isinstance(_kind, type) and issubclass(_kind, torch.optim.Optimizer)
    if is_optimizer and _kind.__name__ not in {*_NOT_THESE, *OPTIMIZERS.refused}:
        _register(_kind)
