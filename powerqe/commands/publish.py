"""Publish what an experiment has learnt: its weights, with a card that says where they come from and what they gain.

Writes weights/<experiment>.safetensors (the best checkpoint, its moving average if it has one, without the state of the
training), weights/index.json, by which the weights are found under the experiment's name, and the card
weights/<experiment>.md. Train and test the experiment before.
"""

import argparse

from powerqe.arguments.option_file import add_option_file, read_options

EXAMPLES = ("%(prog)s --opt opts/arcnn.yml --case bsds500-qf10",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--opt and the like, and where the file will be downloaded from."""
    add_option_file(parser)
    parser.add_argument("--url", metavar="URL", help="from where `powerqe weights fetch` gets the file, if it is not "
                        "kept with PowerQE")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Publish the experiment of an option file's case."""
    options = read_options(args)
    if options is None:
        return
    from powerqe.evaluation.publish import publish

    case = f" --case {args.case}" if args.case else ""
    path = publish(options, f"--opt {args.opt}{case}", args.url)
    print(f"{path} ({path.stat().st_size:,} bytes), its card {path.with_suffix('.md')} and its entry in the index")
