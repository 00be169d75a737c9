"""A network in tests and validations, its results in agreement with the JPEG files of their images."""

from typing import Any

import torch

from powerqe.dataset.loader import Batch
from powerqe.inference.consistency import Consistency, JPEGFile, consistent
from powerqe.inference.forward import Forward
from powerqe.utils.errors import UserError
from powerqe.utils.image.tensors import to_image


class ConsistentForward(Forward):
    """As `Forward`, and then `consistent`.

    Args:
        mode: see `consistent`.
        forward: those of `Forward`.
    """

    def __init__(self, mode: Consistency, *forward: Any, **named: Any) -> None:
        super().__init__(*forward, **named)
        self._mode: Consistency = mode

    def __call__(self, batch: Batch, **arguments: Any) -> Any:
        """What the network returns for the batch's lq, its image in agreement with the batch's file.

        Raises:
            UserError: the batch lacks what the network requires, or the files.
        """
        if "file" not in batch:
            raise UserError(
                "consistency: needs the JPEG files of whole images; DegradedImages and DoubleJPEGImages with codec "
                "JPEG have them, and PairedImages where lq is a folder of JPEG files"
            )
        output = super().__call__(batch, **arguments)
        images, *others = output if isinstance(output, tuple) else (output,)
        images = images.float()
        files = (JPEGFile(data, to_image(lq)) for data, lq in zip(batch["file"], batch["lq"], strict=True))
        found = [consistent(file, image[None], self._mode)[0] for file, image in zip(files, images, strict=True)]
        return (torch.cat(found), *others) if others else torch.cat(found)
