"""What a network with early exits gains and costs.

For each case a table of the test sets: the scores at every exit and with automatic early exit, with the operations that
each takes (exp/<experiment>/exits.md). For all cases together a figure with its numbers: mean gain of PSNR and mean
operations against the quality threshold of the early exit (exp/trade_off.png and .csv). The network runs once per
image; what another threshold would have chosen follows from the qualities at all exits.
"""

import argparse

from powerqe.arguments.option_file import add_set, resolved
from powerqe.utils.errors import UserError

EXAMPLES = ("%(prog)s --opt opts/rbqe.yml --case bsds500-jpeg bsds500-hevc",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Cases, and their weights."""
    add = parser.add_argument
    add("--opt", required=True, metavar="FILE", help="option file of a network with several exits, such as "
        "opts/rbqe.yml")  # fmt: skip
    add("--case", required=True, nargs="+", metavar="NAME", help="cases of the file to draw, one column for each")
    add("--weights", nargs="+", default=[], metavar="FILE", help="weights by path or name, one for each case (default: "
        "the best checkpoint of its experiment)")  # fmt: skip
    add_set(parser)


def run(args: argparse.Namespace) -> None:
    """Measure, print and draw the cases of an option file."""
    if args.weights and len(args.weights) != len(args.case):
        raise UserError(f"--weights: found {len(args.weights)} files for {len(args.case)} cases")

    from powerqe.evaluation.early_exit import compare_exits

    overrides = [[f"test.ckp_load_path={file}"] for file in args.weights] or [[]] * len(args.case)
    experiments = [
        resolved(args.opt, case, [*args.set, *override]) for case, override in zip(args.case, overrides, strict=True)
    ]
    for text in compare_exits(experiments):
        print(text, flush=True)
