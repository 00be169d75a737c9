"""The registry of networks."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from powerqe.utils.options.components import create
from powerqe.utils.options.registry import Registry

NETWORKS = Registry("network", package="powerqe.net")


def build_network(spec: Mapping[str, Any]) -> nn.Module:
    """Build the network of `{"type": NAME, **kwargs}`; kwargs are its constructor's keyword arguments.

    Raises:
        UserError: unknown type, or an argument that the constructor does not take or cannot use.
    """
    return create("network", spec)
