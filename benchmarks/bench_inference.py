"""The forward pass of networks on the CPU: PowerQE next to onnxruntime and OpenVINO with the same weights.

Each engine has a process of its own, in which it does nothing else and waits while others take their turns. PowerQE is
applied as `powerqe.load(NAME)` does; "today" is its network as PyTorch computes it untouched (float32, NCHW). The
others get the file of `powerqe export`. RBQE takes its last exit everywhere, as such a file has one path. The image is
a photograph compressed by JPEG (clips repeat it); PSNR is that to the result of "today".

    python benchmarks/bench_inference.py --networks 'arcnn*' fbcnn-bsds500-color --sizes 768x512 --threads 2
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/bench_inference.py      # a processor without bf16, for all that obey it

ncnn is left out: it reads no ONNX files, and its Python package cannot convert them.
"""

import argparse
import inspect
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from fnmatch import fnmatch
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

if not __package__:
    import run_from_checkout  # noqa: F401

import numpy as np
import torch
from torch import Tensor, nn

from powerqe.benchmarks import common
from powerqe.inference.inference_options import InferenceOptions, Precision
from powerqe.inference.load import NetworkSource, find_network, published_networks
from powerqe.inference.model import Model
from powerqe.net.example import example_inputs, required
from powerqe.net.export.onnx_file import export
from powerqe.net.forward_inputs import results
from powerqe.net.rbqe import RBQE
from powerqe.utils.codecs import JPEG
from powerqe.utils.errors import UserError, command
from powerqe.utils.files import write_text
from powerqe.utils.memory import keep_freed_memory
from powerqe.utils.parser import Parser
from powerqe.utils.text_table import NOT_AVAILABLE, markdown

TODAY, OURS = "today", "PowerQE"
SIZES = ["256x256", "768x512", "1920x1080"]
_SETTLING = 4.0
"""Seconds after the start of the engines: OpenVINO's telemetry keeps a core busy for three, in a process of its own."""


class Work(NamedTuple):
    """What an engine computes.

    Attributes:
        weights: file of a network.
        onnx: the same network as `powerqe export` writes it.
        image: .npy, (H, W, 3) uint8.
        threads: that compute at once.
    """

    weights: Path
    onnx: Path
    image: Path
    threads: int


class Engine(NamedTuple):
    """Attributes: make: gives a call that computes, and returns, the result; package: what it needs."""

    make: Callable[[Work], Callable[[], Any]]
    package: str = ""

    @property
    def version(self) -> str | None:
        """Of the package; None: it is not installed."""
        try:
            return version(self.package) if self.package else ""
        except PackageNotFoundError:
            return None


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--networks", nargs="+", metavar="NAME|FILE", default=["*"], help="published weights, by name or pattern, or a "
        "file (default: all)")  # fmt: skip
    add("--sizes", nargs="+", type=common.pair, metavar="WxH", default=[common.pair(size) for size in SIZES],
        help=f"of the image (default: {' '.join(SIZES)})")  # fmt: skip
    add("--threads", nargs="+", type=common.positive, metavar="N", default=[1, 2], help="of each engine (default: 1 2)")
    add(
        "--engines",
        nargs="+",
        choices=ENGINES,
        default=list(ENGINES),
        metavar="ENGINE",
        help="what computes: %(choices)s (default: all)",
    )
    add("--rounds", type=common.positive, metavar="N", default=5, help="turns of each engine (default: %(default)s)")
    add("--seconds", type=float, metavar="S", default=0.5, help="least duration of a turn (default: %(default)s)")
    add("--images", type=Path, metavar="FOLDER", help="a photograph to use (default: one in scikit-image)")
    add("--cache", type=Path, metavar="FOLDER", help="keep the ONNX files there (default: made for each run)")
    add("--out", type=Path, metavar="FILE", help="page for the tables, in Markdown")
    args = parser.parse_args(argv)
    missing = [name for name in args.engines if ENGINES[name].version is None]
    engines = [name for name in args.engines if name not in missing]
    with TemporaryDirectory() as scratch:
        bench = Bench(engines, args, Path(scratch))
        rows = [row for source in _sources(args.networks) for row in bench.rows(source)]
    page = _page(rows, engines, missing, args, sys.argv[1:] if argv is None else argv)
    print(page)
    if args.out:
        write_text(args.out, page)


def _sources(patterns: Sequence[str]) -> list[NetworkSource]:
    """Published networks whose names match, in the order of the index, and those of files."""
    files = [find_network(Path(pattern)) for pattern in patterns if Path(pattern).is_file()]
    patterns = [pattern for pattern in patterns if not Path(pattern).is_file()]
    published = published_networks() if patterns else []
    for pattern in patterns:
        if not any(fnmatch(source.name, pattern) for source in published):
            raise UserError(f"--networks: no file, and no published weights like {pattern}")
    return [source for source in published if any(fnmatch(source.name, each) for each in patterns)] + files


# --------------------------------------------------------------------------- measurements


class Row(NamedTuple):
    """What was measured of each engine.

    Attributes:
        memory: bytes that the network and a call take at most.
        psnr: to the result of "today".
        failed: those that cannot compute the network.
    """

    network: str
    size: str
    threads: int
    turns: dict[str, list[common.Turn]]
    memory: dict[str, float]
    psnr: dict[str, float]
    failed: set[str]


class Bench(NamedTuple):
    """Measures the engines, with these arguments."""

    engines: list[str]
    args: argparse.Namespace
    scratch: Path

    def rows(self, source: NetworkSource) -> Iterator[Row]:
        """Those of a network."""
        assert source.path is not None
        onnx = (self.args.cache or self.scratch) / f"{source.name}.onnx"
        if not onnx.exists() and any(ENGINES[name].package for name in self.engines):
            onnx.parent.mkdir(parents=True, exist_ok=True)
            network = source.build()
            export(network, onnx, arguments=_fixed(network), tolerance=1e-3)
        image = self.scratch / "image.npy"
        for size in self.args.sizes:
            np.save(image, JPEG().compress(next(common.photographs(self.args.images, 1, size))[1], common.QF)[0])
            for threads in self.args.threads:
                work = Work(source.path, onnx, image, threads)
                yield self._row(source.name, "x".join(map(str, size)), work)

    def _row(self, name: str, size: str, work: Work) -> Row:
        """The engines take turns, each in its process, which ends with the row: it would keep its memory."""
        memory, psnr, sides = {}, {}, {}
        failed: set[str] = set()
        with ExitStack() as stack:
            for engine in self.engines:
                start = (ENGINES[engine].package, work.threads)
                process = stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"), _prepare, start))
                try:
                    memory[engine] = process.submit(_start, engine, work, self._result(engine)).result()
                except Exception:  # of any class: the engine's
                    if not ENGINES[engine].package:
                        raise
                    failed.add(engine)
                    continue
                sides[engine] = lambda count, process=process: process.submit(_turn, count).result()
            time.sleep(_SETTLING)
            turns = common.take_turns(sides, self.args.rounds, self.args.seconds)
        if TODAY in self.engines:
            expected = np.load(self._result(TODAY))
            psnr = {engine: _psnr(np.load(self._result(engine)), expected) for engine in sides}
        return Row(name, size, work.threads, turns, memory, psnr, failed)

    def _result(self, engine: str) -> Path:
        return self.scratch / f"{engine}.npy"


def _psnr(image: np.ndarray, expected: np.ndarray) -> float:
    error = float(np.mean((image.astype(np.float64) - expected) ** 2))
    return -10 * math.log10(error) if error else math.inf


# --------------------------------------------------------------------------- in the process of an engine

_side: common.Side


def _prepare(package: str, threads: int) -> None:
    torch.set_num_threads(threads)
    keep_freed_memory()
    if package:
        import_module(package)


def _start(engine: str, work: Work, result: Path) -> float:
    """Make this process one of the engine, write its result, and return the bytes that all this takes at most."""
    global _side
    made: list[Any] = []

    def first() -> None:
        made.append(ENGINES[engine].make(work))
        made.append(made[0]())

    memory = common.extra_memory(first, times=1)
    call, image = made
    np.save(result, np.asarray(image, dtype=np.float32))

    def repeat(count: int) -> None:
        for _ in range(count):
            call()

    _side = common.timed(repeat)
    return memory


def _turn(count: int) -> common.Turn:
    return _side(count)


def _today(work: Work) -> Callable[[], Tensor]:
    network = find_network(work.weights).build()
    inputs, fixed = _inputs(network, work), _fixed(network)

    @torch.inference_mode()
    def call() -> Tensor:
        return results(network(**inputs, **fixed))[0]

    return call


def _ours(precision: Precision, work: Work) -> Callable[[], Tensor]:
    network = find_network(work.weights).build()
    (image, *others), fixed = _inputs(network, work).items(), _fixed(network)
    if fixed:
        RBQE.applied = fixed
    model = Model(work.weights, InferenceOptions("cpu", precision=precision))
    batch: Any = {"lq": image[1], **dict(others)}
    return lambda: model(batch)[0]


def _onnxruntime(work: Work) -> Callable[[], np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = work.threads
    session = onnxruntime.InferenceSession(work.onnx, options, ["CPUExecutionProvider"])
    inputs = {name: value.numpy() for name, value in _inputs(find_network(work.weights).build(), work).items()}
    return lambda: session.run([session.get_outputs()[0].name], inputs)[0]


def _openvino(precision: str, work: Work) -> Callable[[], np.ndarray]:
    import openvino  # type: ignore[import-not-found]

    inputs = {name: value.numpy() for name, value in _inputs(find_network(work.weights).build(), work).items()}
    core = openvino.Core()
    network = core.read_model(work.onnx)
    network.reshape({name: value.shape for name, value in inputs.items()})
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": work.threads, "NUM_STREAMS": 1}
    request = core.compile_model(network, "CPU", settings).create_infer_request()
    return lambda: request.infer(inputs, share_inputs=True, share_outputs=True)[0]


def _inputs(network: nn.Module, work: Work) -> dict[str, Tensor]:
    """What the network's forward requires, by name, the image first."""
    pixels = torch.from_numpy(np.load(work.image)).permute(2, 0, 1).float() / 255
    (image, *others), _ = example_inputs(network, *pixels.shape[-2:])
    image.copy_(pixels if image.shape[-3] == len(pixels) else pixels.mean(0))
    first = next(iter(inspect.signature(network.forward).parameters))
    return dict(zip([first, *required(network)], [image, *others], strict=True))


def _fixed(network: nn.Module) -> dict[str, Any]:
    return {"exit": len(network.levels) - 1} if isinstance(network, RBQE) else {}


ENGINES = {
    TODAY: Engine(_today),
    OURS: Engine(partial(_ours, "auto")),
    f"{OURS} fp32": Engine(partial(_ours, "fp32")),
    "onnxruntime": Engine(_onnxruntime, "onnxruntime"),
    "OpenVINO": Engine(partial(_openvino, "f32"), "openvino"),
    "OpenVINO bf16": Engine(partial(_openvino, "bf16"), "openvino"),
}


# --------------------------------------------------------------------------- the page


def _page(
    rows: Sequence[Row], engines: Sequence[str], missing: Sequence[str], args: argparse.Namespace, argv: Sequence[str]
) -> str:
    versions = {ENGINES[name].package: ENGINES[name].version for name in engines if ENGINES[name].package}
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    notes = [
        f"{common.machine()}, {', '.join(f'{name} {number}' for name, number in versions.items()) or 'no peers'}.",
        f"Median time of a call of {args.rounds} turns; ratios of neighboring turns: median (smallest to largest).",
        "Fastest: of the peers, that of the shortest median. MB: what the network and a call take at most, dB: PSNR to "
        f"{TODAY!r}.",
        *dict.fromkeys(f"{name} cannot compute {row.network}." for row in rows for name in row.failed),
        *([f"Not installed, and left out: {', '.join(missing)}."] if missing else []),
    ]
    setting = f"ONEDNN_MAX_CPU_ISA={limit} " if limit else ""
    line = f"    {setting}python benchmarks/bench_inference.py {shlex.join(argv)}"
    where = ["network", "size", "threads"]
    times = [[*where, *(f"{name}, ms" for name in engines), *RATIOS]]
    times += [[*_where(row), *(_ms(row.turns.get(name)) for name in engines), *_ratios(row)] for row in rows]
    others = [[*where, *(f"{name}, MB / dB" for name in engines)]]
    others += [[*_where(row), *(_memory(row, name) for name in engines)] for row in rows]
    parts = [
        "# The forward pass of networks on the CPU",
        "\n".join(notes),
        line,
        markdown(times, 1),
        markdown(others, 1),
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


RATIOS = [f"{OURS} in speeds of {TODAY}", "of the fastest peer", f"of {TODAY}, by CPU time", "of the peer, by CPU time"]


def _where(row: Row) -> list[str]:
    return [row.network, row.size, str(row.threads)]


def _ms(turns: Sequence[common.Turn] | None) -> str:
    return NOT_AVAILABLE if turns is None else f"{1000 * median(turn.wall / turn.count for turn in turns):,.1f}"


def _ratios(row: Row) -> list[str]:
    """The cells of `RATIOS`, empty where one of the two was not measured."""
    peers = [name for name in row.turns if ENGINES[name].package]
    fastest = min(peers, key=lambda name: median(turn.wall / turn.count for turn in row.turns[name]), default=None)
    ratios = [
        _ratio(row.turns.get(OURS), row.turns.get(other or ""), rate)
        for rate in (common.Turn.per_second, common.Turn.per_cpu_second)
        for other in (TODAY, fastest)
    ]
    return [ratio and f"{ratio}{f' {fastest}' * (number == 1)}" for number, ratio in enumerate(ratios)]


def _ratio(own: Sequence[common.Turn] | None, other: Sequence[common.Turn] | None, rate: property) -> str:
    if not own or not other:
        return ""
    assert rate.fget is not None
    ratios = [rate.fget(a) / rate.fget(b) for a, b in zip(own, other, strict=True)]
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _memory(row: Row, name: str) -> str:
    return (
        NOT_AVAILABLE if name in row.failed else f"{row.memory[name] / 1e6:,.0f} / {row.psnr.get(name, math.nan):.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
