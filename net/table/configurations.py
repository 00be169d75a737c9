"""Which networks a table is of, and what it calls them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from powerqe.net.networks import NETWORKS
from powerqe.utils.options.components import shown

DEFAULT = "default"


class NetworkConfiguration(NamedTuple):
    """A network: what the table calls its configuration, and what `build_network` takes."""

    label: str
    spec: dict[str, Any]


def configuration(spec: Mapping[str, Any]) -> NetworkConfiguration:
    """A network without weights, called by what differs from its defaults: `scale 3`."""
    arguments = [f"{name} {shown(value)}" for name, value in spec.items() if name != "type"]
    return NetworkConfiguration(", ".join(arguments) or DEFAULT, dict(spec))


def every_network() -> list[NetworkConfiguration]:
    """All types, each with the defaults of its constructor, but those that have none."""
    return [configuration({"type": name}) for name in NETWORKS.names() if name not in without_defaults()]


def without_defaults() -> list[str]:
    """Types that cannot be built without arguments."""
    return [
        name for name in NETWORKS.names() if any(default is ... for _, default in NETWORKS.signature(name).values())
    ]
