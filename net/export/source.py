"""The network of a name or file, with its weights, and what an ONNX file of it should tell."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from torch import nn

from powerqe.net.networks import build_network
from powerqe.net.weights import find, load_weights, spec
from powerqe.net.weights.cards import Entry
from powerqe.net.weights.index import known_weights
from powerqe.utils.errors import UserError

_RANGE = "float32, NCHW (a clip NTCHW), in [0, 1]; the output is not clamped"


@dataclass(frozen=True)
class Source:
    """A network and where it comes from.

    Attributes:
        name: of the weights.
        spec: of the network, as `net.build_network` takes it.
        entry: of the weights in the index, if they are published ones.
    """

    name: str
    network: nn.Module
    spec: dict[str, Any]
    entry: Entry | None

    @classmethod
    def of(cls, weights: str, network_spec: Mapping[str, Any] | None = None) -> "Source":
        """Load weights.

        Args:
            weights: name of published weights, or path of a file that net.load_weights reads.
            network_spec: the network, if the file does not tell.

        Raises:
            UserError: no such weights, or they do not fit, or do not tell their network.
        """
        path = find(weights)
        told = _told(path) if network_spec is None else dict(network_spec)
        network = build_network(told)
        load_weights(network, path)
        known = [each.entry for each in known_weights().values() if each.path.resolve() == path.resolve()]
        return cls(path.stem, network, told, known[0] if known else None)

    def metadata(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        """Properties for the ONNX file.

        Args:
            arguments: of the forward that are fixed in it.
        """
        told = {"powerqe": _version(), "weights": self.name, "network": json.dumps(self.spec), "range": _RANGE}
        if arguments:
            told["arguments"] = json.dumps(dict(arguments))
        if self.entry:
            told |= {"task": self.entry.task, "color": self.entry.color, "scale": str(self.entry.scale)}
            told |= {"qualities": str(self.entry.qualities or ""), "license": self.entry.license}
        return {name: value for name, value in told.items() if value}


def _told(path: Path) -> dict[str, Any]:
    try:
        return spec(path)
    except UserError as error:
        raise UserError(f"{error}; or say which network it is of: --network '{{type: NAME, ...}}'") from None


def _version() -> str:
    try:
        return metadata.version("powerqe")
    except metadata.PackageNotFoundError:  # it runs out of a copy of its sources
        return "unknown"
