"""Images on which the metrics are checked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from powerqe.utils.metrics import METRICS

ROOT = Path(__file__).resolve().parents[3]


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """uint8 (H, W, C) -> (1, C, H, W) in [0, 1]."""
    return torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 255


@pytest.fixture(scope="session")
def golden() -> dict[str, np.ndarray]:
    """Scores that the original implementations gave to one pair (tests/data/metrics_jpeg_sr.npz).

    `dist` and `gt` are 67x61 RGB; the `_gray` scores were taken of their red channel.
    """
    with np.load(ROOT / "tests/data/metrics_jpeg_sr.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="session")
def score(golden: dict[str, np.ndarray]) -> Callable[..., float]:
    """`score("PSNR", channels=3, **options)`: a metric's value of the golden pair."""

    def value(metric: str, channels: int = 3, **options) -> float:
        result, target = (to_tensor(golden[name][..., :channels]) for name in ("dist", "gt"))
        return METRICS[metric](**options)(result, target).item()

    return value
