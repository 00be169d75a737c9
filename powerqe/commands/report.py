"""Compare tested experiments in one HTML page, which needs no other file and no network.

The folders are those of experiments that `powerqe test` has tested. The page has tables (methods x qualities, with the
differences from the compressed images), plots, and crops of all methods side by side. The tables are written beside it
as Markdown and LaTeX. Experiments whose names differ in the quality only (arcnn-qf10, arcnn-qf20) are one method. The
page stays below about 10 MB.
"""

import argparse
from pathlib import Path

EXAMPLES = ("%(prog)s exp/arcnn-bsds500-qf10 exp/dncnn-bsds500-qf10 -o report.html",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Experiments, and what the page is called."""
    add = parser.add_argument
    add("experiments", nargs="+", type=Path, metavar="FOLDER", help="folders of tested experiments, exp/<name>")
    add("-o", "--output", type=Path, default=Path("report.html"), metavar="FILE", help="the page; the tables are "
        "written beside it with the endings .md and .tex (default: %(default)s)")  # fmt: skip
    add("--title", default="Comparison of experiments", metavar="TEXT", help="heading of the page (default: "
        "%(default)s)")  # fmt: skip
    add("--metric", nargs="+", default=[], metavar="NAME", help="compare these metrics only, as results.json calls "
        "them; plots and crops are of the first (default: all)")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Write the page and the tables; say where they are and what they leave out."""
    from powerqe.evaluation.report.build import build_report

    for note in build_report(args.experiments, args.output, args.title, args.metric):
        print(f"note: {note}")
    page: Path = args.output
    print(f"{page} ({page.stat().st_size / 1e6:.1f} MB), {page.with_suffix('.md').name} and "
          f"{page.with_suffix('.tex').name} beside it")  # fmt: skip
