"""Link the images of all qualities of a codec into one folder, as STEM-QUALITY, for blind training."""

import argparse

from powerqe.arguments.data_scripts import add_data_arguments
from powerqe.arguments.shard import check_alone, refuse_shard
from powerqe.arguments.types import positive

EXAMPLES = ("%(prog)s jpeg    # div2k/jpeg_ds_2/qf* -> div2k/jpeg_ds_2_combined",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add codec, data set and ratio, which determine the folder."""
    add_data_arguments(parser)
    refuse_shard(parser, "the links")
    add = parser.add_argument
    add("codec", help="codec, the first part of the folder name, for example hevc of hevc_ds_2")
    add("--dataset", default="div2k", help="data set, a folder in the data folder (default: %(default)s)")
    add("--ratio", type=positive, default=2, help="down-sampling ratio, the last part of the folder name "
        "(default: %(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Link images that are not linked yet."""
    check_alone("the links")
    from powerqe.data_pre_process.combine import combine

    source = args.data_root / args.dataset / f"{args.codec}_ds_{args.ratio}"
    combine(source, source.with_name(f"{source.name}_combined"), args)
