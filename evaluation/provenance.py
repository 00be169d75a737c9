"""What was tested and how: the facts that results.json (images) and report.json (videos) tell beside the scores."""

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch import nn

from powerqe.utils.files import sha256_of
from powerqe.utils.machine import device_name
from powerqe.utils.options.tree import Options


def facts_of(options: Options, device: torch.device, parameters: int, weights: dict[str, Path]) -> dict[str, Any]:
    """What is tested and how, but for the data: plain data.

    Args:
        parameters: of the network.
        weights: name ("all", or "peaks" and "others") -> file.
    """
    test = options.test.model_dump(mode="json", include={"forward", "tile", "self_ensemble"})
    return {
        "network": options.network.model_dump(mode="json", serialize_as_any=True),
        "parameters": parameters,
        "weights": {name: {"path": str(path), "sha256": sha256_of(path)} for name, path in weights.items()},
        "test": {**test, "dcn": options.dcn},
        "device": device_name(device),
        "versions": {"torch": str(torch.__version__)},
    }


def image_facts(options: Options, device: torch.device, network: nn.Module, weights: Path) -> dict[str, Any]:
    """`facts_of`, and what a report on images needs beside: when, on how many threads, and the data sets.

    A data set made again from what stands here has the same pictures, in the order of the results.
    """
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **facts_of(options, device, parameters, {"all": weights}),
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "data": {
            name: spec.model_dump(mode="json", serialize_as_any=True) for name, spec in options.dataset.test.items()
        },
    }
