"""How near the results of published weights in bf16 or fp16 are to those in float32: the least PSNR over test images.

`powerqe enhance` takes a type by itself where this is 65 dB or more, see inference/precision.py. The images are those
of the option file and case of each weights' card, from the working folder. All images of LIVE1 as a whole take hours on
a CPU; --crop takes their middles, which shows less only by chance, as an error is local.

    python benchmarks/precision.py restore-color --group qf10
    python benchmarks/precision.py --crop 192 --index weights       # all weights; record it in weights/index.json
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

if not __package__:
    import run_from_checkout  # noqa: F401

import torch
from torch import Tensor

import powerqe.algorithm  # noqa: F401 - registers all components
from powerqe.dataset import build_dataset
from powerqe.dataset.loader import Batch, collate, to_device
from powerqe.inference.forward import Forward, image_of
from powerqe.inference.inference_options import find_device
from powerqe.inference.load import NetworkSource, find_network, published_networks
from powerqe.inference.precision import DataType, engine, prepared
from powerqe.net.weights import index
from powerqe.utils.errors import UserError, command
from powerqe.utils.options.tree import Options, load_options
from powerqe.utils.parser import Parser


@command
@torch.inference_mode()
def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("weights", nargs="*", metavar="NAME", help="weights by name (default: all that are here)")
    add("--precision", choices=("bf16", "fp16"), default="bf16", help="data type (default: %(default)s)")
    add("--device", default="cpu", help="device to compute on (default: %(default)s)")
    add("--group", nargs="+", metavar="NAME", help="qualities, such as qf10 (default: all of the test sets)")
    add("--count", type=int, metavar="N", help="of each weights, so many images alone (default: all)")
    add("--crop", type=int, metavar="PIXELS", help="side of the middle of each image, a multiple of 8 (default: whole)")
    add("--index", type=Path, metavar="FOLDER", help="record it in the index of this folder, and write its cards")
    args = parser.parse_args(argv)
    sources = [find_network(name) for name in args.weights] or published_networks()
    device = find_device(args.device)
    print(f"{engine(device)}: least PSNR of {args.precision} to fp32, and the median [dB]")
    for source in sources:
        options = _options(source)
        batches = islice(_batches(options, args.group), args.count)
        found = sorted(psnrs(source, (_middle(batch, args.crop) for batch in batches), args.precision, device, options))
        if not found:
            continue
        print(f"{source.name}: {found[0]:.1f}, {found[len(found) // 2]:.1f} ({len(found)} images)", flush=True)
        if args.index and source.card:
            known = {**source.card.precision, args.precision: round(found[0], 1)}
            index.publish(source.card.model_copy(update={"precision": known}), args.index)


def psnrs(
    source: NetworkSource, batches: Iterator[Batch], precision: DataType, device: torch.device, options: Options
) -> Iterator[float]:
    """Of each image, between the clamped results."""
    networks = [prepared(source.build(device), name) for name in ("fp32", precision)]
    applied = options.test.forward or {**getattr(networks[0], "applied", {})}
    exact, low = (Forward(network, arguments=applied) for network in networks)
    for batch in batches:
        there = to_device(batch, device)
        yield psnr(image_of(low(there)), image_of(exact(there)))


def psnr(image: Tensor, reference: Tensor) -> float:
    """Of images in [0, 1], in dB."""
    difference = image.double().clamp(0, 1) - reference.double().clamp(0, 1)
    return float(-10 * difference.square().mean().log10())


def _options(source: NetworkSource) -> Options:
    """Those of the test of its card."""
    if source.card is None or source.card.training.arguments is None:
        raise UserError(f"{source.name}: its card names no option file to test with")
    words = source.card.training.arguments.split()
    named = dict(zip(words[::2], words[1::2], strict=True))
    return load_options(named["--opt"], named["--case"])


def _batches(options: Options, groups: Sequence[str] | None) -> Iterator[Batch]:
    for name, spec in options.dataset.test.items():
        try:
            dataset = build_dataset(spec, f"dataset.test.{name}")
        except UserError as missing:
            print(missing)
            continue
        batches = (collate([dataset[number]]) for number in range(len(dataset)))
        yield from (batch for batch in batches if not groups or batch["group"][0] in groups)


def _middle(batch: Batch, side: int | None) -> Batch:
    """With the middle of the image alone, from a multiple of 8."""
    lq = batch["lq"]
    if side is None:
        return batch
    top, left = (max(0, length - side) // 2 // 8 * 8 for length in lq.shape[-2:])
    return {**batch, "lq": lq[..., top : top + side, left : left + side]}


if __name__ == "__main__":
    sys.exit(main())
