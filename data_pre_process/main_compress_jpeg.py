"""Compress images with JPEG (4:2:0, baseline): data/SOURCE -> data/TARGET/qf<QF>."""

import sys
from collections.abc import Sequence

if not __package__:
    import run_from_checkout  # noqa: F401

from powerqe.data_pre_process.compress import compress
from powerqe.utils.codecs import JPEG
from powerqe.utils.errors import command


@command
def main(argv: Sequence[str] | None = None) -> None:
    compress(JPEG, argv)


if __name__ == "__main__":
    sys.exit(main())
