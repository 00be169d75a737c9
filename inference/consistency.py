"""What a JPEG file says itself, held against what a network made of it.

See utils/codecs/quantization_constraint.py for the set of images that the file allows. If the image was compressed
more strongly before, the set contains that damage, and would keep it: then it is not used.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from powerqe.utils.codecs.jpeg_coefficients import read_coefficients
from powerqe.utils.codecs.jpeg_dominant import dominant_quality
from powerqe.utils.codecs.jpeg_estimate import middle
from powerqe.utils.codecs.quantization_constraint import QuantizationConstraint
from powerqe.utils.errors import UserError
from powerqe.utils.image.photo import Photo

Consistency = Literal["auto", "on", "off"]
CONSISTENCY: tuple[Consistency, ...] = get_args(Consistency)
_STRONGER = 5
"""By how much lower an earlier quality factor has to be, to be that of a stronger compression."""
_AGREEMENT = 0.02
"""Share of a change outside of the set up to which the constraint takes hardly anything back, whatever came before."""
_DISAGREEMENT = 0.25
"""The share from which network and file are said to disagree."""


class JPEGFile(NamedTuple):
    """A JPEG file and its decoded pixels, both as stored.

    data: its bytes. pixels: uint8 (H, W, 1 or 3).
    """

    data: bytes
    pixels: np.ndarray


def consistent(file: JPEGFile, image: Tensor, mode: Consistency, *, trusted: bool = False) -> tuple[Tensor, str]:
    """Bring what a network made of a JPEG file into agreement with the file.

    Args:
        image: (1, C, H, W) float, of the size and channels of the file's pixels, as stored.
        mode: "on": always; "auto": unless an earlier, stronger compression shows; "off": not at all.
        trusted: keep all of the network's change that the file allows.

    Returns:
        (1, C, H, W), and a note for the user, which may be empty.
    """
    if mode == "off" or image.shape[1:] != (file.pixels.shape[2], *file.pixels.shape[:2]):
        return image, ""
    try:
        constraint = QuantizationConstraint(read_coefficients(file.data))
    except UserError as error:
        return image, f"its coefficients are not used ({str(error).removeprefix('JPEG data: ')})"
    if (constraint.channels, *constraint.size) != image.shape[1:]:
        return image, ""
    decoded = torch.from_numpy(file.pixels).permute(2, 0, 1)[None].to(image) / 255
    image = image.clamp(0, 1)
    found = constraint.weigh(image, decoded, 1.0, None) if trusted else constraint.weigh(image, decoded)
    if mode == "auto" and found.contradiction > _AGREEMENT:
        earlier = earlier_quality(file.pixels, constraint.quality)
        if earlier is not None:
            return image, f"shows an earlier JPEG compression of quality {earlier}: the network is believed"
    if found.contradiction < _DISAGREEMENT:
        return found.image, ""
    contradiction, kept = (f"{100 * share:.0f} %" for share in (found.contradiction, found.kept))
    reason = f"the network contradicts the file by {contradiction} of its change"
    return found.image, f"{reason}: the file is believed, {kept} of what it allows is kept"


def declined(photo: Photo) -> str:
    """Why an image should stay as it is: nothing suggests that it was compressed; "" if something does.

    Files of lossless formats are judged by their visible pixels: they may hold a decoded JPEG, its blocks anywhere.
    """
    pixels = photo.with_hidden_filled().pixels
    if not photo.is_lossless or (photo.peak == 255 and dominant_quality(_part(pixels)).trusted):
        return ""
    return "nothing suggests that it was compressed: it stays as it is; --force-enhance or --weights enhance it"


def earlier_quality(pixels: np.ndarray, quality: int) -> int | None:
    """The quality factor of a stronger compression before the last one, of which there is good sign; else None.

    Args:
        pixels: of the file, uint8 (H, W, 1 or 3), as stored.
        quality: factor of the last compression.
    """
    found = dominant_quality(_part(pixels))
    return found.quality if found.trusted and found.quality <= quality - _STRONGER else None


def _part(pixels: np.ndarray) -> np.ndarray:
    """What is searched for traces of earlier compressions; more pixels do not help."""
    return np.ascontiguousarray(middle(pixels))
