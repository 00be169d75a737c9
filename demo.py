"""Enhance pictures in a web page: python demo.py, then open the address that it prints."""

import sys

from powerqe.inference.demo.server import parser, serve
from powerqe.utils.errors import command


@command
def main() -> None:
    """Serve the page until Ctrl-C."""
    serve(parser().parse_args())


if __name__ == "__main__":
    sys.exit(main())
