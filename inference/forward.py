"""How a network is called on a batch, in training and in tests.

A network's forward takes the image first. What else it requires, an argument without default, it gets from the
batch by its name: the quantization tables of QCN, the scale of MDSR. Arguments with a default stay with it
unless the options (`val.forward`, `test.forward`) set them: to a value, or for each image anew, `{qf: {from: quality}}`
to a key of the sample, `{qf: {from: dominant}}` to an estimate from its lq (`FINDERS`). A network
conditioned on a property wherever it is known declares it (`conditioning`: argument -> key of the sample), also
for training.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from powerqe.dataset.loader import Batch
from powerqe.utils.codecs.jpeg_dominant import dominant_quality
from powerqe.utils.errors import UserError
from powerqe.utils.image.tensors import to_image
from powerqe.utils.options.registry import nearest

_SOURCES = {
    "tables": "DegradedImages has them with codec JPEG (and grid: patch in training), PairedImages with tables: file",
    "scale": "DownSampledImages has it",
    "reference": "only DeblockPretraining makes it, from clean training images: leave out dataset.val and test",
}


class Forward:
    """A network that takes what it needs out of a batch.

    Args:
        network: its forward determines what is needed.
        prepared: what is called in its place (DDP); by default the network.
        arguments: of its forward, besides the image.
        on_cpu: batches may stay on the CPU, as the call copies what the network needs.

    Raises:
        UserError: the forward takes no such argument.
    """

    def __init__(
        self,
        network: nn.Module,
        prepared: Callable[..., Any] | None = None,
        arguments: Mapping[str, Any] | None = None,
        *,
        on_cpu: bool = False,
    ) -> None:
        self.on_cpu = on_cpu
        self._name, self._call = type(network).__name__, prepared or network
        self.estimates: dict[str, str] = getattr(network, "estimates", {})
        """What the network returns after the image, in its order: name -> what of the sample it estimates."""
        arguments = arguments or {}
        self._sources = {name: value["from"] for name, value in arguments.items() if _is_source(value)}
        self._arguments = {name: value for name, value in arguments.items() if name not in self._sources}
        parameters = list(inspect.signature(network.forward).parameters.values())[1:]
        check_arguments(self._name, arguments, [parameter.name for parameter in parameters])
        conditioning: dict[str, str] = getattr(network, "conditioning", {})
        self._conditioning = {name: source for name, source in conditioning.items() if name not in arguments}
        self._needs = [p.name for p in parameters if p.default is p.empty and p.name not in arguments]

    def __call__(self, batch: Batch, **arguments: Any) -> Any:
        """What the network returns for the batch's lq.

        Raises:
            UserError: the batch lacks what the network requires.
        """
        return self._call(batch["lq"], **(self.arguments(batch) | arguments))

    def arguments(self, batch: Batch) -> dict[str, Any]:
        """All that the network is called with besides the image."""
        return self.inputs(batch) | self._arguments

    def inputs(self, batch: Batch) -> dict[str, Any]:
        """What the network requires of the batch besides the image or is conditioned on if the batch has it, and what
        the options have it take from there."""
        for name in self._needs:
            if name not in batch:
                source = f"; {_SOURCES[name]}" if name in _SOURCES else ""
                raise UserError(f"{self._name} needs {name} with each image and the data set gives none{source}")
        needed = {name: batch[name] for name in self._needs}
        conditions = {name: batch[source] for name, source in self._conditioning.items() if source in batch}
        return needed | conditions | {name: _found(name, source, batch) for name, source in self._sources.items()}


def _is_source(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"from"}


def _found(name: str, source: Any, batch: Batch) -> Any:
    if source in batch:
        return batch[source]
    if source in FINDERS:
        return FINDERS[source](middle(batch["lq"]))
    known = [*batch, *FINDERS]
    raise UserError(f"forward: {name}: nothing called {source!r}{nearest(source, known)}; there is {', '.join(known)}")


def dominant_qualities(images: Tensor) -> Tensor:
    """The JPEG quality factor that governs the damage of each image, see utils/codecs/jpeg_dominant.py.

    Args:
        images: (N, 1 or 3, H, W), of 8 bit, in [0, 1].

    Returns:
        (N, 1), on the images' device; NaN where there is no clear trace of one.
    """
    found = [dominant_quality(to_image(image)) for image in images]
    values = [[each.quality if each.trusted else float("nan")] for each in found]
    return torch.tensor(values, dtype=torch.float32, device=images.device)


FINDERS: dict[str, Callable[[Tensor], Tensor]] = {"dominant": dominant_qualities}
"""What can be found out about damaged images (N, C, H, W): name -> how."""


def check_arguments(network: str, arguments: Mapping[str, Any], known: list[str]) -> None:
    """Raise `UserError` for arguments that a network's forward does not take.

    Raises:
        UserError: naming the one nearest to it.
    """
    for name in arguments:
        if name not in known:
            raise UserError(
                f"forward: {network} takes no {name!r}{nearest(name, known)}; "
                f"besides the image it takes: {', '.join(known) or 'nothing'}"
            )


def middle(lq: Tensor) -> Tensor:
    """The frame that is enhanced: of windows (N, T, C, H, W) the middle one, (N, C, H, W); an image is itself."""
    return lq[:, lq.shape[1] // 2] if lq.ndim == 5 else lq


def image_of(output: Any) -> Tensor:
    """The image (N, C, H, W) in what a network returns, which may be followed by other results."""
    return output[0] if isinstance(output, tuple) else output
