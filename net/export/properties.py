"""What an ONNX file tells of the network in it."""

import json
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from powerqe.net.weights.entry import Entry

_RANGE = "float32, NCHW (a clip NTCHW), in [0, 1]; the output is not clamped"


def properties(
    name: str, spec: Mapping[str, Any], card: Entry | None = None, arguments: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Properties for the ONNX file of a network.

    Args:
        name: of its weights.
        spec: of the network, as `powerqe.net.build_network` takes it.
        card: of the weights, if they are published ones.
        arguments: of the forward that are fixed in the file.
    """
    found = {"powerqe": _version(), "weights": name, "network": json.dumps(dict(spec)), "range": _RANGE}
    if arguments:
        found["arguments"] = json.dumps(dict(arguments))
    if card:
        found |= {"task": card.task, "color": card.color, "scale": str(card.scale)}
        found |= {"qualities": str(card.qualities or ""), "license": card.license}
    return {key: value for key, value in found.items() if value}


def _version() -> str:
    try:
        return metadata.version("powerqe")
    except metadata.PackageNotFoundError:  # it runs out of a copy of its sources
        return "unknown"
