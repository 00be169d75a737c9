"""Compress images with HEVC intra coding (x265, 4:2:0, no other program needed): data/SOURCE -> data/TARGET/qp<QP>."""

import sys
from collections.abc import Sequence

if not __package__:
    import run_from_checkout  # noqa: F401

from powerqe.data_pre_process.compress import compress
from powerqe.utils.codecs.hevc import HEVC
from powerqe.utils.errors import command


@command
def main(argv: Sequence[str] | None = None) -> None:
    compress(HEVC, argv)


if __name__ == "__main__":
    sys.exit(main())
