"""--device, --memory, --precision: how networks are applied."""

import argparse
from typing import TYPE_CHECKING

from powerqe.arguments.types import number

if TYPE_CHECKING:
    import torch

    from powerqe.inference.inference_options import InferenceOptions

_MORE = ("tile", "qf", "self_ensemble", "consistency", "force_enhance")
_GIB = number(1e-3, 1e6, "a number of GiB")


def add_device(parser: argparse.ArgumentParser, purpose: str = "device to compute on") -> None:
    """Add --device."""
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda|mps|xpu",
                        help=f"{purpose}; auto: the GPU if there is one (default: auto)")  # fmt: skip


def add_inference(parser: argparse.ArgumentParser) -> None:
    """Add --device, --memory and --precision."""
    add_device(parser)
    add = parser.add_argument
    add("--memory", type=_gib, metavar="GIB", help="memory for the feature maps of the network, in GiB, in addition "
        "to that of the images: 35 bytes per pixel of the largest image; of one of 67 megapixels and more in tiles 3 "
        "(6 with --compare or for networks with means over the image), and 1 GiB for all else; for videos, the input "
        "frames of the network and about 10 more (default: half of the free memory of the device)")  # fmt: skip
    add("--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto", help="data type of the computation; "
        "auto: bf16 or fp16 if the device computes in it and the weights are known to give nearly the same (65 dB) as "
        "in fp32, else fp32. fp32 gives the pixels of `powerqe test` (default: auto)")  # fmt: skip


def chosen_device(device: str) -> "torch.device":
    """The device that --device names.

    Raises:
        UserError: no such device.
    """
    from powerqe.inference.inference_options import find_device

    return find_device(device)


def inference_options(args: argparse.Namespace) -> "InferenceOptions":
    """The options of inference; `args` may also have tile, qf, self_ensemble, consistency and force_enhance.

    Raises:
        UserError: no such device, or one that does not compute in the precision.
    """
    from powerqe.inference.inference_options import InferenceOptions

    more = {name: vars(args)[name] for name in _MORE if name in args}
    return InferenceOptions(args.device, args.memory, precision=args.precision, **more)


def _gib(text: str) -> int:
    """In bytes."""
    return max(1, int(_GIB(text) * 2**30))
