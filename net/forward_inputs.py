"""What a network is called with and what it returns: which of the tensors are images."""

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from torch import Tensor


class ForwardInputs(NamedTuple):
    """What a network is called with: the image first."""

    positional: tuple[Any, ...]
    named: dict[str, Any]

    @property
    def image(self) -> Tensor:
        """(N, C, H, W), or a clip (N, T, C, H, W), or whatever else ends with H and W."""
        return self.positional[0]

    def changed(self, change: Callable[[Tensor], Tensor]) -> "ForwardInputs":
        """With `change(tensor)` in the place of the image and of all tensors that have its height and width."""
        size = self.image.shape[-2:]

        def new(value: Any) -> Any:
            is_like = isinstance(value, Tensor) and value.ndim > 2 and value.shape[-2:] == size
            return change(value) if is_like else value

        return ForwardInputs(tuple(map(new, self.positional)), {name: new(value) for name, value in self.named.items()})

    def to(self, device: torch.device) -> "ForwardInputs":
        """All tensors on one device."""
        named = {name: moved(value, device) for name, value in self.named.items()}
        return ForwardInputs(tuple(moved(value, device) for value in self.positional), named)

    def key(self) -> tuple[Any, ...]:
        """What of them, besides the image, can change which layers the network applies."""
        values = [*enumerate(self.positional[1:]), *self.named.items()]
        return tuple((name, value.ndim if isinstance(value, Tensor) else repr(value)) for name, value in values)


def joined(parts: Sequence[Sequence[ForwardInputs]]) -> ForwardInputs:
    """Parts of an image, row by row, side by side as one image."""
    first = parts[0][0]

    def whole(values: list[list[Any]]) -> Any:
        value = values[0][0]
        is_like = isinstance(value, Tensor) and value.ndim > 2 and value.shape[-2:] == first.image.shape[-2:]
        return torch.cat([torch.cat(row, -1) for row in values], -2) if is_like else value

    positional = (whole([[part.positional[n] for part in row] for row in parts]) for n in range(len(first.positional)))
    named = {name: whole([[part.named[name] for part in row] for row in parts]) for name in first.named}
    return ForwardInputs(tuple(positional), named)


def results(output: Any) -> list[Any]:
    """What a network returns, as one list, whatever tuples and lists stand in it; the image is the first."""
    return [part for value in output for part in results(value)] if isinstance(output, tuple | list) else [output]


def rebuilt(output: Any, values: Iterator[Any]) -> Any:
    """What a network returns, with other values in the places of its `results`."""
    if isinstance(output, tuple | list):
        return type(output)([rebuilt(value, values) for value in output])
    return next(values)


def is_image(result: Any, height: int, width: int) -> bool:
    """Whether a result is an image of a whole number of times the height and width."""
    if not isinstance(result, Tensor) or result.ndim < 4:
        return False
    rows, columns = result.shape[-2:]
    return rows >= height and columns >= width and rows % height == columns % width == 0


def ratio_of(features: int, pixels: int, multiple: int) -> Fraction:
    """Length of a map per pixel of what it was computed from: an integer, or 1 / a divisor of `multiple`.

    Where `multiple` does not divide the length, a network either rounds at each stride or pads before the first,
    so a map can be longer or shorter than its share. Of a length of three times `multiple` and more the nearest ratio
    is the right one.
    """
    ratios = {Fraction(1, stride) for stride in range(1, multiple + 1) if multiple % stride == 0}
    ratios |= {Fraction(times) for times in range(1, -(-features // pixels) + 1)}
    padded = Fraction(features, -(-pixels // multiple) * multiple)
    return padded if padded in ratios else min(ratios, key=lambda ratio: abs(math.log(features / (ratio * pixels))))


def moved(output: Any, device: torch.device) -> Any:
    """Tensors on a device; everything else as it is."""
    return rebuilt(output, (value.to(device) if isinstance(value, Tensor) else value for value in results(output)))
