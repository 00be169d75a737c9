"""How many frames of videos `powerqe enhance` enhances in a second, and those of another checkout in turn with it.

Clips are moving photographs at two sizes, compressed by x265, or files that are given. What is in a second is what the
command reports: decoding, network and encoding, without start-up. Then the parts alone, in milliseconds a frame. For
example, next to the commit before:

    git worktree add /tmp/before HEAD~1 && cp net/ops/dcn/*.so /tmp/before/net/ops/dcn/
    python benchmarks/bench_video.py --against /tmp/before --out video.md
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

if not __package__:
    import run_from_checkout  # noqa: F401

import numpy as np
import torch

from powerqe.benchmarks import common
from powerqe.inference.enhance_video import compression_info
from powerqe.inference.inference_options import InferenceOptions
from powerqe.inference.model import Model
from powerqe.inference.video_frames import windows
from powerqe.utils.errors import UserError, command
from powerqe.utils.memory import keep_freed_memory
from powerqe.utils.parser import Parser
from powerqe.utils.programs import ending
from powerqe.utils.text_table import markdown
from powerqe.utils.video.colors import color_space
from powerqe.utils.video.container import VideoWriter
from powerqe.utils.video.pixels import FramePixels
from powerqe.utils.video.pyav import pyav
from powerqe.utils.video.video_file import open_video_file
from powerqe.utils.video.yuv import Geometry

HERE = Path(__file__).parents[1]
WEIGHTS = ("arcnn-bsds500-qf10", "stdf-sample-qp37")
SIZES = (Geometry(416, 240), Geometry(1920, 1080))
PARTS = ("decode", "convert", "network", "restore", "encode")
STEP, CRF, PERIOD, COMPUTED = 2, 37, 4, 2
"""Pixels by which a photograph moves from frame to frame, how much is lost of it, which frames are peaks (MFQE), and
how many frames the network alone gets."""
_LINE = re.compile(r"^(?P<file>.+?): \d+x\d+, .*\((?P<rate>[\d.e+-]+) frames/s\)", re.MULTILINE)


class Run(NamedTuple):
    """A turn: frames per second of each clip by its name; of the whole process the CPU seconds, which hardly feel other
    programs, and the largest memory in MiB."""

    rates: dict[str, float]
    seconds: float
    memory: float


@command
def main(argv: Sequence[str] | None = None) -> None:
    args = _parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    checkouts = {"this": HERE} | ({"before": args.against.resolve()} if args.against else {})
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clips = [path.resolve() for path in args.videos] or list(_clips(folder, args.frames, args.suffix))
        found = {weights: {name: [] for name in checkouts} for weights in args.weights}
        for _ in range(args.rounds):
            for weights, runs in found.items():
                for name, checkout in checkouts.items():
                    runs[name].append(_enhance(checkout, weights, clips, folder, args))
        parts = [_parts(weights, clip, folder, args) for weights in args.weights for clip in clips]
    versions = f"{common.machine()}, PyAV {pyav('videos').__version__}; {args.threads} threads, device {args.device}"
    line = " ".join(["python benchmarks/bench_video.py", *(sys.argv[1:] if argv is None else argv)])
    text = "\n\n".join([f"{versions}; medians of {args.rounds} turns. Command: `{line}`",
                        markdown(list(_speeds(clips, found)), 2), "Each part alone, in milliseconds a frame:",
                        markdown([["", "clip", *PARTS], *parts], 2)])  # fmt: skip
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")


def _parser() -> Parser:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--against", type=Path, metavar="FOLDER", help="another checkout, with its operators compiled, to compare with")
    add("--videos", type=Path, nargs="+", default=[], metavar="FILE", help="clips of different names to use, all "
        "frames of them (default: moving photographs of 416x240 and 1920x1080)")  # fmt: skip
    add("--weights", nargs="+", default=WEIGHTS, metavar="NAME", help=f"networks (default: {' '.join(WEIGHTS)})")
    add("--frames", type=common.pair, default=(12, 3), metavar="NxM", help="frames of the small and of the large clip "
        "(default: 12x3)")  # fmt: skip
    add("--suffix", choices=(".mkv", ".mp4"), default=".mkv", help="of these clips and therefore of the results: "
        "FFV1 or HEVC (default: %(default)s)")  # fmt: skip
    add("--device", default="cpu", help="of the networks (default: %(default)s)")
    add("--threads", type=common.positive, default=os.cpu_count() or 1, metavar="N", help="threads of PyTorch "
        "(default: the number of cores, here %(default)s)")  # fmt: skip
    add("--rounds", type=common.positive, default=3, metavar="N", help="turns of each (default: %(default)s)")
    add("--out", type=Path, metavar="FILE", help="write the Markdown there, too")
    return parser


def _clips(folder: Path, counts: tuple[int, int], suffix: str) -> Iterator[Path]:
    """The moving photographs."""
    for geometry, count in zip(SIZES, counts, strict=True):
        width, height = (side + STEP * count for side in geometry[:2])
        ((_, photograph),) = common.photographs(None, 1, (width, height))
        space = color_space(geometry)
        path = folder / f"{geometry.width}x{geometry.height}{suffix}"
        with VideoWriter(path, geometry, Fraction(25), crf=CRF) as video:
            for place in range(0, STEP * count, STEP):
                image = photograph[place : place + geometry.height, place : place + geometry.width]
                video.write(space.from_rgb(image.astype(np.float32) / 255))
        yield path


def _enhance(checkout: Path, weights: str, clips: list[Path], folder: Path, args: argparse.Namespace) -> Run:
    """Run the command of a checkout on the clips.

    Raises:
        UserError: it fails.
    """
    options = ["--weights", weights, "--device", args.device, "--pqf-period", str(PERIOD), "--force"]
    line = [sys.executable, str(checkout / "enhance.py"), *map(str, clips), *options, "-o", str(folder / "enhanced")]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": str(args.threads)}
    with (folder / "log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(line, stdout=log, stderr=log, env=environment, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        said = log.read()
    rates = {Path(match["file"]).name: float(match["rate"]) for match in _LINE.finditer(said)}
    if process.returncode or len(rates) < len(clips):
        raise UserError(f"{line[1]} failed ({ending(process.returncode)}): {' '.join(said.split())[-300:]}")
    return Run(rates, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _speeds(clips: list[Path], found: dict[str, dict[str, list[Run]]]) -> Iterator[list[str]]:
    """The table of the command: for each network and clip the median of all turns; a ratio is that of two neighbors.

    Args:
        found: network -> checkout -> its turns.
    """
    is_compared = len(next(iter(found.values()))) > 1
    sides = [", this", ", before"] if is_compared else [""]
    ratio = ["ratio"] * is_compared
    yield ["", "clip", *(f"{title}{side}" for title in ("frames/s", "CPU s", "MiB") for side in sides), *ratio]
    for weights, runs in found.items():
        for clip in (clip.name for clip in clips):
            rates = [[run.rates[clip] for run in own] for own in runs.values()]
            cells = [f"{median(own):.3g}" for own in rates]
            cells += [f"{median(run.seconds for run in own):.3g}" for own in runs.values()]
            cells += [f"{median(run.memory for run in own):,.0f}" for own in runs.values()]
            if is_compared:
                cells.append(f"{median(after / before for after, before in zip(*rates, strict=True)):.2f}")
            yield [weights, clip, *cells]


def _parts(weights: str, clip: Path, folder: Path, args: argparse.Namespace) -> list[str]:
    """A row of milliseconds a frame, each part by itself."""
    model = Model(weights, InferenceOptions(device=args.device))
    video = open_video_file(clip)
    pixels = FramePixels(model.channels, video.geometry, video.color)
    decode, frames = _timed(lambda: [frame for frame, _ in video.frames()])
    convert, given = _timed(lambda: [pixels.given(frame) for frame in frames])
    peaks = compression_info(video, PERIOD).peaks
    seen = [
        np.stack(window) if model.takes_clips else window[0] for window in windows(iter(given), model.window, peaks)
    ]
    model({"lq": torch.from_numpy(seen[0][None, ..., :64, :64])})  # a warm-up
    compute, results = _timed(lambda: [model({"lq": torch.from_numpy(one)[None]})[0] for one in seen[:COMPUTED]])
    restore, restored = _timed(lambda: [pixels.restored(*one) for one in zip(results, frames, given, strict=False)])

    def encode() -> list[Any]:
        with VideoWriter(folder / f"parts{clip.suffix}", pixels.made(results[0]), color=video.color) as writer:
            return [writer.write(frame) for frame in restored]

    cells = [decode, convert, compute, restore, _timed(encode)[0]]
    return [weights, clip.name, *(f"{1000 * cell:.3g}" for cell in cells)]


def _timed(work: Callable[[], list[Any]]) -> tuple[float, list[Any]]:
    """Seconds for each item of a list, and the list."""
    start = time.perf_counter()
    found = work()
    return (time.perf_counter() - start) / len(found), found


if __name__ == "__main__":
    sys.exit(main())
