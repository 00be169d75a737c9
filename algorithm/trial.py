"""A trial before the first step: whether network, losses and data fit, told in one line and not after hours."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from powerqe.algorithm.distributed import check_used, name_of
from powerqe.algorithm.losses import check_shapes
from powerqe.algorithm.phase import Algorithm
from powerqe.dataset.loader import Batch, collate, to_device
from powerqe.dataset.samples import Draw, ImageDataset
from powerqe.evaluation.evaluate import Enhance, home
from powerqe.inference.forward import image_of
from powerqe.utils.errors import UserError
from powerqe.utils.memory import is_out_of_memory
from powerqe.utils.seed import rng_state, set_rng_state


def trial_batch(dataset: ImageDataset, size: int) -> Batch:
    """A batch of random samples of a data set, the same on every rank.

    Raises:
        UserError: a sample cannot be read.
    """
    return collate([dataset[Draw(number % len(dataset), seed=number)] for number in range(size)])


def try_phases(
    algorithm: Algorithm,
    batch: Batch,
    steps: tuple[int, ...],
    contexts: Callable[[nn.Module], AbstractContextManager[object]],
) -> None:
    """Losses and gradients of the phases of some steps, after which everything is as before.

    Args:
        batch: on the device.
        steps: iterations whose phases are tried.
        contexts: makes the context of a phase, from its network: precision, and no exchange of gradients.

    Raises:
        UserError: network and data do not fit, or several ranks train a network that does not use all parameters.
    """
    phases = {phase.name: phase for step in steps for phase in algorithm.phases(step)}
    with _unchanged(algorithm):
        for phase in phases.values():
            with _explained(name_of(phase.network), "dataset.train", batch), contexts(phase.network):
                phase.loss(batch).total.backward()
            check_used(phase.network)
            _forget_gradients(algorithm)


@torch.inference_mode()
def try_validation(enhance: Enhance, dataset: ImageDataset, device: torch.device, name: str) -> None:
    """Apply a network, which has a name, to the first image of a validation set.

    Raises:
        UserError: it cannot take the image, or returns one of another size than gt.
    """
    batch = to_device(collate([dataset[0]]), home(enhance, device))
    try:
        with _explained(name, "dataset.val", batch):
            result = image_of(enhance(batch))
            if "gt" in batch:
                check_shapes(result, batch["gt"])
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):  # which costs a validation, but no training
            raise


@contextmanager
def _unchanged(algorithm: Algorithm) -> Iterator[None]:
    """Random numbers, statistics and gradients are afterwards what they were."""
    random = rng_state()
    buffers = [buffer for network in algorithm.networks.values() for buffer in network.buffers()]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        set_rng_state(random)
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)
        _forget_gradients(algorithm)


def _forget_gradients(algorithm: Algorithm) -> None:
    for network in algorithm.networks.values():
        network.zero_grad()


@contextmanager
def _explained(name: str, data: str, batch: Batch) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise
        images = {key: value for key, value in batch.items() if isinstance(value, Tensor) and value.ndim >= 4}
        shapes = ", ".join(f"{key} {'x'.join(map(str, value.shape))}" for key, value in images.items())
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        raise UserError(f"{name} and {data} ({shapes}) do not fit: {reason} (--debug shows where)") from error
