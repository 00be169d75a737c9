"""`python -m powerqe`: the command `powerqe`, also in a checkout that is not installed."""

from typing import NoReturn

from powerqe.cli import main
from powerqe.utils.launcher import leave


def run() -> NoReturn:
    """The command, to the end of the process."""
    leave(main())


if __name__ == "__main__":
    run()
