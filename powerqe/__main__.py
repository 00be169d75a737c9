"""`python -m powerqe`: the command `powerqe`, also without installation."""

from typing import NoReturn

from powerqe.cli import main
from powerqe.utils.launcher import leave


def run() -> NoReturn:
    """Run the command and exit."""
    leave(main())


if __name__ == "__main__":
    run()
