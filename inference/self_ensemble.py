"""Self-ensemble: the mean of what a network makes of an image's eight flips and transpositions ("+" in tables).

Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPR workshops 2017, section 3.4
(after Timofte et al., "Seven Ways to Improve Example-Based Single Image Super Resolution", CVPR 2016).
"""

from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from powerqe.net.blocks import to_multiple
from powerqe.net.forward_inputs import ForwardInputs, rebuilt, results

SYMMETRIES = 8
_BLOCK = 8


class SelfEnsemble:
    """A network, or whatever is called as one, that sees each image in eight orientations.

    It costs eight times the work. The mean is taken in float32 of what the network returns, before anything
    is clamped; the image is the first of several results, and the others are those of the image as it is.

    For networks conditioned on quantization tables the position of the JPEG blocks matters. Flipping leaves the tables
    unchanged, transposing transposes them; so that the grid begins at the corner in every orientation, the image is
    padded to whole blocks with its last row and column, as such networks and encoders do.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    @torch.no_grad()
    def __call__(self, image: Tensor, **named: Any) -> Any:
        """What the network returns for (N, C, H, W) or a clip (N, T, C, H, W), its image averaged."""
        arguments, height = ForwardInputs((image,), named), image.shape[-2]
        if "tables" in named:
            tables = named.pop("tables")
            arguments = arguments.changed(lambda like: to_multiple(like, _BLOCK))
        else:
            tables = None
        first: Any = None
        total: Tensor | None = None
        for symmetry in range(SYMMETRIES):
            seen = arguments.changed(lambda like, symmetry=symmetry: oriented(like, symmetry))
            if tables is not None:
                seen.named["tables"] = oriented(tables, symmetry & 4)
            output = self._call(*seen.positional, **seen.named)
            restored = original(results(output)[0].float(), symmetry)
            total = restored if total is None else total.add_(restored)
            first = output if symmetry == 0 else first
        assert total is not None
        scale = total.shape[-2] / arguments.image.shape[-2]
        mean = total.div_(SYMMETRIES)[..., : round(height * scale), : round(image.shape[-1] * scale)]
        return rebuilt(first, chain([mean], results(first)[1:]))


def oriented(image: Tensor, symmetry: int) -> Tensor:
    """One of the eight orientations of (..., H, W), numbered as in powerqe.utils.image.io: bit 1 mirrors left-right,
    then bit 2 up-down, then bit 4 swaps rows and columns."""
    flipped = image.flip([axis for axis, bit in ((-1, 1), (-2, 2)) if symmetry & bit])
    return flipped.transpose(-2, -1).contiguous() if symmetry & 4 else flipped


def original(image: Tensor, symmetry: int) -> Tensor:
    """Undo `oriented`."""
    straight = image.transpose(-2, -1) if symmetry & 4 else image
    return straight.flip([axis for axis, bit in ((-1, 1), (-2, 2)) if symmetry & bit])
