"""`powerqe data create-graphics` as a script of the checkout."""

if not __package__:
    import run_from_checkout  # noqa: F401

from powerqe.cli import script
from powerqe.utils.launcher import leave

main = script("data", "create-graphics")

if __name__ == "__main__":
    leave(main())
