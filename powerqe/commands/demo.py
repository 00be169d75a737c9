"""Enhance images in a web page, on this machine: drop one, compare before and after, download."""

import argparse

from powerqe.arguments.inference import add_inference, inference_options
from powerqe.arguments.types import number

_LOCAL = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Weights, the address, and what is accepted."""
    add = parser.add_argument
    add("--weights", metavar="NAME|PATH", help="weights that the page begins with, by name (`powerqe weights list` "
        "lists them) or by path (default: for each image those that suit it)")  # fmt: skip
    add("--port", type=int, metavar="N", help="port of the page (default: the first free one from 7860 on)")
    add("--host", default=_LOCAL, metavar="ADDRESS", help="address to listen at; 0.0.0.0 lets all machines of the "
        "network use the page, which asks for no password (default: %(default)s, this machine only)")  # fmt: skip
    add("--max-file", type=number(0.1, 1e4, "a number of MB"), default=32.0, metavar="MB",
        help="largest file that is accepted, in megabytes (default: %(default)g)")  # fmt: skip
    add("--max-megapixels", type=number(1e-3, 1e3, "a number of megapixels"), default=24.0, metavar="N",
        help="largest image that is accepted, in millions of pixels (default: %(default)g)")  # fmt: skip
    add("--browser", action="store_true", help="open the page in a browser once it is there")
    add_inference(parser)


def run(args: argparse.Namespace) -> None:
    """Serve the page until SIGINT (Ctrl-C) or SIGTERM."""
    from powerqe.inference.demo.server import serve

    serve(
        inference_options(args),
        weights=args.weights,
        host=args.host,
        port=args.port,
        max_file=args.max_file,
        max_megapixels=args.max_megapixels,
        browser=args.browser,
    )
