"""Networks trained on ImageNet whose features metrics and losses compare, by their names in weights/official.json."""

import json
from pathlib import Path
from typing import Any

import torch

from powerqe.utils.download import download
from powerqe.utils.places import OFFICIAL, user_weights


def backbone(name: str) -> dict[str, torch.Tensor]:
    """The state dict of a backbone, in torchvision's layout, on the CPU.

    The file is in the folder of downloads (`powerqe weights fetch NAME` and `add` put it there), or in torchvision's
    cache; else it is downloaded.

    Args:
        name: "alexnet", "vgg16", "vgg19" or "squeezenet1_1".

    Raises:
        UserError: it cannot be downloaded.
        Exception: the file is damaged.
    """
    entry = next(each for each in json.loads(OFFICIAL.read_text(encoding="utf-8")) if each["name"] == name)
    return torch.load(_file(entry), map_location="cpu", weights_only=True)


def _file(entry: dict[str, Any]) -> Path:
    path = user_weights() / entry["file"]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / entry["file"]
    if not path.is_file() and cached.is_file():
        return cached
    if not path.is_file():
        download(entry["url"], path, sha256=entry["sha256"], size=entry.get("bytes"))
    return path
