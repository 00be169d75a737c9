"""--device, --memory, --amp: where and how networks compute."""

import argparse
from typing import TYPE_CHECKING

from powerqe.arguments.types import number
from powerqe.utils.errors import UserError

if TYPE_CHECKING:
    import torch

    from powerqe.inference.model import Applying

_GIB = number(1e-3, 1e6, "a number of GiB")


def add_device(parser: argparse.ArgumentParser, purpose: str = "where to compute") -> None:
    """Add --device."""
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto",
                        help=f"{purpose}; auto is the GPU if there is one (default: auto)")  # fmt: skip


def add_inference(parser: argparse.ArgumentParser) -> None:
    """Add --device, --memory and --amp."""
    add_device(parser)
    add = parser.add_argument
    add("--memory", type=_gib, metavar="GIB", help="memory for the feature maps of the network, in GiB; images come "
        "on top, 35 bytes for each pixel of the largest, and the frames of a video that the network sees at once and "
        "some 10 more (default: half of what is free on the device)")  # fmt: skip
    add("--amp", action="store_true", help="compute in bfloat16: faster on GPUs, pixels may differ by one step or two")


def chosen_device(device: str) -> "torch.device":
    """The device that --device names.

    Raises:
        UserError: no such device.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU; leave --device out, or use cpu")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def inference_settings(args: argparse.Namespace) -> "Applying":
    """How networks are to be applied; `args` may have tile, qf and self_ensemble, too.

    Raises:
        UserError: no such device.
    """
    from powerqe.inference.model import Applying
    from powerqe.inference.within_memory import default_bound

    device = chosen_device(args.device)
    more = {name: vars(args)[name] for name in ("tile", "qf", "self_ensemble") if name in args}
    return Applying(device, args.memory or default_bound(device), amp=args.amp, **more)


def _gib(text: str) -> int:
    """In bytes."""
    return max(1, int(_GIB(text) * 2**30))
