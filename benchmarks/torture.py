"""Kill, fill and damage: nothing is lost, and every mistake is one line.

Trainings are killed and stopped at random moments and resumed, disks get full, links between nodes are cut, and files
of all kinds are damaged. Counted are trainings that ended with the bits of an uninterrupted one, tracebacks (crashes,
too), hangs, temporary files that remain after the next start, and files written outside. Status 1 if there was a fault.
"""

import sys

if not __package__:
    import run_from_checkout  # noqa: F401

from powerqe.benchmarks.attacks.run import main

if __name__ == "__main__":
    sys.exit(main(description=__doc__))
