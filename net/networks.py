"""The registry of networks, which know with which arguments they were made."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from powerqe.net.size_limit import TooLargeError, parameters_fit
from powerqe.utils.options.components import create, validate_component
from powerqe.utils.options.registry import Registry, T


class Networks(Registry):
    """Networks by name. `built_as` of each is what `build_network` would make it of again."""

    def register(self, name: str | None = None) -> Callable[[T], T]:
        """Decorator that adds a class under `name`, by default its own name; the constructor takes keywords only."""
        add = super().register(name)

        def remember(entry: T) -> T:
            construct: Callable[..., None] = entry.__init__
            kind = name or entry.__name__

            @functools.wraps(construct)
            def constructor(network: nn.Module, **arguments: Any) -> None:
                _check_size(kind, lambda: construct(type(network).__new__(type(network)), **arguments))
                construct(network, **arguments)
                network.built_as = {"type": kind, **arguments}  # type: ignore[assignment]

            entry.__init__ = constructor
            return add(entry)

        return remember


class _Unfilled(TorchFunctionMode):
    """Fills no tensor with normal numbers: for one without numbers PyTorch imports its compiler to do so."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func is torch.Tensor.normal_ else func(*args, **(kwargs or {}))


def _check_size(kind: str, build: Callable[[], None]) -> None:
    """Build a network without numbers, which takes no memory; what else goes wrong with it does so again."""
    if torch.get_default_device().type == "meta":
        return
    try:
        with torch.random.fork_rng([]), torch.device("meta"), _Unfilled(), parameters_fit(f"network {kind}"):
            build()
    except TooLargeError:
        raise
    except Exception:
        return


NETWORKS = Networks("network", package="powerqe.net")


def build_network(spec: Mapping[str, Any]) -> nn.Module:
    """Build the network of `{"type": NAME, **kwargs}`; kwargs are its constructor's keyword arguments.

    Raises:
        UserError: unknown type, or an argument that the constructor does not take or cannot use.
    """
    return create("network", spec)


def full_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The same network with all defaults, as plain data: numbers and lists have one form.

    Raises:
        UserError: as `build_network`.
    """
    return validate_component("network", spec).model_dump(mode="json", serialize_as_any=True)
