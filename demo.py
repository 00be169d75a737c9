"""Enhance images in a web page: `powerqe demo` as a script of the checkout."""

from powerqe.cli import script
from powerqe.utils.launcher import leave

main = script("demo")

if __name__ == "__main__":
    leave(main())
