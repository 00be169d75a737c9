"""Drawings: even areas, circles and lines. That they are flat makes some of them look like a JPEG."""

import cv2
import numpy as np


def drawing(seed: int, size: int = 192) -> np.ndarray:
    """uint8 (size, size, 3), always the same for a seed."""
    draw, image = np.random.default_rng(seed), np.full((size, size, 3), 255, np.uint8)
    for _ in range(12):
        color = tuple(int(value) for value in draw.integers(0, 256, 3))
        first, second = (tuple(int(value) for value in draw.integers(0, size, 2)) for _ in range(2))
        kind = draw.integers(3)
        if kind == 0:
            cv2.rectangle(image, first, second, color, -1)
        elif kind == 1:
            cv2.circle(image, first, int(draw.integers(5, 40)), color, -1, cv2.LINE_AA)
        else:
            cv2.line(image, first, second, color, int(draw.integers(1, 5)), cv2.LINE_AA)
    return image
