"""Samples to batches to the device. Images stay uint8 until they are there."""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from powerqe.dataset.sampler import TrainSampler
from powerqe.dataset.samples import Draw, ImageDataset, Sample
from powerqe.utils.errors import UserError
from powerqe.utils.image.io import use_one_thread
from powerqe.utils.signals import held_back, leave_to_parent
from powerqe.utils.work_ahead import work_ahead

if TYPE_CHECKING:
    from powerqe.utils.options.tree import TrainData

IMAGES = ("lq", "gt", "clean")
READERS = 4
"""Threads that read whole images ahead of their use."""
_LONGEST_SOCKET = (107 if sys.platform == "linux" else 103) - len("/pymp-12345678/listener-12345678")
"""Bytes of the folder in the name of a socket (sun_path of unix(7), without its last 0)."""

Batch = dict[str, Any]
"""What `collate` makes of samples: images as (N, C, H, W), numbers as tensors, names as lists."""


def collate(samples: Sequence[Sample]) -> Batch:
    """Put samples together: images uint8 (N, C, H, W), clips (N, T, C, H, W), name and group lists, quality int64 (N,).

    has_quality says whether that is known of all samples, so that nobody waits for the device to learn it.

    If all samples have them, the images gt and clean, tables float32 (N, 1 or 2, 8, 8), the list file, and the scale, a
    number, that they share; of videos the list sequence, frame and peak int64 (N,). The images stay in HWC order in
    memory; `to_device` changes that where it costs nothing.

    Raises:
        UserError: images of different sizes.
    """
    batch: Batch = {
        "name": [sample["name"] for sample in samples],
        "group": [sample["group"] for sample in samples],
        "quality": torch.tensor([sample["quality"] for sample in samples]),
        "has_quality": all(sample["quality"] >= 0 for sample in samples),
    }
    for key in IMAGES:
        images = [image for sample in samples if (image := sample.get(key)) is not None]
        if len(images) == len(samples):
            batch[key] = torch.from_numpy(_stack(images, batch["name"])).movedim(-1, -3)
    tables = [sample["tables"] for sample in samples if "tables" in sample]
    if len(tables) == len(samples):  # a mixture may have some without
        batch["tables"] = torch.from_numpy(np.stack(tables))
    files = [sample["file"] for sample in samples if "file" in sample]
    if len(files) == len(samples):
        batch["file"] = files
    if "scale" in samples[0]:
        batch["scale"] = samples[0]["scale"]
    if "sequence" in samples[0]:
        batch["sequence"] = [sample["sequence"] for sample in samples if "sequence" in sample]
        batch["frame"] = torch.tensor([sample["frame"] for sample in samples if "frame" in sample])
        batch["peak"] = torch.tensor([sample["peak"] for sample in samples if "peak" in sample])
    return batch


def _stack(images: list[np.ndarray], names: list[str]) -> np.ndarray:
    for image, name in zip(images, names, strict=True):
        if image.shape != images[0].shape:
            raise UserError(
                f"{names[0]} has {images[0].shape[-2]}x{images[0].shape[-3]} pixels and {name} "
                f"{image.shape[-2]}x{image.shape[-3]}: they cannot share a batch; set patch, or bs_pg: 1"
            )
    return np.stack(images)


def to_device(
    batch: Batch,
    device: torch.device,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Batch:
    """The batch on the device, images as float32 in [0, 1]; the bytes travel, the conversion is done there.

    Clips become contiguous whatever the memory format, which is one of images.
    """
    ready = {
        key: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) and key not in IMAGES else value
        for key, value in batch.items()
    }
    for key in IMAGES:
        if key in batch:
            image = batch[key].to(device, non_blocking=True)
            order = memory_format if image.ndim == 4 else torch.contiguous_format
            ready[key] = image.to(torch.float32, memory_format=order).div_(255)
    return ready


def train_batches(
    dataset: ImageDataset,
    data: "TrainData",
    *,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
    start: int = 0,
    device: torch.device,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Iterator[Batch]:
    """Endless training batches of one rank on the device, the next one being prepared meanwhile.

    Args:
        dataset: what to draw from.
        data: bs_pg, nworker_pg and enlarge_ratio.
        seed: decides order and crops together with rank and world size; the number of workers does not.
        rank, world_size: this process and how many there are.
        start: batches that this rank has had already; they are skipped by arithmetic.
        device: where the batches go.
        memory_format: of the images there.

    Raises:
        UserError: at once, when the data set is smaller than a batch; later, when a sample cannot be read.
    """
    sampler = TrainSampler(
        len(dataset),
        data.bs_pg,
        enlarge_ratio=data.enlarge_ratio,
        seed=seed,
        rank=rank,
        world_size=world_size,
        start=start,
    )
    loader = make_loader(dataset, sampler, data.nworker_pg, pin_memory=device.type == "cuda")
    return _prefetched(_unwrapped(loader), device, memory_format)


def eval_batches(
    dataset: ImageDataset,
    rank: int = 0,
    world_size: int = 1,
    device: torch.device = torch.device("cpu"),  # noqa: B008 - immutable
    *,
    ahead: bool = False,
) -> Iterator[Batch]:
    """Whole images in batches of one: rank, rank + world_size, ..., each exactly once over all ranks.

    Args:
        ahead: threads read the next `READERS` images meanwhile, of videos one, as windows have frames in common. Else
            an image is read when it is asked for.
    """
    readers = (1 if hasattr(dataset, "sequences") else READERS) if ahead else 0
    indices = range(rank, len(dataset), world_size)
    for batch in work_ahead(lambda index: collate([dataset[index]]), indices, readers):
        yield to_device(batch, device)


def make_loader(
    dataset: ImageDataset,
    sampler: TrainSampler,
    workers: int,
    *,
    pin_memory: bool = False,
    context: str | None = None,
) -> DataLoader:
    """A DataLoader whose items are batches, or the `UserError` that a worker met.

    Args:
        workers: processes; 0 loads in this one.
        pin_memory: for copies to a CUDA device that do not block.
        context: how worker processes start ("fork", "spawn"); by default as Python does.

    Raises:
        UserError: the name of the temporary folder is too long for workers.
    """
    if workers:
        _check_temporary_folder()
    return DataLoader(
        _Batches(dataset),
        sampler=sampler,
        batch_size=None,  # an item of the sampler is a whole batch already
        collate_fn=_as_it_is,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
        multiprocessing_context=context if workers else None,
        generator=torch.Generator(),  # so that starting workers takes nothing from the global generator
    )


def _check_temporary_folder() -> None:
    """Workers send batches through sockets in it; if their names are too long, the training would wait for ever."""
    folder = tempfile.gettempdir()
    room = _LONGEST_SOCKET - len(os.fsencode(folder))
    if room < 0 and os.name != "nt":
        raise UserError(
            f"the name of the temporary folder {folder} is {-room} bytes too long for worker processes; set TMPDIR to "
            "another one, such as /tmp, or dataset.train.nworker_pg=0"
        )


class _Batches(Dataset):
    """A list of draws -> a batch. A mistake of the user comes back as a value, for DataLoader would wrap
    an exception's message in the traceback of the worker."""

    def __init__(self, dataset: ImageDataset) -> None:
        self._dataset = dataset

    def __getitem__(self, draws: list[Draw]) -> Batch | UserError:
        try:
            return collate([self._dataset[draw] for draw in draws])
        except UserError as error:
            return error


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(_worker: int) -> None:
    leave_to_parent()
    torch.set_num_threads(1)
    use_one_thread()


def _unwrapped(loader: DataLoader) -> Iterator[Batch]:
    with held_back():
        items = iter(loader)  # which starts the workers
    try:
        for item in items:
            if isinstance(item, UserError):
                raise item
            yield item
    finally:
        del items  # which ends the workers, also if the error is kept: at exit they would be waited for


def _prefetched(batches: Iterator[Batch], device: torch.device, memory_format: torch.memory_format) -> Iterator[Batch]:
    """Batches on the device. On CUDA each is copied on a side stream while the step before it is computed."""
    if device.type != "cuda":
        for batch in batches:
            yield to_device(batch, device, memory_format)
        return
    stream = torch.cuda.Stream(device)
    waiting: tuple[Batch, torch.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(stream):
            following = to_device(batch, device, memory_format), stream.record_event()
        if waiting is not None:
            yield _handed_over(*waiting, device)
        waiting = following


def _handed_over(batch: Batch, ready: torch.Event, device: torch.device) -> Batch:
    """Let the computing stream wait for the copy, and the memory live until that stream is done with it."""
    current = torch.cuda.current_stream(device)
    current.wait_event(ready)
    for value in batch.values():
        if isinstance(value, torch.Tensor):
            value.record_stream(current)
    return batch
