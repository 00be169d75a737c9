"""Write a network as an ONNX file.

Images of any size, and batches of them, go through the file where the network allows. Before it is written,
onnxruntime's results are compared with PyTorch's. Inputs have the names of the forward's arguments; outputs are image
and, as estimated_..., what the network estimates beside it. What can be given but need not be (qf of FBCNN and
DRUNet) is an optional input.
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
    "%(prog)s fbcnn-bsds500-color                     any size; qf can be given",
    "%(prog)s mdsr.safetensors --set scale=3          one of its enlargements",
    "%(prog)s rbqe-bsds500-jpeg --set exit=4          one of its exits; without it, the images of all",
    "%(prog)s official.pth --network '{type: FBCNN, in_channels: 1}'",
    "",
    "to run the file in Python, without PyTorch:",
    "import cv2, numpy as np, onnxruntime",
    'session = onnxruntime.InferenceSession("dncnn-bsds500-qf10.onnx")',
    'x = cv2.imread("photo.jpg")[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255',
    'y = session.run(["image"], {"x": x})[0]',
    'cv2.imwrite("better.png", (255 * y[0].clip(0, 1)).round().astype(np.uint8).transpose(1, 2, 0)[:, :, ::-1])',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Weights, the file, and what is fixed in it."""
    add = parser.add_argument
    add("weights", metavar="NAME|PATH", help="weights by name (`powerqe weights list` lists them), or a file: ours, a "
        "training checkpoint, or the official one of a method")  # fmt: skip
    add("-o", "--output", type=Path, metavar="FILE", help="the file to write (default: NAME.onnx here)")
    add("--force", action="store_true", help="overwrite a file that exists already")
    add("--network", type=_mapping, metavar="YAML", help="the network, as in an option file, of weights that do not "
        "record it, such as official ones")  # fmt: skip
    add("--size", type=width_and_height, metavar="WxH", help="make the file for images of this width and height only: "
        "some networks need it, some programs run such files faster (default: any size)")  # fmt: skip
    add("--set", type=_setting, nargs="+", action="extend", default=[], metavar="ARG=VALUE", help="fix an argument of "
        "the network's forward in the file, such as scale=3 of MDSR, exit=0 of RBQE or qf=20 of FBCNN")  # fmt: skip
    add("--opset", type=int, default=OPSET, metavar="N", help="version of ONNX's operators, for a program that knows "
        "only older ones (default: %(default)s)")  # fmt: skip
    add("--tolerance", type=float, default=TOLERANCE, metavar="T", help="largest difference from PyTorch with which "
        "the file is written, relative to the largest value, at least of 1; 0.004 is a gray level of 8 bits "
        "(default: %(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Load the network, export and compare it, say what the file has."""
    output = args.output or Path(f"{Path(args.weights).stem}.onnx")
    _check_output(output, args.force)

    from powerqe.inference.load import find_network
    from powerqe.net.export.onnx_file import export
    from powerqe.net.export.properties import properties

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


def _check_output(output: Path, force: bool) -> None:
    if output.is_dir():
        raise UserError(f"{output} is a folder; -o takes the name of a file")
    if output.exists() and not force:
        raise UserError(f"{output} exists already; choose another name with -o, or use --force to overwrite")
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
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise argparse.ArgumentTypeError(f"{text!r} is no valid YAML") from None
