"""Enhance images in a web page served on this machine: drop an image, compare before and after, download the result."""

import argparse
import os
import sys

from powerqe.arguments.inference import add_inference, inference_options
from powerqe.arguments.types import number
from powerqe.utils.errors import Interrupted

_LOCAL = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add weights, address and limits."""
    add = parser.add_argument
    add("--weights", metavar="NAME|PATH", help="initially selected weights, by name (see `powerqe weights "
        "list`) or path (default: selected for each image by its quality and colors)")  # fmt: skip
    add("--port", type=int, metavar="N", help="port (default: the first free one from 7860)")
    add("--host", default=_LOCAL, metavar="ADDRESS", help="address to listen on; 0.0.0.0 gives all machines of the "
        "network access, without a password (default: %(default)s, this machine only)")  # fmt: skip
    add("--max-file", type=number(0.1, 1e4, "a number of MB"), default=32.0, metavar="MB",
        help="maximum file size in megabytes (default: %(default)g)")  # fmt: skip
    add("--max-megapixels", type=number(1e-3, 1e3, "a number of megapixels"), default=24.0, metavar="N",
        help="maximum image size in megapixels (default: %(default)g)")  # fmt: skip
    add("--max-total", type=number(1, 1e6, "a number of MB"), default=1024.0, metavar="MB",
        help="maximum size of all files on the server together, in megabytes; they are deleted after an hour "
        "(default: %(default)g)")  # fmt: skip
    add("--allowed-host", action="append", default=[], metavar="NAME", dest="allowed_hosts", help="a name under which "
        "browsers may address the server, such as that of a proxy before it; can be repeated")  # fmt: skip
    add("--browser", action="store_true", help="open the page in a browser")
    add_inference(parser)


def run(args: argparse.Namespace) -> None:
    """Serve the page until SIGINT (Ctrl-C), SIGTERM or SIGHUP."""
    from powerqe.inference.demo.server import serve

    try:
        serve(
            inference_options(args),
            weights=args.weights,
            host=args.host,
            port=args.port,
            max_file=args.max_file,
            max_megapixels=args.max_megapixels,
            max_total=args.max_total,
            allowed_hosts=args.allowed_hosts,
            browser=args.browser,
        )
    except Interrupted as stop:
        # Python's own end would abort if a network is still running in a thread.
        print("interrupted", file=sys.stderr, flush=True)
        os._exit(128 + stop.number)
