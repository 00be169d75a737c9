"""Compare tested experiments in one self-contained HTML page.

The page has tables (methods x qualities, with the gain over the compressed images), plots, and crops of all methods
side by side, and is smaller than about 10 MB. The tables are also written as Markdown and LaTeX. Experiments whose
names differ only in quality (arcnn-qf10, arcnn-qf20) are one method.
"""

import argparse
from pathlib import Path

EXAMPLES = ("%(prog)s exp/arcnn-bsds500-qf10 exp/dncnn-bsds500-qf10 -o report.html",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add experiments, output, title and metrics."""
    add = parser.add_argument
    add("experiments", nargs="+", type=Path, metavar="FOLDER", help="folders of experiments tested by `powerqe test`, "
        "exp/<name>")  # fmt: skip
    add("-o", "--output", type=Path, default=Path("report.html"), metavar="FILE", help="output file; the tables "
        "are written to the same folder with the suffixes .md and .tex (default: %(default)s)")  # fmt: skip
    add("--title", default="Comparison of experiments", metavar="TEXT", help="title of the page (default: "
        "%(default)s)")  # fmt: skip
    add("--metric", nargs="+", default=[], metavar="NAME", help="compare these metrics only, by their names in "
        "results.json; the first is used for plots and crops (default: all)")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Write the page and the tables."""
    from powerqe.evaluation.report.report_files import build_report

    for note in build_report(args.experiments, args.output, args.title, args.metric):
        print(f"note: {note}")
    page: Path = args.output
    print(f"{page} ({page.stat().st_size / 1e6:.1f} MB), {page.with_suffix('.md').name} and "
          f"{page.with_suffix('.tex').name} next to it")  # fmt: skip
