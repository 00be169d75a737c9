"""Which networks a table is of: types, published weights, or networks as option files write them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from powerqe.net.networks import NETWORKS
from powerqe.net.weights import find, spec
from powerqe.net.weights.index import known_weights
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import shown, validate_component
from powerqe.utils.options.registry import nearest

DEFAULT = "default"


class Asked(NamedTuple):
    """A network: what the table calls its configuration, and what `build_network` takes."""

    configuration: str
    spec: dict[str, Any]


def every_network() -> list[Asked]:
    """All types, each with the defaults of its constructor, but those that have none."""
    return [Asked(DEFAULT, {"type": name}) for name in NETWORKS.names() if name not in without_defaults()]


def without_defaults() -> list[str]:
    """Types that cannot be built without arguments."""
    return [
        name for name in NETWORKS.names() if any(default is ... for _, default in NETWORKS.signature(name).values())
    ]


def every_weights() -> list[Asked]:
    """All published weights whose files are here.

    Raises:
        UserError: there are none.
    """
    found = [Asked(name, spec(path)) for name, (_, path) in known_weights().items() if path.is_file()]
    if not found:
        raise UserError("--weights: no published weights are here; see powerqe weights list")
    return found


def asked(names: Sequence[str]) -> list[Asked]:
    """What a user names.

    Raises:
        UserError: no such type and no such weights, with the nearest name; or a network that cannot be built so.
    """
    return [_asked(name) for name in names]


def _asked(name: str) -> Asked:
    if name.startswith("{"):
        return _written(name)
    if name in NETWORKS.names():
        validate_component("network", {"type": name})
        return Asked(DEFAULT, {"type": name})
    known = known_weights()
    if not Path(name).is_file() and Path(name).stem not in known:
        near = nearest(name, [*NETWORKS.names(), *known])
        raise UserError(f"no network, and no weights file or name {name}{near}; powerqe weights list shows the "
                        f"weights, the networks are {', '.join(NETWORKS.names())}")  # fmt: skip
    path = find(name)
    return Asked(path.stem, spec(path))


def _written(text: str) -> Asked:
    """`{type: EDSR, num_features: 256}`."""
    try:
        network = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"found {text}, expected a network such as '{{type: EDSR, num_features: 256}}'") from None
    validate_component("network", network)
    arguments = [f"{name} {shown(value)}" for name, value in network.items() if name != "type"]
    return Asked(", ".join(arguments) or DEFAULT, network)
