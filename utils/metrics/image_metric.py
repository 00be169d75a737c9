"""What all metrics do first: clamp, round, shave the border, choose the channel."""

from typing import Annotated, Literal, Protocol

import torch
from pydantic import Field

from powerqe.utils.errors import UserError
from powerqe.utils.image.color import luma
from powerqe.utils.metrics import MetricUnavailable

Channel = Annotated[
    Literal["all", "y"],
    Field(description="all: the image's own channels; y: BT.601 studio-range luma, unrounded (gray counts as Y)"),
]
Border = Annotated[int, Field(ge=0, description="pixels that are left out at each side")]
Rounding = Annotated[
    Literal["uint8", "float", "unclamped"],
    Field(
        description="uint8: judge the 8-bit image that a file would hold; float: the network's own values in [0, 1]; "
        "unclamped: also those beyond, as MFQE's and STDF's code does"
    ),
]

PEAK = 255.0  # metrics count in 8-bit steps, with and without rounding


class ImageMetric(Protocol):
    """What all metrics have; see `powerqe.utils.metrics`.

    Attributes:
        unit: "dB", or "" of a number without one.
        higher_is_better: whether a larger value is of a better result.
    """

    unit: str
    higher_is_better: bool

    def __call__(self, result: torch.Tensor, target: torch.Tensor, /) -> torch.Tensor:
        """Of images (N, C, H, W) in nominal [0, 1] a value for each, (N,) float64."""
        ...

    def describe(self, channels: int) -> str:
        """The convention behind a value, such as "Y, uint8, border 4"."""
        ...


class Preparation:
    """The convention under which two images are compared.

    Args:
        channel: "all", or "y" for the luma of the (rounded) RGB image, itself not rounded.
        border: pixels shaved off each side.
        rounding: "uint8" rounds to 8 bit as saving a file does; "float" only clamps; "unclamped" does neither.
    """

    def __init__(self, channel: Channel, border: Border, rounding: Rounding) -> None:
        if border < 0:
            raise UserError(f"metric: found border {border}, expected 0 or more pixels")
        self.channel = channel
        self.border = border
        self.rounding = rounding

    def __call__(self, result: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both images as they are compared.

        Args:
            result: (N, C, H, W), float; values outside [0, 1] are clamped, unless `rounding` is "unclamped".
            target: the same shape, [0, 1].

        Returns:
            (N, C', H', W') each, float32, 0 ... 255 (and beyond, unclamped).

        Raises:
            UserError: the sizes differ.
            MetricUnavailable: the border leaves nothing, or luma of an image that is neither RGB nor gray.
        """
        result, target = self.pixels(result, target)
        return self.select(result), self.select(target)

    def pixels(self, result: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both images with all their channels; see `__call__`."""
        if result.shape != target.shape:
            raise UserError(
                f"metric: the result is {_size(result)} but its ground truth is {_size(target)}; compare equal sizes"
            )
        return self.judged(result), self.judged(target)

    def judged(self, image: torch.Tensor) -> torch.Tensor:
        """One image as it is judged alone, with all its channels: (N, C, H, W) -> (N, C, H', W'), 0 ... 255."""
        height, width = image.shape[-2:]
        if 2 * self.border >= min(height, width):
            raise MetricUnavailable(f"metric: a border of {self.border} leaves nothing of an image of {_size(image)}")
        inner = image[..., self.border : height - self.border, self.border : width - self.border]
        if self.rounding == "unclamped":
            return inner.float() * PEAK
        inner = inner.float().clamp(0, 1) * PEAK
        return inner.round() if self.rounding == "uint8" else inner

    def select(self, pixels: torch.Tensor) -> torch.Tensor:
        """The channels that count: (N, C, H, W) -> (N, C', H, W), 0 ... 255."""
        return pixels if self.channel == "all" else luma_pixels(pixels)

    def describe(self, channels: int) -> str:
        """The convention in words, for images of this many channels: "RGB, uint8", "Y, uint8, border 2"."""
        border = f", border {self.border}" if self.border else ""
        return f"{self.color(channels)}, {self.rounding}{border}"

    def color(self, channels: int) -> str:
        """What the compared channels are called."""
        if self.channel == "y":
            return "Y"
        return {1: "Y", 3: "RGB"}.get(channels, f"{channels} channels")


def luma_pixels(pixels: torch.Tensor) -> torch.Tensor:
    """Unrounded luma, (N, C, H, W) -> (N, 1, H, W), both 0 ... 255; one channel is luma already.

    Raises:
        MetricUnavailable: neither one nor three channels.
    """
    if pixels.shape[1] == 1:
        return pixels
    if pixels.shape[1] != 3:
        raise MetricUnavailable(f"metric: found {pixels.shape[1]} channels, expected RGB or gray to take the luma of")
    return luma(pixels / PEAK) * PEAK


def rgb_pixels(pixels: torch.Tensor) -> torch.Tensor:
    """RGB, (N, C, H, W) -> (N, 3, H, W); gray gives three equal channels.

    Raises:
        MetricUnavailable: neither one nor three channels.
    """
    if pixels.shape[1] not in (1, 3):
        raise MetricUnavailable(f"metric: found {pixels.shape[1]} channels, expected RGB or gray")
    return pixels.expand(-1, 3, -1, -1)


def mean_square(error: torch.Tensor) -> torch.Tensor:
    """Mean squared error over all pixels and channels, (N, C, H, W) -> (N,), summed in float64."""
    return error.double().square().mean(dim=(1, 2, 3))


def decibel(mse: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB of a mean squared error in 8-bit steps; infinite where it is zero."""
    return 10 * torch.log10(PEAK**2 / mse)


def _size(image: torch.Tensor) -> str:
    channels, height, width = image.shape[-3:]
    return f"{height}x{width} with {channels} channel{'s' * (channels != 1)}"
