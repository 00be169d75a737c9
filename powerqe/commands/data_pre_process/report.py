"""Print PSNR, SSIM and bits per pixel of compressed images, as means over each folder, in Markdown."""

import argparse

from powerqe.arguments.data_scripts import add_data_root

EXAMPLES = ("%(prog)s div2k/raw_ds_2 div2k/jpeg_ds_2",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add folders, color and metrics."""
    add_data_root(parser)
    parser.add_argument("source", help="folder of clean images, inside the data folder, for example div2k/raw_ds_2")
    parser.add_argument(
        "compressed",
        nargs="+",
        help="folders of compressed images, inside the data folder: of one quality (div2k/jpeg_ds_2/qf10) or of all "
        "qualities (div2k/jpeg_ds_2)",
    )
    parser.add_argument(
        "--color",
        choices=("rgb", "y"),
        default="rgb",
        help="compare RGB, or luma (also for gray images) (default: %(default)s)",
    )
    parser.add_argument(
        "--metric",
        nargs="+",
        default=["PSNR", "SSIM"],
        metavar="NAME",
        help="metrics, see docs/options.md (default: PSNR SSIM)",
    )


def run(args: argparse.Namespace) -> None:
    """Print the table."""
    from powerqe.data_pre_process.compression_report import print_report

    print_report(args)
