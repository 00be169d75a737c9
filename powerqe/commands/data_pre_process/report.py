"""Print PSNR, SSIM and bits per pixel of compressed images, means over each folder, in Markdown."""

import argparse

from powerqe.arguments.data_scripts import add_data_root

EXAMPLES = ("%(prog)s div2k/raw_ds_2 div2k/jpeg_ds_2",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folders that are compared, and how."""
    add_data_root(parser)
    parser.add_argument("source", help="folder of the clean images, inside the data folder: div2k/raw_ds_2")
    parser.add_argument(
        "compressed",
        nargs="+",
        help="folders, inside the data folder, of one quality (div2k/jpeg_ds_2/qf10) or of all of a codec's "
        "(div2k/jpeg_ds_2)",
    )
    parser.add_argument(
        "--color",
        choices=("rgb", "y"),
        default="rgb",
        help="what is compared: y for gray images and for the luma of RGB ones (default: %(default)s)",
    )
    parser.add_argument(
        "--metric",
        nargs="+",
        default=["PSNR", "SSIM"],
        metavar="NAME",
        help="metrics by their names in option files, see docs/options.md (default: PSNR SSIM)",
    )


def run(args: argparse.Namespace) -> None:
    """Print the table."""
    from powerqe.data_pre_process.compression_report import print_report

    print_report(args)
