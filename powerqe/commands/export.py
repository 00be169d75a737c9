"""Export a network to ONNX.

The file accepts images of any size and batches of them, if the network does. Before it is written, the outputs of
onnxruntime are compared with those of PyTorch. Inputs are named as the arguments of the network's forward; outputs are
image and estimated_... for other estimates of the network. Optional arguments (qf of FBCNN and DRUNet) are optional
inputs.
"""

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powerqe.arguments.types import width_and_height
from powerqe.utils.errors import UserError

if TYPE_CHECKING:
    from powerqe.net.export import OnnxFile

OPSET, TOLERANCE = 20, 1e-4
EXAMPLES = (
    "%(prog)s fbcnn-bsds500-color                     any size; optional input qf",
    "%(prog)s mdsr.safetensors --set scale=3          one of its scales",
    "%(prog)s rbqe-bsds500-jpeg --set exit=4          one of its exits; by default the outputs of all",
    "%(prog)s official.pth --network '{type: FBCNN, in_channels: 1}'",
    "",
    "To run the file in Python without PyTorch:",
    "import cv2, numpy as np, onnxruntime",
    'session = onnxruntime.InferenceSession("restore-color.onnx")',
    'x = cv2.imread("photo.jpg")[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255',
    'y = session.run(["image"], {"x": x})[0]',
    'cv2.imwrite("better.png", (255 * y[0].clip(0, 1)).round().astype(np.uint8).transpose(1, 2, 0)[:, :, ::-1])',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add weights, output and fixed arguments."""
    add = parser.add_argument
    add("weights", metavar="NAME|PATH", help="weights by name (see `powerqe weights list`), or a file: published "
        "weights, a training checkpoint, or an official checkpoint")  # fmt: skip
    add("-o", "--output", type=Path, metavar="FILE", help="output file (default: NAME.onnx in the working folder)")
    add("--force", action="store_true", help="overwrite an existing file")
    add("--network", type=_mapping, metavar="YAML", help="the network as in an option file, if the weights do not "
        "determine it")  # fmt: skip
    add("--size", type=width_and_height, metavar="WxH", help="export for images of this width and height only, which "
        "some networks require and some runtimes execute faster (default: any size)")  # fmt: skip
    add("--set", type=_setting, nargs="+", action="extend", default=[], metavar="ARG=VALUE", help="fix an argument of "
        "the network's forward, such as scale=3 of MDSR, exit=0 of RBQE or qf=20 of FBCNN")  # fmt: skip
    add("--opset", type=int, default=OPSET, metavar="N", help="version of the ONNX operator set, for runtimes that do "
        "not support the default (default: %(default)s)")  # fmt: skip
    add("--tolerance", type=float, default=TOLERANCE, metavar="T", help="maximum difference from PyTorch, relative to "
        "the largest absolute value or 1, above which no file is written; 0.004 is one 8-bit level (default: "
        "%(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Export the network, compare the outputs and print a summary."""
    output = args.output or Path(f"{Path(args.weights).stem}.onnx")
    _check_output(output, args.force)

    from powerqe.inference.load import find_network
    from powerqe.net.export.onnx_file import export, properties

    source = find_network(args.weights, args.network)
    print(f"{source.method} of {source.name}: exporting and comparing ...", flush=True)
    start = time.monotonic()
    arguments = dict(args.set)
    written = export(
        source.build(),
        output,
        size=args.size and args.size[::-1],
        arguments=arguments,
        metadata=properties(source.name, source.spec, source.card, arguments),
        opset=args.opset,
        tolerance=args.tolerance,
    )
    print(summary(written, args.tolerance), f"({time.monotonic() - start:.0f} s)", sep="\n")


def summary(written: "OnnxFile", tolerance: float) -> str:
    """Size, inputs, outputs and differences, one per line."""
    axes = {name: " x ".join(map(str, each)) for name, each in {**written.inputs, **written.outputs}.items()}
    optional = dict.fromkeys(written.optional, ", optional")
    return "\n".join(
        [
            f"{written.path}: {written.path.stat().st_size:,} bytes",
            *(f"  in   {name}: {axes[name]}{optional.get(name, '')}" for name in written.inputs),
            *(f"  out  {name}: {axes[name]}" for name in written.outputs),
            *([f"  one size: {written.fixed}"] if written.fixed else []),
            f"maximum differences between onnxruntime and PyTorch on the CPU (tolerance {tolerance:g}):",
            *(f"  {difference}" for difference in written.differences),
        ]
    )


def _check_output(output: Path, force: bool) -> None:
    if output.is_dir():
        raise UserError(f"-o: {output} is a folder, expected the name of a file")
    if output.exists() and not force:
        raise UserError(f"{output} exists already; choose another name with -o, or use --force to overwrite")
    folder = next(each for each in output.absolute().parents if each.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise UserError(f"cannot write to {folder}; choose another folder with -o")


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
    from powerqe.utils.options.plain_yaml import read_yaml

    return read_yaml(text, repr(text[:80]))
