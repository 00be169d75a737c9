"""How strong the damage of JPEG is, as networks are conditioned on it: 1 - QF / 100."""

import torch
from torch import Tensor

from powerqe.utils.errors import UserError

UNKNOWN = -1
"""The quality of a sample if it is unknown, see `powerqe.dataset.samples.Sample`."""


def severities(network: str, qf: Tensor | float | None, unknown: Tensor) -> Tensor:
    """(100 - QF) / 100 of the quality factors that a network is conditioned on.

    Args:
        network: its name, in messages.
        qf: 0 ... 100, one for each image, (N,) or (N, 1), or one for all. None, or -1 or NaN for one of the images: it
            is not known.
        unknown: what is taken then, (N, 1), or a map (N, 1, H, W).

    Returns:
        As `unknown`.

    Raises:
        UserError: there are not as many qf as images, or one on the host is not between 0 and 100; on another device
            such a one gives NaN.
    """
    if qf is None:
        return unknown
    try:
        factors = torch.as_tensor(qf, dtype=unknown.dtype).reshape(-1, *[1] * (unknown.ndim - 1))
    except (TypeError, ValueError):
        raise UserError(f"{network}: found qf {qf!r}, expected quality factors of 0 to 100") from None
    count, images = factors.shape[0], unknown.shape[0]
    if count not in (1, images):
        raise UserError(f"{network}: found {count} values of qf for {images} images, expected one or one for each")
    is_unknown = factors.isnan() | (factors == UNKNOWN)
    # There are no values yet during export or compilation.
    if not torch.compiler.is_compiling():
        is_wrong = ((factors < 0) | (factors > 100)) & ~is_unknown
        if factors.device.type == "cpu" and is_wrong.any():
            raise UserError(f"{network}: found qf {factors.flatten().tolist()}, expected quality factors of 0 to 100")
        factors = factors.masked_fill(is_wrong, float("nan"))  # of a batch on a GPU, for which no training step waits
    return torch.where(*(value.to(unknown.device) for value in (is_unknown, unknown, 1 - factors / 100)))
