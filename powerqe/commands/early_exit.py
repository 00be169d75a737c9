"""Gain and computation of a network with early exits.

For each case, a table has the scores and operations of every exit and of automatic early exit on the test sets
(exp/<experiment>/exits.md). A plot of all cases shows mean PSNR gain and mean operations against the quality threshold
of early exit (exp/trade_off.png and .csv). The network runs once per image.
"""

import argparse

from powerqe.arguments.option_file import add_set, resolved
from powerqe.utils.errors import UserError

EXAMPLES = ("%(prog)s --opt opts/rbqe.yml --case bsds500-jpeg bsds500-hevc",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add cases and weights."""
    add = parser.add_argument
    add("--opt", required=True, metavar="FILE", help="option file of a network with early exits, such as "
        "opts/rbqe.yml")  # fmt: skip
    add("--case", required=True, nargs="+", metavar="NAME", help="cases of the file, one column of the plot each")
    add("--weights", nargs="+", default=[], metavar="FILE", help="weights by name or path, one per case (default: the "
        "best checkpoint of each experiment)")  # fmt: skip
    add_set(parser)


def run(args: argparse.Namespace) -> None:
    """Measure, print and plot the cases."""
    if args.weights and len(args.weights) != len(args.case):
        raise UserError(f"--weights: found {len(args.weights)} for {len(args.case)} cases, expected one per case")

    from powerqe.evaluation.early_exit import compare_exits

    overrides = [[f"test.ckp_load_path={file}"] for file in args.weights] or [[]] * len(args.case)
    experiments = [
        resolved(args.opt, case, [*args.set, *override]) for case, override in zip(args.case, overrides, strict=True)
    ]
    for text in compare_exits(experiments):
        print(text, flush=True)
