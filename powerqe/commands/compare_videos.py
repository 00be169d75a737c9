"""Compare experiments tested on videos.

For each test set and quality, the table has the number of parameters, speed and PSNR of every experiment and the PSNR
of the compressed videos, as means over sequences. Experiments whose names differ only in quality (stdf-qp32,
stdf-qp37) are one method. Methods with four or more qualities get BD-rates relative to the compressed videos: the
change of bit rate at equal PSNR in percent, negative for savings.
"""

import argparse
from pathlib import Path

EXAMPLES = ("%(prog)s exp/mfqe-sample-qp37 exp/stdf-sample-qp37",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add experiments and output."""
    parser.add_argument("experiments", nargs="+", type=Path, metavar="FOLDER", help="folders of experiments tested on "
                        "videos, such as exp/stdf-sample-qp37")  # fmt: skip
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables to this Markdown file")


def run(args: argparse.Namespace) -> None:
    """Print the tables."""
    from powerqe.evaluation.video_comparison import collect
    from powerqe.utils.files import write_text

    table = collect(args.experiments)
    if args.markdown:
        write_text(args.markdown, table.to_markdown())
    print(table.to_terminal())
