"""An image to compress, and how far from it the result is."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest


def _make_image(height: int = 50, width: int = 70, channels: int = 3) -> np.ndarray:
    noise = np.random.default_rng(1).integers(0, 256, (6, 8, channels), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)


@pytest.fixture
def make_image() -> Callable[..., np.ndarray]:
    return _make_image


@pytest.fixture
def psnr() -> Callable[[np.ndarray, np.ndarray], float]:
    """In dB; infinite for equal images."""

    def psnr(a: np.ndarray, b: np.ndarray) -> float:
        error = np.mean((a.astype(float) - b) ** 2)
        return 10 * np.log10(255**2 / error) if error else np.inf

    return psnr
