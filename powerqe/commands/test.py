"""Test the network of an option file. Enhanced images and results are written to exp/<option file>-<case>/."""

import argparse

from powerqe.arguments.option_file import add_option_file, read_options
from powerqe.arguments.shard import add_shard

EXAMPLES = (
    "%(prog)s --opt opts/arcnn.yml --case div2k-qf10",
    "%(prog)s --opt opts/dncnn.yml --case bsds500-qf10 --set test.ckp_load_path=dncnn-bsds500-qf10",
    "%(prog)s --opt opts/fbcnn.yml --case div2k-color --weights fbcnn_color.pth",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option file and --weights."""
    add_option_file(parser)
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="test these weights, by name or path, with the network that they determine, on the data sets of the "
        "option file (default: the best checkpoint of the experiment, or test.ckp_load_path)",
    )
    add_shard(parser, "image or video")


def run(args: argparse.Namespace) -> None:
    """Test and print the table."""
    if args.weights:
        from powerqe.evaluation.tester import tested_as

        args.set += tested_as(args.weights)
    options = read_options(args)
    if options is None:
        return
    from powerqe.evaluation.agreement import agree_to_test
    from powerqe.evaluation.partial_results import partial_path
    from powerqe.evaluation.tester import test
    from powerqe.utils.log import start_log
    from powerqe.utils.ranks import start_ranks
    from powerqe.utils.shards import part_here

    shard = part_here(args.shard).shard
    with start_ranks(options.device, options.train.timeout) as ranks:
        start_log(None, ranks.is_main)
        agree_to_test(options, ranks)
        table = test(options, ranks, shard)
        if ranks.is_main and shard.count == 1:
            print(table.to_terminal())
        elif ranks.is_main:
            print(f"{shard.title}: {partial_path(options, shard)}; when all shards are done, merge them with `powerqe "
                  f"merge-results {options.folder} -o {options.folder}`")  # fmt: skip
