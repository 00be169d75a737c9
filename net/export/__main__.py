"""Write a network as an ONNX file: python -m powerqe.net.export dncnn-bsds500-qf10

Pictures of any size, and any number of them, go through the file where the network allows. Before it is written,
onnxruntime's results are compared with PyTorch's. Inputs have the names of the forward's arguments, outputs are image
and, estimated_..., what the network says beside it. What the network may be told but can do without (qf of FBCNN,
DRUNet) is an input that can be left out.
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from powerqe.net.export.onnx_file import OPSET, TOLERANCE, OnnxFile, export
from powerqe.net.export.source import Source
from powerqe.utils.errors import UserError, command
from powerqe.utils.parser import Parser

_EPILOG = """\
examples:
  python -m powerqe.net.export fbcnn-bsds500-color                     any size; qf can be given
  python -m powerqe.net.export mdsr.safetensors --set scale=3          one of its enlargements
  python -m powerqe.net.export rbqe-bsds500-jpeg --set exit=4          one of its exits; without, the pictures of all
  python -m powerqe.net.export official.pth --network '{type: FBCNN, in_channels: 1}'

to run the file in Python, without PyTorch:
  import cv2, numpy as np, onnxruntime
  session = onnxruntime.InferenceSession("dncnn-bsds500-qf10.onnx")
  x = cv2.imread("photo.jpg")[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255
  y = session.run(["image"], {"x": x})[0]
  cv2.imwrite("better.png", (255 * y[0].clip(0, 1)).round().astype(np.uint8).transpose(1, 2, 0)[:, :, ::-1])"""


@command
def main() -> None:
    """Do what the arguments say."""
    args = _parser().parse_args()
    arguments = dict(args.set)
    output = args.output or Path(f"{Path(args.weights).stem}.onnx")
    _check_output(output, args.force)
    source = Source.of(args.weights, args.network)
    print(f"{source.spec['type']} of {source.name}: exporting and comparing ...", flush=True)
    start = time.monotonic()
    written = export(
        source.network,
        output,
        size=args.size,
        arguments=arguments,
        metadata=source.metadata(arguments),
        opset=args.opset,
        tolerance=args.tolerance,
    )
    print(summary(written, args.tolerance), f"({time.monotonic() - start:.0f} s)", sep="\n")


def summary(written: OnnxFile, tolerance: float) -> str:
    """What the file is, a line each."""
    axes = {name: " x ".join(map(str, each)) for name, each in {**written.inputs, **written.outputs}.items()}
    optional = dict.fromkeys(written.optional, ", may be left out")
    return "\n".join(
        [
            f"{written.path}: {written.path.stat().st_size:,} bytes",
            *(f"  in   {name}: {axes[name]}{optional.get(name, '')}" for name in written.inputs),
            *(f"  out  {name}: {axes[name]}" for name in written.outputs),
            *([f"  one size: {written.fixed}"] if written.fixed else []),
            f"largest differences of onnxruntime from PyTorch, on the CPU; up to {tolerance:g} is allowed:",
            *(f"  {difference}" for difference in written.differences),
        ]
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(__doc__, epilog=_EPILOG)
    add = parser.add_argument
    add("weights", metavar="NAME|PATH", help="weights by name (python -m powerqe.net.weights list names all), or a file: ours, "
        "a training checkpoint, or the official one of a method")  # fmt: skip
    add("-o", "--output", type=Path, metavar="FILE", help="the file to write (default: NAME.onnx here)")
    add("--force", action="store_true", help="write over a file that is there")
    add("--network", type=_mapping, metavar="YAML", help="the network, as in an option file, of weights that do not "
        "tell it, such as official ones")  # fmt: skip
    add("--size", type=_size, metavar="WxH", help="make the file for pictures of this width and height only: some "
        "networks need it, some programs run such files faster (default: any size)")  # fmt: skip
    add("--set", type=_setting, nargs="+", action="extend", default=[], metavar="ARG=VALUE", help="fix an argument of "
        "the network's forward in the file, such as scale=3 of MDSR, exit=0 of RBQE or qf=20 of FBCNN")  # fmt: skip
    add("--opset", type=int, default=OPSET, metavar="N", help="version of ONNX's operators, for a program that knows "
        "only older ones (default: %(default)s)")  # fmt: skip
    add("--tolerance", type=float, default=TOLERANCE, metavar="T", help="largest difference from PyTorch with which "
        "the file is written, as a part of the largest value, at least of 1; 0.004 is a gray level of 8 bits "
        "(default: %(default)s)")  # fmt: skip
    return parser


def _check_output(output: Path, force: bool) -> None:
    if output.is_dir():
        raise UserError(f"{output} is a folder; -o takes the name of a file")
    if output.exists() and not force:
        raise UserError(f"{output} is there already; choose another name with -o, or write over it with --force")
    folder = next(each for each in output.absolute().parents if each.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise UserError(f"nothing can be written in {folder}; choose another place with -o")


def _mapping(text: str) -> dict[str, Any]:
    value = _yaml(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected {{type: NAME, ...}}")
    return value


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected ARG=VALUE")
    return name, _yaml(value)


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise argparse.ArgumentTypeError(f"{text!r} is no valid YAML") from None


def _size(text: str) -> tuple[int, int]:
    """Height and width."""
    found = re.fullmatch(r"([1-9]\d*)[xX]([1-9]\d*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected WIDTHxHEIGHT such as 640x480")
    return int(found[2]), int(found[1])


if __name__ == "__main__":
    sys.exit(main())
