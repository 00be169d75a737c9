"""Link the images of all qualities of a codec, as STEM-QUALITY, into one folder for blind training."""

import argparse

from powerqe.arguments.data_scripts import add_data_arguments
from powerqe.arguments.types import positive

EXAMPLES = ("%(prog)s jpeg    # div2k/jpeg_ds_2/qf* -> div2k/jpeg_ds_2_combined",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Codec, data set and ratio, which name the folder."""
    add_data_arguments(parser)
    add = parser.add_argument
    add("codec", help="codec, the first part of the folder's name: hevc for hevc_ds_2")
    add("--dataset", default="div2k", help="data set: a folder of the data folder (default: %(default)s)")
    add("--ratio", type=positive, default=2, help="ratio of the down-sampling, the last part of the folder's name "
        "(default: %(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Link what is missing."""
    from powerqe.data_pre_process.combine import combine

    source = args.data_root / args.dataset / f"{args.codec}_ds_{args.ratio}"
    combine(source, source.with_name(f"{source.name}_combined"), args)
