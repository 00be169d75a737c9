"""The registry of networks, which know with which arguments they were made."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from powerqe.utils.memory import parameters_fit
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
                with parameters_fit(f"network {kind}"):
                    construct(network, **arguments)
                network.built_as = {"type": kind, **arguments}  # type: ignore[assignment]

            entry.__init__ = constructor
            return add(entry)

        return remember


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
