"""Measure early exit: RBQE with and without its quality module, and the module against a loop over patches.

Three tables: operations and time of the network per exit; time of the quality module for one image against that of an
equivalent loop over patches, by turns; for images of several qualities the exits that the module selects, and their
cost including the module, against the last exit, which is the cost without early exit. Milliseconds are CPU time.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

if not __package__:
    import run_from_checkout  # noqa: F401

import torch
import torch.nn.functional as F
from torch import Tensor

from powerqe.benchmarks import common
from powerqe.inference.load import find_network
from powerqe.net.rbqe import RBQE
from powerqe.net.tchebichef import polynomials
from powerqe.utils.codecs import JPEG
from powerqe.utils.errors import UserError, command
from powerqe.utils.memory import keep_freed_memory
from powerqe.utils.text_table import markdown

MODULE, LOOP = "quality module", "loop over patches"


@command
@torch.inference_mode()
def main(argv: Sequence[str] | None = None) -> None:
    parser = common.parser(__doc__, peer=False)
    parser.set_defaults(size="512x512", count=4, rounds=3)
    parser.add_argument("--weights", type=Path, metavar="FILE", help="weights of RBQE (default: an untrained network)")
    parser.add_argument(
        "--features",
        type=common.positive,
        metavar="N",
        default=64,
        help="width of the network without --weights (default: %(default)s)",
    )
    parser.add_argument("--qf", type=int, nargs="+", default=[10, 20, 30, 40, 50], metavar="Q",
                        help="JPEG quality factors (default: 10 20 30 40 50)")  # fmt: skip
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as the tester does
    network = _network(args.weights, args.features)
    clean = [image for _, image in common.photographs(args.images, args.count, args.size)]
    qualities = {qf: [_tensor(JPEG().compress(image, qf)[0]) for image in clean] for qf in args.qf}
    images = next(iter(qualities.values()))
    print(_describe(args, network))
    print(f"\n## Exits\n\n{_exits(network, images[0], args.rounds)}", flush=True)
    judged = network(images[0], exit=0)  # neither clamped nor rounded, like the module's input
    print(f"\n## Quality module\n\n{_module(network, judged, args)}", flush=True)
    print(f"\n## Early exit\n\n{_early(network, qualities, args.rounds)}", flush=True)


def _network(weights: Path | None, features: int) -> RBQE:
    """The network of a weights file, or an untrained one, which returns its input."""
    found = find_network(weights or {"type": "RBQE", "num_features": features})
    torch.manual_seed(0)
    network = found.build()
    if not isinstance(network, RBQE):
        raise UserError(f"{weights} is of {found.method}; give weights of RBQE")
    return network


def _tensor(image: Any) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def _describe(args: argparse.Namespace, network: RBQE) -> str:
    origin = args.weights.name if args.weights else "untrained: it returns its input"
    return (
        f"{common.machine()}.\n{args.threads} thread(s), {args.rounds} rounds (medians), {args.count} photographs of "
        f"{args.size[0]}x{args.size[1]}. RBQE, {sum(p.numel() for p in network.parameters()):,} parameters "
        f"({origin}), threshold {network.quality.threshold:g}."
    )


# --------------------------------------------------------------------------- the network


def _cpu_ms(work: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """The median time of the work, and its result."""
    times, result = [], None
    for _ in range(rounds):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return 1000 * median(times), result


def _exits(network: RBQE, image: Tensor, rounds: int) -> str:
    rows = [["exit", "thousand MACs per pixel", "ms"]]
    for number, macs in enumerate(network.macs_per_pixel()):
        taken, _ = _cpu_ms(lambda number=number: network(image, exit=number), rounds)
        rows.append([str(number), f"{macs / 1000:,.1f}", f"{taken:,.1f}"])
    return markdown(rows, 1).rstrip()


def _early(network: RBQE, qualities: dict[int, list[Tensor]], rounds: int) -> str:
    direct, judged = network.macs_per_pixel(), network.macs_per_pixel(judged=True)
    last = len(direct) - 1
    numbers = " / ".join(map(str, range(last + 1)))
    last_exit = ["last exit: thousand MACs per pixel", "last exit: ms"]
    rows = [["", f"images per exit {numbers}", "thousand MACs per pixel", "ms", "ms of the module", *last_exit]]
    for qf, images in qualities.items():
        exits, auto, module, full = [], [], [], []
        for image in images:
            taken, (_, chosen) = _cpu_ms(lambda image=image: network.enhance(image), rounds)
            exits.append(int(chosen))
            auto.append(taken)
            judgment, _ = _cpu_ms(lambda image=image: network.quality(image), 10 * rounds)
            module.append(judgment * min(exits[-1] + 1, last))
            full.append(_cpu_ms(lambda image=image: network(image, exit=last), rounds)[0])
        counts = " / ".join(str(exits.count(number)) for number in range(last + 1))
        macs = mean(judged[number] for number in exits) / 1000
        with_module = [f"{macs:,.1f}", f"{mean(auto):,.1f}", f"{mean(module):.1f}"]
        rows.append([f"QF {qf}", counts, *with_module, f"{direct[last] / 1000:,.1f}", f"{mean(full):,.1f}"])
    return markdown(rows, 1).rstrip()


# --------------------------------------------------------------------------- the module and the loop


def _module(network: RBQE, image: Tensor, args: argparse.Namespace) -> str:
    quality = network.quality
    loop = PatchLoop(quality.size, quality.offset)
    sides = {MODULE: _repeated(lambda: quality(image)), LOOP: _repeated(lambda: loop(image[0, 0]))}
    turns = common.take_turns(sides, args.rounds, args.seconds)
    taken = {name: 1000 / median(turn.per_cpu_second for turn in own) for name, own in turns.items()}
    scores = f"{float(quality(image)):.6f}, {loop(image[0, 0]):.6f}"
    return (
        f"{common.table('images', turns, LOOP)}\n\n"
        f"One image: {taken[MODULE]:.2f} ms and {taken[LOOP]:,.0f} ms; scores {scores}."
    )


def _repeated(work: Callable[[], Any]) -> common.Side:
    def times(count: int) -> None:
        for _ in range(count):
            work()

    return common.timed(times)


class PatchLoop:
    """The score of rule "python", one patch after the other: the plain implementation.

    Args:
        size: side of the patches.
        offset: rows and columns before the first patch.
    """

    def __init__(self, size: int, offset: int) -> None:
        self.size, self.offset = size, offset
        self.table = polynomials(size).round(decimals=4).float()
        row = torch.exp(-torch.tensor([1.0, 0.0, 1.0]) / 50)
        blur = torch.outer(row, row)
        self.blur = (blur / blur.sum())[None, None]

    def __call__(self, channel: Tensor) -> float:
        """(H, W) -> the score."""
        smooth, textured = [], []
        rows, columns = (side // self.size - 1 for side in channel.shape)
        for row in range(rows):
            for column in range(columns):
                top, left = self.offset + row * self.size, self.offset + column * self.size
                self._judge(channel[top : top + self.size, left : left + self.size], smooth, textured)
        halves = [mean(scores) if scores else 1.0 for scores in (smooth, textured)]
        return halves[0] ** 0.9 * halves[1] ** 0.1

    def _judge(self, patch: Tensor, smooth: list[float], textured: list[float]) -> None:
        if patch.min() == patch.max():
            smooth.append(1.0)
            return
        moments = self._moments(patch)
        if moments.square().sum() - moments[0, 0] ** 2 > 0.004:
            others = self._moments(F.conv2d(patch[None, None], self.blur, padding=1)[0, 0])
            alike = (2 * moments * others + 1e-5) / (moments.square() + others.square() + 1e-5)
            textured.append(1 - float(alike.mean()))
            return
        total = moments.abs().sum()
        shares = [
            float(line.abs().sum() / total - moments[0, 0].abs() + 1e-5) for line in (moments[-1], moments[:, -1])
        ]
        share = sum(share if share <= 0.05 else 0.05 for share in shares) / 2
        smooth.append(math.log(1 - share) / math.log(1 - 0.05))

    def _moments(self, patch: Tensor) -> Tensor:
        patch = patch / patch.norm()
        return self.table @ (patch - patch.mean()) @ self.table.T


if __name__ == "__main__":
    sys.exit(main())
