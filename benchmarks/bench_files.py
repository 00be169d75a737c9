"""From the command to the result: `powerqe enhance` of many files, and of one tiny file, in two or more checkouts.

The files are JPEG photographs of several qualities. A turn is a whole command in a process of its own, with all cores;
the checkouts take turns. The first checkout is what the others are compared with. For a tiny image, nearly all is
start-up: it is compared with `import torch`.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    import run_from_checkout  # noqa: F401

from powerqe.benchmarks import common
from powerqe.utils.codecs.pillow import encode
from powerqe.utils.errors import UserError, command

QUALITIES = (10, 20, 30, 40, 50, 75, 90)
PROGRESSIVE = 5
"""Every so many-th file is progressive."""
TORCH = "import torch"


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = common.parser(__doc__, peer=False)
    parser.set_defaults(count=40, size=(1224, 816), rounds=3)
    parser.add_argument("checkouts", nargs="+", type=Path, metavar="CHECKOUT", help="folders, such as worktrees of git")
    parser.add_argument("--options", default="", metavar="TEXT", help="further options of `powerqe enhance`")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for place, count, size in (("many", args.count, args.size), ("one", 1, (64, 64))):
            (folder / place).mkdir()
            for number, (name, image) in enumerate(common.photographs(args.images, count, size)):
                options = {"quality": QUALITIES[number % len(QUALITIES)], "progressive": number % PROGRESSIVE == 4}
                (folder / place / f"{name}.jpg").write_bytes(encode(image, "JPEG", **options))
        words = ["-m", "powerqe", "enhance", "--force", *args.options.split()]
        for place, count in (("many", args.count), ("one", 1)):
            sides = {str(path): (path.resolve(), [*words, place, "-o", f"{place}-out"]) for path in args.checkouts}
            if place == "one":
                sides = {TORCH: (folder, ["-c", TORCH]), **sides}
            turns: dict[str, list[common.Turn]] = {name: [] for name in sides}
            for _ in range(args.rounds):
                for name, (checkout, side) in sides.items():
                    turns[name].append(_turn(side, checkout, folder, count))
            size = args.size if place == "many" else (64, 64)
            print(f"{common.machine()}.\n{count} JPEG file(s) of {size[0]}x{size[1]}: python {' '.join(words)}\n")
            print(common.table("files", turns, next(iter(sides))), "\n", flush=True)


def _turn(words: Sequence[str], checkout: Path, folder: Path, count: int) -> common.Turn:
    """A command in a process of its own; the CPU time is that of the process and its children."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    start, before = time.perf_counter(), os.times()
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, os.times()
    if done.returncode:
        raise UserError(f"{checkout}: {(done.stderr.splitlines() or ['no output'])[-1]}")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return common.Turn(count, wall, spent)


if __name__ == "__main__":
    sys.exit(main())
