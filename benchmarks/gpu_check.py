"""What only a machine with a GPU can tell, in 8 minutes: tests, the CUDA operator, training, inference, ranks, memory.

Each part is a process of its own with a limit, and its results are written as soon as there are any: a part that hangs
or crashes costs only itself. Status 1 if a part failed. The end of a failed part's output is in a file beside.

    python benchmarks/gpu_check.py                  # writes benchmarks/GPU.md
    python benchmarks/gpu_check.py --device cpu     # the same programs on tiny inputs, without a GPU
"""

import argparse
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

if not __package__:
    import run_from_checkout  # noqa: F401

import torch

from powerqe.utils.errors import PartialFailureError, UserError, command
from powerqe.utils.files import atomic_path
from powerqe.utils.machine import device_name, processor
from powerqe.utils.parser import Parser
from powerqe.utils.programs import ending

ROOT = Path(__file__).resolve().parents[1]
TOTAL = 480.0
"""Seconds for all parts together."""
_TAIL = 20_000
"""Characters of a failed part's output that are kept."""


class Part(NamedTuple):
    """A program of the check: what it prints to the standard output is its section of the report, in Markdown."""

    title: str
    seconds: float
    """Its limit."""
    cuda: str
    """Command line without Python, on a GPU."""
    cpu: str
    """The same without a GPU."""


_PYTEST = "-m pytest -p no:cacheprovider --no-header -rf"
_TRAINING = "benchmarks/bench_train.py --network ARCNN FBCNN"
PARTS = {
    "build": Part("Building the CUDA operator", 240, "net/ops/dcn/build.py", "net/ops/dcn/build.py"),
    "tests": Part(
        "Tests that need a GPU", 150, f"{_PYTEST} tests -m cuda", f"{_PYTEST} tests/dataset -m cuda --collect-only"
    ),
    **{
        name: Part(title, seconds, f"benchmarks/gpu_parts.py {name}", f"benchmarks/gpu_parts.py {name} --device cpu")
        for name, title, seconds in (
            ("agreement", "Deformable convolution: agreement with torchvision", 60),
            ("inference", "Inference: published weights, and all networks untrained", 120),
            ("precisions", "Training in float32, bf16 and fp16 (GradScaler)", 60),
            ("prefetch", "Batches that are copied during the step before", 60),
            ("memory", "Memory", 60),
            ("ranks", "Ranks: NCCL on GPUs, gloo without", 90),
        )
    },
    "dcn": Part(
        "Deformable convolution: time beside torchvision", 90,
        "benchmarks/bench_dcn.py --device cuda --dtype float32 bfloat16 --rounds 3 --seconds 0.1",
        "benchmarks/bench_dcn.py --cases stdf_r1 --threads 1 --rounds 1 --seconds 0.01",
    ),
    "training": Part(
        "Training steps per second", 120,
        f"{_TRAINING} --device cuda --rounds 3 --seconds 1 --count 8 --setting 16x48 8x128",
        f"{_TRAINING} --rounds 1 --seconds 0.01 --count 2 --size 72x64 --setting 2x16",
    ),
    "rooms": Part(
        "Tests that take the GPU where there is one", 120,
        f'{_PYTEST} tests/inference tests/evaluation tests/algorithm -m "not slow and not cuda" -n 4',
        f"{_PYTEST} tests/inference/test_inference_options.py",
    ),
}  # fmt: skip
"""By name, the most telling first, should time be short."""


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser(__doc__)
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="device to check (default: %(default)s)"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART",
                        help=f"only these parts, of {', '.join(PARTS)}")  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FILE",
                        help="report (default: benchmarks/GPU.md, of the CPU build/gpu_check_cpu.md)")  # fmt: skip
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("gpu_check: PyTorch finds no GPU; --device cpu runs the same programs without one")
    report = args.output or ROOT / ("benchmarks/GPU.md" if args.device == "cuda" else "build/gpu_check_cpu.md")
    report.parent.mkdir(parents=True, exist_ok=True)
    head, sections, failed = _head(args), [], []
    end = time.monotonic() + TOTAL
    for name in args.parts:
        text, is_good = _run(name, args.device, end - time.monotonic(), report)
        print(text, flush=True)
        sections.append(text)
        failed += [] if is_good else [name]
        result = f"Failed: {', '.join(failed)}." if failed else "No part failed."
        done = f"{len(sections)} of {len(args.parts)} parts were run. {result}"
        with atomic_path(report) as path:
            path.write_text("\n\n".join([head, done, *sections]) + "\n", encoding="utf-8")
    if failed:
        raise PartialFailureError(f"{result} The report is {report}.")
    print(f"{result} The report is {report}.")


def _head(args: argparse.Namespace) -> str:
    """Title, machine, versions and command."""
    line = shlex.join(["python", "benchmarks/gpu_check.py", *sys.argv[1:]])
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, CUDA {torch.version.cuda}"
    if args.device == "cpu":
        title = "# The GPU check without a GPU\n\nNo GPU was used: the programs ran on tiny inputs."
        return f"{title} {time.strftime('%Y-%m-%d')}, {processor()}, {versions}.\n\n    {line}"
    devices = [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    sizes = [f"{device_name(d)} ({torch.cuda.get_device_properties(d).total_memory / 2**30:.0f} GiB)" for d in devices]
    return (
        f"# On a GPU\n\n{time.strftime('%Y-%m-%d')}, {', '.join(sizes)}, driver {_driver()}, {processor()}; "
        f"{versions}, cuDNN {torch.backends.cudnn.version()}.\n\n    {line}"
    )


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()[0]
    return "unknown"


def _run(name: str, device: str, left: float, report: Path) -> tuple[str, bool]:
    """Run a part; its section, and whether it succeeded."""
    part = PARTS[name]
    words = shlex.split(part.cuda if device == "cuda" else part.cpu)
    if "-n" in words and find_spec("xdist") is None:
        words = words[: words.index("-n")]
    if name == "training" and find_spec("basicsr") is not None:
        words += ["--peer-python", sys.executable]
    log = report.with_name(f"{report.stem}-{name}.log")
    log.unlink(missing_ok=True)
    started = time.monotonic()
    limit = min(part.seconds, left)
    output, errors, end = _output([sys.executable, *words], limit) if limit > 1 else ("", "", "no time was left")
    took = time.monotonic() - started
    text = [f"## {part.title}", f"`python {shlex.join(words)}`: {took:.0f} s"]
    if end:
        lines = [line for line in (errors + output).splitlines() if line.strip()]
        log.write_text((output + errors)[-_TAIL:], encoding="utf-8")
        text[1] += f"\n\n**Failed** ({end}): {lines[-1].strip() if lines else 'no output'}. See {log.name}."
    if output.strip():
        text.append(output.strip() if words[0].startswith("benchmarks") else f"```text\n{output.strip()[-2000:]}\n```")
    return "\n\n".join(text), not end


def _output(line: list[str], seconds: float) -> tuple[str, str, str]:
    """What a program prints, and how it ended: "" if well. It has no more than so many seconds, its children too."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        line, cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            output, errors = process.communicate()
            return output, errors, f"stopped after {seconds:.0f} s"
        except BaseException:
            _kill(process)
            raise
    return output, errors, ending(process.returncode) if process.returncode else ""


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
