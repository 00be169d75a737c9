"""The registry of data sets, and what goes in and out of one."""

from typing import NamedTuple, Protocol, TypedDict

import numpy as np

from powerqe.utils.errors import UserError
from powerqe.utils.options.components import Component, build
from powerqe.utils.options.registry import Registry

DATASETS = Registry("dataset", package="powerqe.dataset")


class Draw(NamedTuple):
    """A request for one random training sample: everything random in it follows from `seed` (64 bits).

    What all samples of a batch must have in common follows from `batch`, which they share on every rank.
    """

    index: int
    seed: int
    batch: int = 0


class _Sample(TypedDict):
    lq: np.ndarray
    name: str
    group: str
    quality: int


class Sample(_Sample, total=False):
    """One sample.

    lq: uint8 (H, W, C), contiguous or a read-only view of a store; of a clip (T, H, W, C), oldest first. gt:
    likewise (scale H, scale W, C), of the clip's middle; absent without ground truth. name: unique in the data set,
    fit for a file name. group: the setting that the image was compressed with ("qf10"), "" if unknown. quality: its
    number, -1 if unknown.
    tables: the JPEG's quantization steps 1 ... 255, float32 (2, 8, 8), luma first; (1, 8, 8) of a gray image; in
    natural order. file: the JPEG file of a whole lq. clean: uint8 like lq, what lq was before it was compressed.
    scale: how much larger gt is.
    Of videos sequence: the name of the video; frame: its number there, from 0; peak: whether its quality is higher
    than that of its neighbors, 1 or 0, -1 if unknown.
    """

    gt: np.ndarray
    clean: np.ndarray
    tables: np.ndarray
    file: bytes
    scale: int
    sequence: str
    frame: int
    peak: int


class ImageDataset(Protocol):
    """A data set for the loader: an `int` gives a whole image, to several threads at once, a `Draw` a random patch."""

    def __len__(self) -> int: ...

    def __getitem__(self, request: int | Draw, /) -> Sample: ...


def build_dataset(spec: Component, key: str) -> ImageDataset:
    """Build a data set of the options.

    Raises:
        UserError: what is wrong, with the key ("dataset.val") under which the data set stands.
    """
    try:
        return build(spec)
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
