"""Test the network of an option file: `powerqe test` as a script of the checkout."""

from powerqe.cli import script
from powerqe.utils.launcher import leave

main = script("test")

if __name__ == "__main__":
    leave(main())
