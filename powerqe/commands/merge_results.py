"""Merge the results of the shards of a test to the tables of the whole test.

Each machine writes exp/NAME/results.<i>-of-<n>.json by `powerqe test --shard i/n`. All of them are needed, once, and of
the same options and weights.
"""

import argparse
from pathlib import Path

EXAMPLES = (
    "%(prog)s exp/arcnn-div2k-qf10 -o exp/arcnn-div2k-qf10",
    "%(prog)s node*/results.*-of-3.json -o exp/arcnn-div2k-qf10",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add parts and output."""
    add = parser.add_argument
    add("parts", nargs="+", type=Path, metavar="PART", help="files results.<i>-of-<n>.json, or folders with them")
    add("-o", "--output", required=True, type=Path, metavar="OUT", help="folder for the tables, such as that of the "
        "experiment")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Merge the parts, write the tables and print that of the whole test."""
    from powerqe.evaluation.partial_results import merge
    from powerqe.utils.log import start_log

    start_log(None)
    print(merge(args.parts, args.output).to_terminal())
