"""What a network made of the channels that it saw, in the channels of the image."""

from torch import Tensor

from powerqe.utils.errors import UserError

_RGB_PER_LUMA = 255 / 219
"""By which a step of luma changes R, G and B, if the chroma stays (ITU-R BT.601-7, 2.5)."""


def in_channels_of(image: Tensor, result: Tensor, seen: Tensor) -> Tensor:
    """The result for what a network saw of an image, gray of RGB or RGB of luma, in the channels of the image."""
    if result.shape[1] == image.shape[1]:
        return result
    if result.shape[1] == 3:
        return result.mean(dim=1, keepdim=True)
    return image + (result - seen) * _RGB_PER_LUMA


def check_same_size(result: Tensor, seen: Tensor, channels: int) -> None:
    """Raise `UserError` for luma that was enlarged, if the image has other channels, which would not be."""
    if channels == 3 and result.shape[1] == 1 and result.shape != seen.shape:
        raise UserError("weights that enlarge luma cannot take a color image; choose weights for RGB")
