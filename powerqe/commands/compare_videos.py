"""Compare tests on videos in one table.

For each test set and quality: every experiment with its parameters, speed and PSNR beside the compressed video's,
means over the sequences. Experiments whose names differ in the quality only (stdf-qp32, stdf-qp37) are one method. A
method with four qualities or more gets the BD-rate of each sequence with the compressed videos as anchor: the bits that
enhancement saves at equal PSNR, in percent, with a minus.
"""

import argparse
from pathlib import Path

EXAMPLES = ("%(prog)s exp/mfqe-sample-qp37 exp/stdf-sample-qp37",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Experiments, and where the tables go."""
    parser.add_argument("experiments", nargs="+", type=Path, metavar="FOLDER", help="experiments that were tested on "
                        "videos, such as exp/stdf-sample-qp37")  # fmt: skip
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables into this Markdown file, too")


def run(args: argparse.Namespace) -> None:
    """Read the results, print the tables."""
    from powerqe.evaluation.video_comparison import collect
    from powerqe.utils.files import atomic_path

    table = collect(args.experiments)
    if args.markdown:
        with atomic_path(args.markdown) as path:
            path.write_text(table.to_markdown(), encoding="utf-8")
    print(table.to_terminal())
