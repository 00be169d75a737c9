"""Small images and small networks with weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from powerqe.inference.enhance_files import Models, enhance_files
from powerqe.inference.inference_options import InferenceOptions
from powerqe.inference.input_files import find_jobs
from powerqe.net import build_network, save_weights
from powerqe.utils.image.io import encode_image

SPECS: dict[str, dict[str, Any]] = {
    "arcnn": {"type": "ARCNN", "hidden_channels": [4, 4], "kernel_sizes": [3, 1, 3], "residual": True},
    "luma": {"type": "DnCNN", "in_channels": 1, "out_channels": 1, "num_features": 4, "depth": 3},
    "fbcnn": {"type": "FBCNN", "num_features": [4, 4, 4, 4], "num_blocks": 1, "hidden_features": 4, "residual": True},
    "drunet": {"type": "DRUNet", "widths": [4, 4], "num_blocks": 1},
    "blind": {"type": "DRUNet", "widths": [4, 4], "num_blocks": 1, "quality_map": False},
    "qgcn": {"type": "QGCN", "num_features": 4, "num_blocks": 2, "global_features": [2, 2, 2, 2], "hidden_features": 4},
    "twice": {"type": "EDSR", "scale": 2, "num_features": 4, "num_blocks": 1},
    "rgb": {"type": "DnCNN", "in_channels": 3, "out_channels": 3, "num_features": 4, "depth": 3},
    "stdf": {
        "type": "STDF",
        "radius": 1,
        "fusion_features": 8,
        "num_features": 8,
        "enhance_features": 8,
        "enhance_layers": 3,
    },
    "mfqe": {"type": "MFQE", "enhancer": "plain"},
}


@pytest.fixture
def weights(tmp_path: Path) -> Callable[[str], str]:
    """Writes the weights of one of `SPECS`, random but always the same; gives their path."""

    def weights(name: str) -> str:
        path = tmp_path / f"{name}.safetensors"
        torch.manual_seed(0)
        network = build_network(SPECS[name])
        with torch.no_grad():
            for parameter in network.parameters():  # away from the identity, at which some begin
                parameter.add_(0.02 * torch.randn_like(parameter))
        save_weights(network, path, {"network": json.dumps(SPECS[name])})
        return str(path)

    return weights


@pytest.fixture
def inference_options() -> Callable[..., InferenceOptions]:
    """On the CPU in fp32, with memory for all; what the network says counts, see test_consistency.py for files."""

    def inference_options(**options: Any) -> InferenceOptions:
        default = {"device": torch.device("cpu"), "memory": 1 << 32, "consistency": "off", "force_enhance": True,
                   "precision": "fp32"}  # fmt: skip
        return InferenceOptions(**default | options)

    return inference_options


def make_image(height: int = 40, width: int = 56, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth, uint8."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, channels), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)


def make_jpeg(quality: int = 20, **options: Any) -> bytes:
    """The bytes of a JPEG file."""
    image = make_image(**options)
    stored = image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


@pytest.fixture
def image() -> Callable[..., np.ndarray]:
    """The function `make_image`."""
    return make_image


@pytest.fixture
def jpeg() -> Callable[..., bytes]:
    """The function `make_jpeg`."""
    return make_jpeg


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a.jpg, b.png, sub/c.jpg and a text."""
    (tmp_path / "photos/sub").mkdir(parents=True)
    (tmp_path / "photos/a.jpg").write_bytes(make_jpeg(10))
    (tmp_path / "photos/b.png").write_bytes(encode_image(make_image(seed=1)))
    (tmp_path / "photos/sub/c.jpg").write_bytes(make_jpeg(30, channels=1))
    (tmp_path / "photos/notes.txt").write_text("no image")
    return tmp_path / "photos"


@pytest.fixture
def go(monkeypatch, photos, weights, inference_options):
    """Enhances files below the folder of photos/, by a tiny network; gives the results."""
    monkeypatch.chdir(photos.parent)
    models = Models(weights("arcnn"), inference_options())

    def go(*inputs, output="out", file_format=None, compare=False, **options):
        results = []
        jobs = find_jobs(inputs, Path(output), file_format, compare=compare)
        enhance_files(jobs, models, results.append, compare=compare, **options)
        return results

    return go
