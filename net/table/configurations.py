"""The networks of a table and their labels."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from powerqe.net.networks import NETWORKS
from powerqe.utils.options.components import shown

DEFAULT = "default"


class NetworkConfiguration(NamedTuple):
    """A network: the label of its configuration in the table, and the argument of `build_network`."""

    label: str
    spec: dict[str, Any]


def configuration(spec: Mapping[str, Any]) -> NetworkConfiguration:
    """A network without weights, labeled by the arguments that differ from its defaults: `scale 3`."""
    arguments = [f"{name} {shown(value)}" for name, value in spec.items() if name != "type"]
    return NetworkConfiguration(", ".join(arguments) or DEFAULT, dict(spec))


def every_network() -> list[NetworkConfiguration]:
    """All network types with their default arguments, except those with required arguments."""
    return [configuration({"type": name}) for name in NETWORKS.names() if name not in without_defaults()]


def without_defaults() -> list[str]:
    """Network types with required arguments."""
    return [
        name for name in NETWORKS.names() if any(default is ... for _, default in NETWORKS.signature(name).values())
    ]
