"""What was tested and how: network, weights, options, device, precision and versions, for results.json."""

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch import nn

from powerqe.inference.load import find_network
from powerqe.inference.precision import choose_precision, engine
from powerqe.utils.files import sha256_of
from powerqe.utils.machine import device_name
from powerqe.utils.options.tree import Options


def facts_of(options: Options, device: torch.device, network: nn.Module, weights: dict[str, Path]) -> dict[str, Any]:
    """Provenance of a test, as fields of `powerqe.evaluation.results.Results`.

    Args:
        network: the network that all weights belong to.
        weights: name ("all", or "peaks" and "others") -> file.
    """
    test = options.test.model_dump(mode="json", include={"forward", "tile", "self_ensemble"})
    sets = options.dataset.test
    cards = [find_network(path, options.network).card for path in weights.values()]
    precisions = [choose_precision(options.test.precision, device, card) for card in cards]
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "network": options.network.model_dump(mode="json", serialize_as_any=True),
        "parameters": len(weights) * sum(parameter.numel() for parameter in network.parameters()),
        "weights": {name: {"path": str(path), "sha256": sha256_of(path)} for name, path in weights.items()},
        "test": {**test, "dcn": options.dcn},
        "device": device_name(device),
        "precision": " / ".join(dict.fromkeys(precisions)),
        "engine": engine(device),
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "versions": {"torch": str(torch.__version__)},
        "data": {name: spec.model_dump(mode="json", serialize_as_any=True) for name, spec in sets.items()},
    }
