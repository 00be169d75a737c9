"""Publish the weights of a trained and tested experiment, with a card of its training and results.

Writes weights/<experiment>.safetensors (the best checkpoint, its moving average if there is one, without the training
state) and the card weights/<experiment>.md, and updates weights/index.json, so that the weights are available under the
name of the experiment.
"""

import argparse

from powerqe.arguments.option_file import add_option_file, read_options

EXAMPLES = ("%(prog)s --opt opts/arcnn.yml --case bsds500-qf10",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option file, the URL and the precision."""
    add_option_file(parser)
    parser.add_argument(
        "--url",
        metavar="URL",
        help="URL from which `powerqe weights fetch` downloads the file, if it is not in the repository",
    )
    parser.add_argument("--half", action="store_true", help="store 16-bit instead of 32-bit floating-point numbers, "
                        "half the file size")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Publish the experiment."""
    options = read_options(args)
    if options is None:
        return
    from powerqe.evaluation.publish import publish

    case = f" --case {args.case}" if args.case else ""
    path = publish(options, f"--opt {args.opt}{case}", args.url, half=args.half)
    print(f"{path} ({path.stat().st_size:,} bytes), card {path.with_suffix('.md')}, index updated")
