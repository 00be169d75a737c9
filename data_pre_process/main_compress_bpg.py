"""Compress images with BPG (4:2:0) by the programs of libbpg: data/SOURCE -> data/TARGET/qp<QP>."""

import sys
from collections.abc import Sequence

if not __package__:
    import run_from_checkout  # noqa: F401

from powerqe.data_pre_process.compress import compress
from powerqe.utils.codecs.bpg import BPG
from powerqe.utils.errors import command


@command
def main(argv: Sequence[str] | None = None) -> None:
    compress(BPG, argv, folder="folder of the programs bpgenc and bpgdec (libbpg)")


if __name__ == "__main__":
    sys.exit(main())
