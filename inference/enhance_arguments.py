"""The command line of enhance.py."""

import argparse
from pathlib import Path
from typing import Literal

import torch

from powerqe.inference.model import Applying
from powerqe.inference.within_memory import default_bound
from powerqe.utils.errors import UserError
from powerqe.utils.parser import Parser

_EPILOG = """examples:
  python enhance.py photo.jpg                         enhanced/photo.png, by weights that suit the file
  python enhance.py photos 'more/*.jpg' -o out        whole folders with their tree, and patterns
  python enhance.py photo.jpg -o better.jpg --compare a file by name, and a picture of before | after
  python enhance.py photo.png --qf 20                 remove what JPEG of quality 20 would have done
  python enhance.py clip.mp4 --crf 18                 enhanced/clip.mp4 with its sound, small enough for watching
  python enhance.py Foo_416x240_50.yuv                raw video: enhanced/Foo_416x240_50.yuv

Of a video every frame is enhanced. Size, frame rate, time stamps, colors, rotation and sound stay; the result is
lossless, that is large, unless --crf is given: mp4 of an mp4, raw of a raw one, mkv of any other, or as -o says.

exit status: 0, all files are enhanced; 1, some are not, each with a line that says why; 2, nothing was done, because
the command is not right"""


LONGEST_PERIOD = 250
"""Frames; so many have to be kept in memory until the next of peak quality comes."""


def parser() -> Parser:
    """The arguments, each with what it means."""
    made = Parser("Enhance pictures and videos that a codec damaged.", epilog=_EPILOG)
    add = made.add_argument
    add("inputs", nargs="+", metavar="FILE", help="pictures, videos, folders (searched to the bottom) or patterns in "
        "quotes")  # fmt: skip
    add("-o", "--output", type=Path, metavar="OUT", help="folder of the results, which keep the tree of a folder; for "
        "one file also the name of its result (default: enhanced/)")  # fmt: skip
    add("--weights", metavar="NAME|PATH", help="weights by name (python -m powerqe.net.weights list names all) or by path "
        "(default: for each file those that gained most in their tests at its quality). Videos take those for "
        "pictures, too, frame by frame")  # fmt: skip
    add("--qf", type=_quality, metavar="Q", help="the quality factor, 0 to 100, to restore for, of networks that can "
        "be told one (FBCNN); lower removes more (default: as the network estimates it)")  # fmt: skip
    add("--tile", type=_tile, default="auto", metavar="auto|N|off", help="see large pictures in tiles: auto, if the "
        "network's maps would not fit into --memory; N, always with this side in pixels, halved if that does not fit; "
        "off, never. The result is that of the whole picture; networks that follow motion come near it (default: "
        "auto)")  # fmt: skip
    add("--self-ensemble", action="store_true", help="take the mean over eight flips and transpositions of each "
        "picture: a little better, eight times the work")  # fmt: skip
    add_device(made)
    add("--compare", action="store_true", help="draw a picture beside each result, NAME.compare.png: before | after "
        "with enlarged crops where most has changed; of a video, of the frame in the middle")  # fmt: skip
    add("--format", choices=("png", "jpeg", "webp", "tiff", "same"), help="of the pictures; same is that of each file. "
        "What a format cannot hold (transparency, 16 bits) becomes PNG (default: png)")  # fmt: skip
    add("--crf", type=_crf, metavar="N", help="compress videos, by x265 with this constant rate factor, 0 to 51: small "
        "files for watching. 18 looks as good as lossless, 28 is small. For measuring leave it out: only without it "
        "the pixels are exactly the network's")  # fmt: skip
    add(
        "--pqf-period",
        type=_period,
        metavar="N",
        help="every N-th frame of the videos, from the first on, is one of "
        "peak quality: what MFQE has to know. Encoders with low delay make it every 4th or 8th (default: of weights "
        "that need it, the frames with a lower QP than their neighbors, by NAME.frames.json beside the video)",
    )
    add("--force", action="store_true", help="write over results that are there; else they are left alone")
    return made


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where and how networks compute."""
    add = parser.add_argument
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute; auto is the GPU if there "
        "is one (default: auto)")  # fmt: skip
    add("--memory", type=_gib, metavar="GIB", help="memory that the network's maps may take, in GiB; to it come the "
        "pictures, 35 bytes for each pixel of the largest, and the frames of a video that the network sees at once and "
        "some 10 more (default: half of what is free on the device)")  # fmt: skip
    add("--amp", action="store_true", help="compute in bfloat16: faster on GPUs, pixels may differ by one step or two")


def applying(args: argparse.Namespace) -> Applying:
    """How networks are to be applied.

    Raises:
        UserError: no such device.
    """
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no GPU is there that PyTorch can use; leave --device out, or give cpu")
    kind = "cuda" if args.device != "cpu" and torch.cuda.is_available() else "cpu"
    device = torch.device(kind)
    return Applying(device, args.memory or default_bound(device), args.tile, args.qf, args.self_ensemble, args.amp)


def _quality(text: str) -> float:
    return number(text, 0, 100, "a quality factor of 0 to 100")


def _crf(text: str) -> float:
    return number(text, 0, 51, "a constant rate factor of 0 to 51")


def _period(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LONGEST_PERIOD:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number of frames, 1 to {LONGEST_PERIOD}")
    return int(text)


def _gib(text: str) -> int:
    return max(1, int(number(text, 1e-3, 1e6, "a number of GiB") * 2**30))


def number(text: str, low: float, high: float, what: str) -> float:
    """An argument that is a number in a range; `what` says so in the message."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected {what}")
    return value


def _tile(text: str) -> int | Literal["auto", "off"]:
    if text == "auto" or text == "off":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected auto, off or a side in pixels")
    return int(text)
