"""Deformable convolution: our compiled operator next to torchvision's, in the same run, by turns.

For each size and number of threads the forward pass, the backward pass (all five gradients) and both together as a
training step has them, in milliseconds of the clock, with torchvision's time over ours; then the memory that a pass
takes at most besides its arguments, its results included. On the CPU that is the peak of the resident memory of this
process, after all free memory was given back to the system; on CUDA what PyTorch's allocator counts. The last line is
the geometric mean over the sizes of STDF-R3 and of EDVR.

    python benchmarks/bench_dcn.py                                          # CPU, 1 and 2 threads
    python benchmarks/bench_dcn.py --device cuda --dtype float32 bfloat16   # GPU

torchvision has no bfloat16 on the CPU; there it computes in float32, from float32 arguments.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

if not __package__:
    import run_from_checkout  # noqa: F401

import torch
from torch import Tensor

from powerqe.benchmarks import common
from powerqe.net.ops.dcn import compiled, force_backend, status
from powerqe.utils.errors import UserError, command
from powerqe.utils.parser import Parser
from powerqe.utils.text_table import markdown, markdown_row

OURS, THEIRS = "ours", "torchvision"
PASSES = ("forward", "backward", "both")
_NO_STEPS = ([1, 1], [1, 1], [1, 1])
"""Stride, padding and dilation of all sizes; kernels are 3x3."""


class Case(NamedTuple):
    """A size that networks use."""

    batch: int
    channels: int
    offset_groups: int
    height: int
    width: int
    spread: float = 1.0
    """Standard deviation of the offsets, in pixels."""


CASES = {
    "stdf_r1 1x64x64": Case(1, 3, 3, 64, 64),
    "stdf_r3 8x64x64": Case(8, 7, 7, 64, 64),
    "stdf_r3 1x128x128": Case(1, 7, 7, 128, 128),
    "stdf_r3 1x128x128, offsets N(0,8)": Case(1, 7, 7, 128, 128, 8.0),
    "stdf_r3 4x128x128": Case(4, 7, 7, 128, 128),
    "stdf_r3 1x256x256": Case(1, 7, 7, 256, 256),
    "stdf_r3 1x240x416": Case(1, 7, 7, 240, 416),
    "edvr 1x64x64": Case(1, 64, 8, 64, 64),
    "edvr 4x64x64": Case(4, 64, 8, 64, 64),
    "edvr 1x128x128": Case(1, 64, 8, 128, 128),
    "edvr 1x128x128, offsets N(0,8)": Case(1, 64, 8, 128, 128, 8.0),
    "edvr 1x180x320": Case(1, 64, 8, 180, 320),
    "bvpp 1x64x64": Case(1, 128, 16, 64, 64),
}
IN_MEAN = ("stdf_r3", "edvr")


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser(__doc__)
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where to measure (default: %(default)s)"
    )
    types = ("float32", "float64", "float16", "bfloat16")
    parser.add_argument("--dtype", nargs="+", choices=types, metavar="TYPE", default=["float32"],
                        help=f"types of numbers to measure, of {', '.join(types)} (default: float32)")  # fmt: skip
    parser.add_argument("--threads", nargs="+", type=common.positive, metavar="N", default=[1, 2],
                        help="threads of the CPU, one table for each number (default: 1 2)")  # fmt: skip
    parser.add_argument(
        "--rounds",
        type=common.positive,
        default=5,
        metavar="N",
        help="turns that each operator has (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds", type=float, default=0.3, metavar="S", help="about how long a turn takes (default: %(default)s)"
    )
    parser.add_argument(
        "--cases", nargs="+", metavar="WORD", help="measure only sizes in whose name one of these words is"
    )
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU; leave it out to measure the CPU")
    if why_not := compiled.missing(args.device):
        raise UserError(f"our operator {why_not}")
    chosen = {name: case for name, case in CASES.items() if not args.cases or any(w in name for w in args.cases)}
    if not chosen:
        raise UserError(f"--cases: found {' '.join(args.cases)}, expected words of: {'; '.join(CASES)}")
    force_backend("compiled")
    print(_describe(args))
    for name in args.dtype:
        for threads in args.threads if args.device == "cpu" else [torch.get_num_threads()]:
            torch.set_num_threads(threads)
            where = f"{threads} thread(s)" if args.device == "cpu" else torch.cuda.get_device_name()
            print(f"\n### {name}, {where}\n", flush=True)
            _table(chosen, args, getattr(torch, name))


def _describe(args: argparse.Namespace) -> str:
    import torchvision

    return (
        f"{common.machine()}, torchvision {torchvision.__version__}; {status()}.\n64 output channels, 3x3, mask and "
        f"bias, offsets N(0,1). Medians of {args.rounds} turns of about {args.seconds:g} s (smallest to largest ratio)."
    )


# --------------------------------------------------------------------------- one size


class Workload:
    """The passes of one operator on one size.

    Args:
        dtype: of all tensors but offset and mask, which are float32 (float64 if `dtype` is).
    """

    def __init__(self, case: Case, dtype: torch.dtype, device: str, side: str) -> None:
        generator = torch.Generator().manual_seed(0)
        position = torch.float64 if dtype == torch.float64 else torch.float32
        if side == THEIRS:
            position = dtype  # torchvision has one type for all

        def normal(*sizes: int, of: torch.dtype = dtype) -> Tensor:
            return torch.randn(sizes, generator=generator).to(device, of)

        n, c, groups, h, w, spread = case
        self.input, self.weight, self.bias = normal(n, c, h, w), normal(64, c, 3, 3) / 20, normal(64)
        self.offset = (normal(n, 18 * groups, h, w, of=torch.float32) * spread).to(position)
        self.mask = normal(n, 9 * groups, h, w, of=torch.float32).sigmoid().to(position)
        self.grad = normal(n, 64, h, w)
        self.groups, self.side = groups, side

    def forward(self) -> Tensor:
        """(N, 64, H, W)"""
        if self.side == THEIRS:
            return torch.ops.torchvision.deform_conv2d(
                self.input, self.weight, self.offset, self.mask, self.bias, 1, 1, 1, 1, 1, 1, 1, self.groups, True
            )
        return torch.ops.powerqe.deform_conv2d(
            self.input, self.offset, self.mask, self.weight, self.bias, *_NO_STEPS, 1, self.groups, False
        )

    def backward(self) -> Sequence[Tensor]:
        """The five gradients."""
        if self.side == THEIRS:
            return torch.ops.torchvision._deform_conv2d_backward(
                self.grad, self.input, self.weight, self.offset, self.mask, self.bias,
                1, 1, 1, 1, 1, 1, 1, self.groups, True,
            )  # fmt: skip
        return torch.ops.powerqe.deform_conv2d_backward(
            self.grad, self.input, self.offset, self.mask, self.weight,
            *_NO_STEPS, 1, self.groups, [True] * 5, False, False,
        )  # fmt: skip

    def both(self) -> None:
        """Through autograd."""
        leaves = [self.input, self.offset, self.mask, self.weight, self.bias]
        for leaf in leaves:
            leaf.requires_grad_()
        torch.autograd.grad(self.forward(), leaves, self.grad)
        for leaf in leaves:
            leaf.requires_grad_(False)


def _table(cases: dict[str, Case], args: argparse.Namespace, dtype: torch.dtype) -> None:
    header = ["", *(title for name in PASSES for title in (f"{name}: ours, ms", "torchvision, ms", "ratio"))]
    header += [
        title for name in ("extra memory forward", "backward") for title in (f"{name}: ours, MB", "torchvision, MB")
    ]
    print(markdown([header], 1), end="")
    means: dict[str, list[float]] = {name: [] for name in PASSES}
    for name, case in cases.items():
        lacks = dtype == torch.bfloat16 and args.device == "cpu"
        own = Workload(case, dtype, args.device, OURS)
        peer = Workload(case, torch.float32 if lacks else dtype, args.device, THEIRS)
        cells = []
        for a_pass in PASSES:
            row, ratio = _compare(getattr(own, a_pass), getattr(peer, a_pass), args)
            cells += row
            if name.startswith(IN_MEAN):
                means[a_pass].append(ratio)
        for a_pass in PASSES[:2]:
            cells += [f"{common.extra_memory(getattr(side, a_pass), args.device) / 1e6:,.1f}" for side in (own, peer)]
        print(markdown_row([name, *cells]), flush=True)
    if all(means.values()):
        found = [f"{math.exp(sum(map(math.log, ratios)) / len(ratios)):.1f}" for ratios in means.values()]
        cells = [cell for ratio in found for cell in ("", "", ratio)]
        print(markdown_row([f"geometric mean of {' and '.join(IN_MEAN)}", *cells, *[""] * 4]))


def _compare(own: Callable[[], Any], peer: Callable[[], Any], args: argparse.Namespace) -> tuple[list[str], float]:
    sides = {OURS: _repeated(own, args.device), THEIRS: _repeated(peer, args.device)}
    turns = common.take_turns(sides, args.rounds, args.seconds)
    ours, theirs = ([1000 * turn.wall / turn.count for turn in turns[side]] for side in (OURS, THEIRS))
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    middle = median(ratios)
    spread = f"{middle:.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
    return [f"{median(ours):.2f}", f"{median(theirs):.2f}", spread], middle


def _repeated(work: Callable[[], Any], device: str) -> common.Side:
    def times(count: int) -> None:
        for _ in range(count):
            work()
        if device == "cuda":
            torch.cuda.synchronize()

    return common.timed(times)


if __name__ == "__main__":
    sys.exit(main())
