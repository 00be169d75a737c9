"""Shared by the benchmarks: images, the process of the peer, alternating measurements, and the table.

Two programs are compared in one run by taking turns (A B A B ...): whatever else the machine is doing
disturbs both alike. A ratio is that of two neighboring turns; what is reported is the median over the
rounds, with the smallest and the largest. Besides the time of the clock, the CPU time of the process
counts (of all its threads): it is what a core of its own would give, and hardly feels other programs.
"""

import argparse
import gc
import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from powerqe.data_pre_process.quickstart import TEST, TRAIN, VALIDATION
from powerqe.dataset.store import write_store
from powerqe.utils.codecs import JPEG
from powerqe.utils.errors import UserError
from powerqe.utils.image.io import list_images, read_image, write_image
from powerqe.utils.machine import processor
from powerqe.utils.memory import trim_memory
from powerqe.utils.parser import Parser
from powerqe.utils.programs import ending
from powerqe.utils.text_table import markdown

PEER = Path(__file__).with_name("peer_basicsr.py")
QF = 10
ENLARGE = 1000
"""Repetitions of each image per epoch, for both programs, so that no epoch ends during a measurement."""


# --------------------------------------------------------------------------- command line


def parser(description: str | None, *, peer: bool = True) -> Parser:
    """A parser with the common arguments, and --peer-python if there is a peer."""
    made = Parser(description)
    if peer:
        made.add_argument(
            "--peer-python",
            type=Path,
            metavar="PYTHON",
            help="Python of an environment in which BasicSR is installed; without it only PowerQE is measured",
        )
    made.add_argument(
        "--images", type=Path, metavar="FOLDER", help="photographs to use (default: those in scikit-image)"
    )
    made.add_argument(
        "--count", type=positive, metavar="N", default=24, help="images in the data set (default: %(default)s)"
    )
    made.add_argument(
        "--size", type=pair, metavar="WxH", default="1020x678", help="size of the images (default: %(default)s)"
    )
    made.add_argument(
        "--threads", type=positive, metavar="N", default=1, help="threads of each program (default: %(default)s)"
    )
    made.add_argument(
        "--rounds", type=positive, metavar="N", default=5, help="number of turns of each program (default: %(default)s)"
    )
    made.add_argument(
        "--seconds", type=float, metavar="S", default=5.0, help="approximate duration of a turn (default: %(default)s)"
    )
    return made


def positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number of at least 1")
    return int(text)


def pair(text: str) -> tuple[int, int]:
    """Parse two positive numbers, 1020x678."""
    first, _, second = text.partition("x")
    return positive(first), positive(second)


# --------------------------------------------------------------------------- images


class Stores(NamedTuple):
    """Where the clean and the compressed images are, in the layout of one program."""

    gt: str
    lq: str


class Data(NamedTuple):
    """The images in the layouts of both programs."""

    ours: Stores
    theirs: Stores | None
    """None without --peer-python."""
    peer: str
    """The versions of the peer as text."""


def make_data(folder: Path, args: argparse.Namespace) -> Data:
    """Fill `folder` with raw LMDB stores for PowerQE and, with --peer-python, PNG ones for BasicSR.

    Both hold the same pixels: photographs, continued by reflection and cut to the size, and the same compressed by
    JPEG at quality factor 10. BasicSR's stores are made by its own tool from PNG files.

    Raises:
        UserError: an image cannot be read, or BasicSR cannot be run.
    """
    clean = dict(photographs(args.images, args.count, args.size))
    damaged = {name: JPEG().compress(image, QF)[0] for name, image in clean.items()}
    for kind, images in (("gt", clean), ("lq", damaged)):
        write_store(folder / f"{kind}-raw.lmdb", images.items())
    ours = Stores(str(folder / "gt-raw.lmdb"), str(folder / "lq-raw.lmdb"))
    if args.peer_python is None:
        return Data(ours, None, "BasicSR was not measured: give --peer-python")
    for kind, images in (("gt", clean), ("lq", damaged)):
        for name, image in images.items():
            write_image(folder / kind / f"{name}.png", image)
    theirs = Stores(str(folder / "gt.lmdb"), str(folder / "lq.lmdb"))
    with start_peer(args, folder, "lmdb", {"folders": [str(folder / "gt"), str(folder / "lq")], "stores": theirs}) as p:
        versions = "BasicSR {basicsr} with Python {python}, torch {torch}, NumPy {numpy}, OpenCV {opencv}"
        return Data(ours, theirs, versions.format(**p.about))


def photographs(folder: Path | None, count: int, size: tuple[int, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Names and uint8 RGB images, (width, height) large: those of the folder, or of scikit-image, continued by
    reflection and cut at random, again and again until there are `count`."""
    embedded = Path(str(files("skimage.data")))
    paths = list(list_images(folder).values()) if folder else [embedded / name for name in TRAIN + VALIDATION + TEST]
    width, height = size
    for number in range(count):
        photograph = read_image(paths[number % len(paths)])
        random = np.random.default_rng(number)
        top, left = random.integers(photograph.shape[0]), random.integers(photograph.shape[1])
        endless = np.pad(photograph, ((0, height), (0, width), (0, 0)), mode="symmetric")
        yield f"{number:04}", np.ascontiguousarray(endless[top : top + height, left : left + width])


# --------------------------------------------------------------------------- turns


class Turn(NamedTuple):
    """Number of repetitions and their time (wall-clock and CPU seconds)."""

    count: int
    wall: float
    cpu: float

    @property
    def per_second(self) -> float:
        """Rate by the clock."""
        return self.count / self.wall

    @property
    def per_cpu_second(self) -> float:
        """Rate by CPU time."""
        return self.count / self.cpu


Side = Callable[[int], Turn]
"""Repeats its work `count` times and returns the time."""


def timed(work: Callable[[int], None]) -> Side:
    """The side that does `work(count)` in this process."""

    def turn(count: int) -> Turn:
        wall, cpu = time.perf_counter(), time.process_time()
        work(count)
        return Turn(count, time.perf_counter() - wall, time.process_time() - cpu)

    return turn


def take_turns(sides: Mapping[str, Side], rounds: int, seconds: float) -> dict[str, list[Turn]]:
    """Let each side work in turn, `rounds` times, about `seconds` each time, after a warm-up."""
    counts = {name: _count(side, seconds) for name, side in sides.items()}
    turns: dict[str, list[Turn]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            turns[name].append(side(counts[name]))
    return turns


def _count(side: Side, seconds: float) -> int:
    """Warm a side up, and find how much it does in `seconds`."""
    count = 1
    while (turn := side(count)).wall < seconds / 3:
        count *= 2
    return max(1, round(turn.per_second * seconds))


# --------------------------------------------------------------------------- memory


def extra_memory(work: Callable[[], Any], device: str = "cpu", times: int = 3) -> float:
    """Bytes by which memory grows at most while it works; NaN where the system does not tell.

    On the CPU, the median of several times, as other threads and the system's own need of memory disturb single ones.
    """
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        return math.nan
    gc.collect()
    return median(_growth(work, reset) for _ in range(times))


def _growth(work: Callable[[], Any], reset: Path) -> int:
    trim_memory()  # or the work would use what was freed
    reset.write_text("5")
    before = _resident("VmRSS")
    work()
    return _resident("VmHWM") - before


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) * 1024


# --------------------------------------------------------------------------- the peer


class Peer:
    """BasicSR in its own process, which works on request and is idle in between."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log
        self.about: dict[str, Any] = self._answer()

    def side(self, task: str) -> Side:
        """The side that does one of the tasks of this process."""
        return lambda count: Turn(**self._order(f"{task} {count}"))

    def _order(self, order: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it ended; the missing answer raises below
            print(order, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return json.loads(line)
        log = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        reason = next((line.strip() for line in reversed(log) if line.strip()), "no output")
        status = ending(self._process.wait())
        raise UserError(f"BasicSR ended early ({status}): {reason}; is it installed for --peer-python?")


@contextmanager
def start_peer(args: argparse.Namespace, folder: Path, job: str, options: Mapping[str, Any]) -> Iterator[Peer]:
    """Start a job of peer_basicsr.py; it ends with the block.

    Args:
        folder: where it may write, its log too.
        options: what the job needs, as plain data.

    Raises:
        UserError: --peer-python cannot be started, or BasicSR fails.
    """
    log = folder / f"{job}.log"
    command = [str(args.peer_python), str(PEER), job, json.dumps({"threads": args.threads, **options})]
    with log.open("w", encoding="utf-8") as errors:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=folder, text=True,
                env={**os.environ, "OMP_NUM_THREADS": str(args.threads)},
            )  # fmt: skip
        except OSError as error:
            raise UserError(f"--peer-python {args.peer_python}: {error.strerror}; give a Python program") from None
    with process:  # which closes its input, upon which it ends
        yield Peer(process, log)


# --------------------------------------------------------------------------- tables


def describe(args: argparse.Namespace, peer: str) -> str:
    """The machine, the versions and the conditions as text."""
    return (
        f"{machine()}; {peer}.\n{args.threads} thread(s) per program, {args.rounds} turns of about {args.seconds:g} s "
        f"each; {args.count} pairs of {args.size[0]}x{args.size[1]}, random patches with flips and rotations."
    )


def machine() -> str:
    """The date, the processor, its load and the versions as text."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{time.strftime('%Y-%m-%d')}, {processor()}, {os.cpu_count()} cores{load}; "
        f"Python {platform.python_version()}, torch {torch.__version__}, NumPy {np.__version__}, "
        f"OpenCV {cv2.__version__}"
    )


def table(unit: str, turns: Mapping[str, Sequence[Turn]], peer: str | None) -> str:
    """Rates of all sides and their ratios to the side called `peer`, as Markdown: median (smallest to largest)."""
    header = [
        "",
        f"{unit} per CPU second",
        f"{unit} per second of the clock",
        "ratio by CPU time",
        "ratio by the clock",
    ]
    rows = []
    for name, own in turns.items():
        cells = [_spread([turn.per_cpu_second for turn in own]), _spread([turn.per_second for turn in own])]
        if peer is None or name == peer:
            cells += ["", ""]
        else:
            rounds = list(zip(own, turns[peer], strict=True))
            cells.append(_spread([a.per_cpu_second / b.per_cpu_second for a, b in rounds]))
            cells.append(_spread([a.per_second / b.per_second for a, b in rounds]))
        rows.append([name, *cells])
    return markdown([header, *rows], 1).rstrip()


def _spread(values: Sequence[float]) -> str:
    middle, low, high = (_short(value) for value in (median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
