"""Whether a network fits into memory, found while it is constructed."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from powerqe.utils.errors import UserError
from powerqe.utils.memory import available_memory

MOST_PARAMETERS = 20_000
"""Parameter tensors of a network; the largest published ones have a few thousand."""


class TooLargeError(UserError):
    """There is not enough memory for a network."""


@contextmanager
def parameters_fit(what: str) -> Iterator[None]:
    """Stop the construction of a network as soon as its parameters are more than half of the free memory.

    Raises:
        TooLargeError: `what` is too large.
    """
    free, count, total = available_memory(), 0, 0

    def add(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count, total
        count, total = count + 1, total + (0 if parameter is None else parameter.nbytes)
        if count > MOST_PARAMETERS:
            raise TooLargeError(f"{what} has more than {MOST_PARAMETERS:,} parameter tensors; make it smaller")
        if total > free / 2:
            raise TooLargeError(
                f"{what} needs more than half of the {free / 2**30:.1f} GiB of free memory; make it smaller"
            )

    hook = register_module_parameter_registration_hook(add)
    try:
        yield
    finally:
        hook.remove()
