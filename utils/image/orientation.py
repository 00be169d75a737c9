"""The eight flips and rotations of an image."""

import cv2
import numpy as np

SYMMETRY = {1: 0, 2: 1, 3: 3, 4: 2, 5: 4, 6: 6, 7: 7, 8: 5}
"""EXIF orientation (CIPA DC-008, tag 0x0112) -> number of the symmetry that turns the stored image upright."""


def oriented(image: np.ndarray, symmetry: int) -> np.ndarray:
    """One of the 8 flips and rotations of an (H, W, 1 or 3) uint8 image, or of a part of one.

    Args:
        symmetry: 0 to 7; bit 1 mirrors left-right, then bit 2 up-down, then bit 4 swaps rows and columns.

    Returns:
        A contiguous array: a copy, unless the image is contiguous and the symmetry 0. (NumPy takes 20
        times as long as OpenCV to copy pixels of three bytes in another order.)
    """
    if symmetry & 3:
        image = cv2.flip(image, (1, 0, -1)[(symmetry & 3) - 1]).reshape(image.shape)
    if symmetry & 4:
        image = cv2.transpose(image).reshape(image.shape[1], image.shape[0], image.shape[2])
    return np.ascontiguousarray(image)


def oriented_view(image: np.ndarray, symmetry: int) -> np.ndarray:
    """As `oriented`, of any (H, W, C), but a view of the same pixels."""
    image = image[:: -1 if symmetry & 2 else 1, :: -1 if symmetry & 1 else 1]
    return image.swapaxes(0, 1) if symmetry & 4 else image


def restored_view(image: np.ndarray, symmetry: int) -> np.ndarray:
    """Undo `oriented`, with a view of the same pixels."""
    image = image.swapaxes(0, 1) if symmetry & 4 else image
    return image[:: -1 if symmetry & 2 else 1, :: -1 if symmetry & 1 else 1]
