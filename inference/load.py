"""The one way from a name to a ready network: a name of published weights, a file, or a network's options.

`find_network` finds the network without building it; `NetworkSource.build` builds it with its weights. What is needed
to apply it to images and videos (tiles, precision, arguments of its forward) is in inference/model.py.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from powerqe.net import NETWORKS, build_network, load_weights
from powerqe.net.weights import find, spec
from powerqe.net.weights.entry import BACKBONE, Entry
from powerqe.net.weights.hub import SCHEME
from powerqe.net.weights.index import known_weights
from powerqe.net.weights.tensorflow_checkpoint import index_file
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import Component, validate_component
from powerqe.utils.options.plain_yaml import read_yaml
from powerqe.utils.options.registry import nearest

NetworkReference = str | os.PathLike[str] | Mapping[str, Any]
"""Name of published weights, path of a file, or a network `{"type": NAME, ...}`."""


@dataclass(frozen=True)
class NetworkSource:
    """A network that can be built.

    Attributes:
        name: of its weights, or its type where there are none.
        spec: as `powerqe.net.build_network` takes it.
        path: of its weights; None: untrained.
        card: what is known of published weights.
    """

    name: str
    spec: dict[str, Any]
    path: Path | None = None
    card: Entry | None = None

    @property
    def method(self) -> str:
        """The network's type."""
        return self.spec["type"]

    def build(self, device: torch.device | str = "cpu") -> nn.Module:
        """The network with its weights, in evaluation mode.

        Raises:
            UserError: options or weights that do not fit.
        """
        try:
            network = build_network(self.spec)
        except UserError as error:
            raise UserError(f"{self.path}: {error}" if self.path else str(error)) from None
        if self.path is not None and self.path != getattr(network, "made_of", None):
            load_weights(network, self.path)
        return network.to(device).eval()


def find_network(source: NetworkReference, network: Mapping[str, Any] | Component | None = None) -> NetworkSource:
    """Find the network of a reference, without building it.

    Args:
        source: a name of published weights; a path, or hf://owner/repo/file, of weights, of one of our training
            checkpoints, or of a method's official checkpoint; or a network `{"type": NAME, ...}`, untrained.
        network: the network of the weights; None: as recorded in or recognized from the file.

    Raises:
        UserError: no such weights or type, or the network of a file is unknown.
    """
    if isinstance(source, Mapping):
        return NetworkSource(validate_component("network", source).type, dict(source))
    path = find(source)
    card = next((known.entry for known in known_weights().values() if _is_same(known.path, path)), None)
    name = card.name if card else path.stem
    return NetworkSource(name, spec(path) if network is None else _plain(network), path, card)


def published_networks() -> list[NetworkSource]:
    """All published weights whose files are on this machine.

    Raises:
        UserError: there are none.
    """
    here = (known for known in known_weights().values() if known.path.is_file())
    found = [find_network(known.path) for known in here if known.entry.task != BACKBONE]
    if not found:
        raise UserError("no published weights on this machine; see powerqe weights list and powerqe weights fetch")
    return found


def parse_source(text: str) -> NetworkReference:
    """Parse a command-line argument: a network type, weights by name, path or hf://, or `{type: NAME, ...}` in YAML.

    Raises:
        UserError: none of these, with the nearest name.
    """
    if text.startswith("{"):
        return read_yaml(text, f"{text[:80]}, expected as a network such as '{{type: EDSR, num_features: 256}}',")
    if text in NETWORKS:
        return {"type": text}
    known = known_weights()
    if text.startswith(SCHEME) or Path(text).stem in known or Path(text).exists() or index_file(Path(text)):
        return text
    near = nearest(text, [*NETWORKS.names(), *known])
    raise UserError(f"no network, and no weights file or name {text}{near}; the networks are "
                    f"{', '.join(NETWORKS.names())}, and powerqe weights list shows the weights")  # fmt: skip


def _is_same(known: Path, path: Path) -> bool:
    return known.name == path.name and known.resolve() == path.resolve()


def _plain(network: Mapping[str, Any] | Component) -> dict[str, Any]:
    if isinstance(network, Component):
        return network.model_dump(mode="json", serialize_as_any=True)
    return dict(network)
