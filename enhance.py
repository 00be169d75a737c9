"""Enhance images and videos: `powerqe enhance` as a script of the checkout."""

from powerqe.cli import script
from powerqe.utils.launcher import leave

main = script("enhance")

if __name__ == "__main__":
    leave(main())
