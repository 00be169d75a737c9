"""Is what onnxruntime makes of the file what PyTorch makes of the network?"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from powerqe.net.export.inputs import Inputs
from powerqe.utils.errors import UserError

Size = tuple[int, int, int]
"""Batch, height, width."""

SIZES: tuple[Size, ...] = ((1, 1, 1), (2, 37, 50), (1, 64, 48))
"""Where all are free: the smallest, one that no network likes, with two images, and one that is a multiple of 16."""

_CONDITION = 30.0
"""A value for what the network may be conditioned on: a quality factor."""


class Difference(NamedTuple):
    """The difference between PyTorch and onnxruntime at one size.

    Attributes:
        size: of the images.
        largest: output -> the largest absolute difference.
    """

    size: Size
    largest: dict[str, float]

    def __str__(self) -> str:
        batch, height, width = self.size
        found = ", ".join(f"{name} {value:.1e}" for name, value in self.largest.items())
        return f"{width}x{height}{f', batch of {batch}' if batch > 1 else ''}: {found}"


class Session:
    """A file in onnxruntime, on the CPU.

    Args:
        content: of the file.

    Raises:
        UserError: it cannot run it.
    """

    def __init__(self, content: bytes) -> None:
        import onnxruntime  # imported here: only who exports needs it

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised
        self._version = onnxruntime.__version__
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library has a class for each of its codes, and none for all
            raise self._cannot(error) from error
        self.outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, given: dict[str, Tensor]) -> list[Tensor]:
        """The outputs. Raises as the constructor."""
        try:
            found = self._session.run(None, {name: tensor.numpy() for name, tensor in given.items()})
        except Exception as error:
            shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in given.items())
            raise self._cannot(error, f" with {shapes}") from error
        return [torch.from_numpy(array) for array in found]

    def _cannot(self, error: Exception, what: str = "") -> UserError:
        return UserError(f"onnxruntime {self._version} cannot run the file{what}: {first_line(error)}")


def compare(session: Session, inputs: Inputs, sizes: tuple[Size, ...], tolerance: float) -> Iterator[Difference]:
    """On random and on smooth images of each size.

    What the network can be conditioned on is once left out, so that it estimates it, and once given.

    Args:
        session: of the file.
        tolerance: largest difference that is allowed, as a part of the largest value of an output, which counts as at
            least 1: 1e-4 is a fortieth of a gray level of 8 bits, and 0.01 of a quality factor.

    Raises:
        UserError: it is larger.
    """
    names = session.outputs
    for size in sizes:
        largest = dict.fromkeys(names, 0.0)
        for given in _samples(inputs, size):
            expected = flat(call(inputs, given))
            for name, a, b in zip(names, expected, session(given), strict=True):
                difference = _difference(a, b)
                largest[name] = max(largest[name], difference)
                if not difference <= tolerance * max(1.0, float(a.abs().max())):
                    raise UserError(
                        f"at {Difference(size, {name: difference})}: so far is the result of onnxruntime from that of "
                        f"PyTorch, and the tolerance is {tolerance:g} of the largest value, at least of 1; the file is "
                        "not written. A larger --tolerance lets it pass"
                    )
        yield Difference(size, largest)


@torch.no_grad()
def call(inputs: Inputs, given: dict[str, Tensor]) -> Any:
    """What the network returns."""
    return inputs.network(**given, **inputs.fixed)


def flat(output: Any) -> list[Tensor]:
    """The tensors that a network returns; the image is the first."""
    return [part for value in output for part in flat(value)] if isinstance(output, tuple | list) else [output]


def _samples(inputs: Inputs, size: Size) -> Iterator[dict[str, Tensor]]:
    """Random, then smooth images; what may be left out is given with the second.

    Where there are several, they are alike: between unrelated ones NonLocalDeblock divides by nearly nothing.
    """
    generator = torch.Generator().manual_seed(0)
    example, axes = inputs.example(*size), inputs.axes()
    images = [name for name, free in axes.items() if {"height", "width"} <= set(free.values())] or list(axes)[:1]
    random = torch.rand(example[images[0]].shape, generator=generator)
    noise, smooth = (
        {name: image * 0.9**number for number, name in enumerate(images)} for image in (random, _waves(random.shape))
    )
    yield {name: tensor for name, tensor in (example | noise).items() if name not in inputs.conditions}
    yield example | smooth | {name: torch.full_like(example[name], _CONDITION) for name in inputs.conditions}


def _waves(shape: torch.Size) -> Tensor:
    """Slow waves in [0, 1] along height and width, others in each channel."""
    *_, height, width = shape
    phases = torch.arange(math.prod(shape[:-2])).reshape(*shape[:-2], 1, 1)
    rows, columns = torch.arange(height)[:, None] / 9, torch.arange(width) / 13
    return 0.5 + 0.5 * (rows + phases).sin() * (columns - phases).cos()


def _difference(a: Tensor, b: Tensor) -> float:
    """The largest; infinite where the shapes differ, NaN where there is NaN."""
    return float((a - b).abs().max()) if a.shape == b.shape else math.inf


def first_line(error: BaseException) -> str:
    """The first line of the innermost error, at most 300 characters."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
