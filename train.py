"""Train the network of an option file: `powerqe train` as a script of the checkout."""

from powerqe.cli import script
from powerqe.utils.launcher import leave

main = script("train")

if __name__ == "__main__":
    leave(main())
