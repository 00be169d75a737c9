"""Parts of gpu_check.py: each prints tables in Markdown, and fails with one line for each figure that is out of bounds.

python benchmarks/gpu_parts.py inference                # on the GPU
python benchmarks/gpu_parts.py inference --device cpu   # tiny inputs, without a GPU
"""

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

if not __package__:
    import run_from_checkout  # noqa: F401

import torch
import yaml
from torch import Tensor

from powerqe.benchmarks import bench_dcn, common
from powerqe.benchmarks.bench_train import make_options, make_trainer
from powerqe.dataset import build_dataset
from powerqe.dataset.loader import train_batches
from powerqe.inference.inference_options import InferenceOptions
from powerqe.inference.model import Model
from powerqe.net import NETWORKS
from powerqe.net.example import example_inputs
from powerqe.net.ops.dcn import compiled, force_backend
from powerqe.net.weights.index import known_weights
from powerqe.utils.errors import PartialFailureError, UserError, command
from powerqe.utils.parser import Parser
from powerqe.utils.text_table import markdown

ROOT = Path(__file__).resolve().parents[1]
NEAR = 55.0
"""PSNR in dB to the reference that results must have: convolutions in TF32 have about 60, rounding to 8 bits 59."""


class Faults(list[str]):
    """Figures out of bounds, in words."""

    def check(self, is_good: bool, what: str) -> str:
        """A word for the table."""
        if not is_good:
            self.append(what)
        return "yes" if is_good else "**no**"


def show(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    cells = [[cell if isinstance(cell, str) else f"{cell:.4g}" for cell in map(_plain, row)] for row in rows]
    print(markdown([list(header), *cells], 1), flush=True)


def _plain(cell: Any) -> Any:
    return cell.item() if isinstance(cell, Tensor) else cell


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def milliseconds(work: Callable[[], Any], device: str, rounds: int) -> float:
    """The fastest of some rounds, after a warm-up."""
    work()
    times = []
    for _ in range(rounds):
        wait(device)
        started = time.perf_counter()
        work()
        wait(device)
        times.append(1000 * (time.perf_counter() - started))
    return min(times)


def psnr(found: Tensor, expected: Tensor) -> float:
    """In dB, of values in [0, 1]."""
    error = (found.double().cpu() - expected.double().cpu()).square().mean().item()
    return 10 * math.log10(1 / error) if error else math.inf


# --------------------------------------------------------------------------- deformable convolution


def agreement(device: str, faults: Faults) -> None:
    """Our operator and torchvision's, beside torchvision in float64: the largest error beside the largest value."""
    import torchvision  # noqa: F401 - its operators

    if why_not := compiled.missing(device):
        raise UserError(f"our operator {why_not}")
    force_backend("compiled")
    names = ("output", "grad input", "grad offset", "grad mask", "grad weight", "grad bias")
    case = bench_dcn.Case(2, 16, 4, 70, 90) if device == "cuda" else bench_dcn.Case(1, 4, 2, 9, 10)
    rows: list[list[Any]] = []
    for dtype, tolerance in ((torch.float32, 1e-3), (torch.bfloat16, 5e-2)):
        given = bench_dcn.Workload(case, dtype, device, bench_dcn.OURS)
        oracle = bench_dcn.Workload(case, torch.float64, device, bench_dcn.THEIRS)
        for name in ("input", "weight", "bias", "offset", "mask", "grad"):  # the same values, after their rounding
            setattr(oracle, name, getattr(given, name).double())
        expected = _in_order(oracle, bench_dcn.THEIRS)
        sides = {bench_dcn.OURS: given}
        if device == "cuda" or dtype == torch.float32:  # torchvision has no bf16 on the CPU
            sides[bench_dcn.THEIRS] = bench_dcn.Workload(case, dtype, device, bench_dcn.THEIRS)
        for side, work in sides.items():
            errors = [_error(a, b) for a, b in zip(_in_order(work, side), expected, strict=True)]
            title = f"{str(dtype).removeprefix('torch.')}, {side}"
            is_good = side == bench_dcn.THEIRS or max(errors) < tolerance
            rows.append([title, *errors, faults.check(is_good, f"{title}: error {max(errors):.2g}")])
    show(["relative error", *names, "good"], rows)


def _in_order(work: bench_dcn.Workload, side: str) -> list[Tensor]:
    grads = list(work.backward())
    if side == bench_dcn.THEIRS:
        grads = [grads[0], grads[2], grads[3], grads[1], grads[4]]
    return [work.forward(), *grads]


def _error(found: Tensor, expected: Tensor) -> float:
    return ((found.double() - expected).abs().max() / expected.abs().max()).item()


# --------------------------------------------------------------------------- inference


def inference(device: str, faults: Faults) -> None:
    """Published weights in fp32 and auto, untrained networks in fp32 and bf16; fp32 beside the CPU."""
    sources: list[Any] = sorted(known_weights(ROOT / "weights"))
    untrained = [name for name in NETWORKS.names() if name != "VGGDiscriminator"]
    if device == "cpu":
        sources, untrained = ["arcnn-bsds500-qf10", "stdf-sample-qp37"], ["SRCNN"]
    side, rounds = ((720, 1280), 5) if device == "cuda" else ((32, 40), 1)
    header = ["", "to the CPU, dB", "other precision", "to fp32, dB", "fp32, ms", "other, ms", "fp32, MB", "other, MB"]
    rows: list[list[Any]] = []
    for source, other in [(name, "auto") for name in sources] + [({"type": name}, "bf16") for name in untrained]:
        title = source if isinstance(source, str) else f"{source['type']} (untrained)"
        try:
            rows.append([title, *_inferred(source, other, device, side, rounds, title, faults)])
        except Exception as error:  # the other networks are measured nevertheless
            faults.append(f"{title}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
            rows.append([title, faults[-1], *[""] * 6])
    print(f"{side[1]} x {side[0]}, one image or one frame with those around it; memory beside weights and input.\n")
    show(header, rows)


def _inferred(
    source: Any, other: Any, device: str, side: tuple[int, int], rounds: int, title: str, faults: Faults
) -> list[Any]:
    def build(where: str, precision: Any) -> Model:
        torch.manual_seed(0)  # for untrained networks
        return Model(source, InferenceOptions(where, precision=precision))

    reference, models = build("cpu", "fp32"), {precision: build(device, precision) for precision in ("fp32", other)}
    small, large = _sample(reference, 32, 40), _sample(reference, *side)
    to_cpu = psnr(models["fp32"](small)[0], reference(small)[0])
    faults.check(to_cpu > NEAR, f"{title}: {to_cpu:.1f} dB to the CPU")
    near = psnr(models[other](large)[0], models["fp32"](large)[0])
    faults.check(near > (NEAR if other == "auto" else 20), f"{title}: {other} has {near:.1f} dB to fp32")
    times = [milliseconds(lambda model=model: model(large), device, rounds) for model in models.values()]
    taken = [common.extra_memory(lambda model=model: model(large), device) / 1e6 for model in models.values()]
    return [to_cpu, getattr(models[other], "precision", other), near, *times, *taken]


def _sample(model: Model, height: int, width: int) -> dict[str, Any]:
    """A batch of one image, or of one frame with those around it, and all that a network may ask for."""
    network = model.network
    positional, _ = example_inputs(network, height, width)
    lq = positional[0].cpu()
    tables = torch.full((1, 1 if lq.shape[-3] == 1 else 2, 8, 8), 16.0)
    return {"lq": lq, "tables": tables, "quality": torch.tensor([10])}


# --------------------------------------------------------------------------- training


@contextmanager
def stores(device: str) -> Iterator[common.Stores]:
    """Pairs of images in LMDB."""
    args = common.parser(None).parse_args(["--count", "8"] if device == "cuda" else ["--count", "2", "--size", "72x64"])
    with tempfile.TemporaryDirectory() as folder:
        yield common.make_data(Path(folder), args).ours


def precisions(device: str, faults: Faults) -> None:
    """Steps per second, losses and memory; with fp16 the scaler has found a scale, and lost few steps."""
    steps, batch, patch = (300, 16, 64) if device == "cuda" else (6, 2, 16)
    types = ("none", "bf16", "fp16") if device == "cuda" else ("none", "bf16")
    rows: list[list[Any]] = []
    with stores(device) as data:
        for network in ("ARCNN", "FBCNN") if device == "cuda" else ("ARCNN",):
            for amp in types:
                train = {"amp": amp, "channels_last": True}
                trainer = make_trainer(make_options(data, network, batch, patch, device, train))
                net = trainer.algorithm.networks["net"]
                before = [parameter.detach().clone() for parameter in net.parameters()]
                started = time.perf_counter()
                taken = common.extra_memory(lambda t=trainer: t.run(None, until=t.step + steps), device) / 1e6
                rate = trainer.step / (time.perf_counter() - started)
                change = max((a - b).abs().max().item() for a, b in zip(net.parameters(), before, strict=True))
                scale = trainer.state()["scaler"].get("scale", 1.0)
                is_good = 0 < change < 1 and all(bool(p.isfinite().all()) for p in net.parameters()) and scale >= 1
                title = f"{network}, {amp}"
                good = faults.check(is_good, f"{title}: weights changed by {change:.3g}, scale {scale:.3g}")
                rows.append([title, rate, taken, change, scale, good])
    show(["", "steps/s", "memory, MB", "largest change of a weight", "scale of the loss", "good"], rows)


def prefetch(device: str, faults: Faults) -> None:
    """Batches that reach the device during the step before have the bits of those on the CPU, and cost no time."""
    count, patch = (60, 128) if device == "cuda" else (4, 16)
    with stores(device) as data:
        options = make_options(data, "ARCNN", 8, patch, device, {}).dataset.train
        assert options is not None

        def batches(where: str) -> Iterator[Any]:
            dataset = build_dataset(options, "dataset.train")
            return train_batches(dataset, options, seed=1, device=torch.device(where))

        pairs = zip(islice(batches(device), count), islice(batches("cpu"), count), strict=True)
        same = all(torch.equal(a[key].cpu(), b[key]) for a, b in pairs for key in ("lq", "gt"))
        wide = torch.nn.Conv2d(3, 256, 9, padding=4).to(device)
        loaded = batches(device)
        kept = next(loaded)["lq"]
        alone = milliseconds(lambda: [wide(kept) for _ in range(count)], device, 1) / count
        both = milliseconds(lambda: [wide(next(loaded)["lq"]) for _ in range(count)], device, 1) / count
    good = faults.check(same, "batches differ from those of the CPU")
    show(["", "a step on one batch, ms", "on loaded batches, ms", "as on the CPU"], [["8 patches", alone, both, good]])


# --------------------------------------------------------------------------- memory


def memory(device: str, faults: Faults) -> None:
    """Tiles keep the bound and give the whole's result; training takes no more and more memory; a full GPU is met."""
    bound, side = (1 << 28, (2000, 3000)) if device == "cuda" else (1 << 20, (120, 136))
    name = "arcnn-bsds500-qf10"
    whole = Model(name, InferenceOptions(device, precision="fp32", tile="off"))
    tiled = Model(name, InferenceOptions(device, precision="fp32", memory=bound))
    image = _sample(whole, *side)
    taken = [common.extra_memory(lambda model=model: model(image), device) for model in (whole, tiled)]
    near = psnr(tiled(image)[0], whole(image)[0])
    results = image["lq"].numel() * 4 * 6  # input, output, and copies of them
    fits = device == "cpu" or taken[1] < bound + results
    rows: list[list[Any]] = [["whole image", taken[0] / 1e6, "", ""]]
    good = faults.check(near > NEAR and fits, f"tiles: {near:.1f} dB, {taken[1] / 1e6:.0f} MB")
    rows.append([f"tiles, bound {bound / 1e6:.0f} MB", taken[1] / 1e6, near, good])
    if device == "cuda":
        rows.append(_on_a_full_gpu(image, whole(image)[0], faults))
    with stores(device) as data:
        batch, patch = (16, 48) if device == "cuda" else (2, 16)
        trainer = make_trainer(make_options(data, "ARCNN", batch, patch, device, {}))
        steps = 100 if device == "cuda" else 2
        first, later = (
            common.extra_memory(lambda: trainer.run(None, until=trainer.step + steps), device) for _ in range(2)
        )
        good = faults.check(device == "cpu" or later < first + 64e6, f"training: {first:.3g}, then {later:.3g} bytes")
        rows += [["training, first steps", first / 1e6, "", ""], ["training, later", later / 1e6, "", good]]
    show(["", "memory, MB", "to the whole, dB", "good"], rows)


def _on_a_full_gpu(image: dict[str, Any], expected: Tensor, faults: Faults) -> list[Any]:
    """PyTorch may take a little only, of which the network does not know: it must find smaller tiles."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    limit = torch.cuda.memory_reserved() + (768 << 20)
    torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total))
    try:
        model = Model("arcnn-bsds500-qf10", InferenceOptions("cuda", precision="fp32", memory=1 << 34))
        taken = common.extra_memory(lambda: model(image), "cuda")
        near = psnr(model(image)[0], expected)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    good = faults.check(near > NEAR, f"full GPU: {near:.1f} dB")
    return ["768 MB of the GPU are left", taken / 1e6, near, good]


# --------------------------------------------------------------------------- ranks


SUM_FIRST = """
import sys
import torch
from powerqe.algorithm.trainer import Trainer
sys.path.insert(0, sys.argv.pop(1))
import train
from powerqe.utils.launcher import leave

def run(trainer, experiment, run=Trainer.run):
    ranks = trainer._ranks
    numbers = torch.full((1 << 20,), ranks.rank + 1.0, device=ranks.device)
    torch.distributed.all_reduce(numbers, group=ranks.group)
    assert (numbers == ranks.world_size * (ranks.world_size + 1) / 2).all()
    run(trainer, experiment)

Trainer.run = run
leave(train.main())
"""
"""train.py, which lets all ranks add numbers first: alone, a rank has nothing to exchange otherwise."""


def ranks(device: str, faults: Faults) -> None:
    """train.py under torchrun, with two GPUs if there are: a sum over the ranks is right, and the training ends."""
    count = min(2, torch.cuda.device_count()) if device == "cuda" else 2
    steps = 40 if device == "cuda" else 2
    with stores(device) as data, tempfile.TemporaryDirectory() as folder:
        pairs = {"type": "PairedImages", "gt": data.gt, "lq": data.lq}
        tree = {
            "network": {"type": "ARCNN", "hidden_channels": [8, 8], "kernel_sizes": [3, 1, 3], "residual": True},
            "dataset": {"train": {**pairs, "patch": 32, "bs_pg": 2, "nworker_pg": 0, "enlarge_ratio": 1000}},
            "algorithm": {"type": "Regression", "loss": {"MSE": {}}, "optimizer": {"type": "Adam", "lr": 1e-3}},
            "train": {"niter": 2 * steps, "inter_print": steps, "inter_val": steps},
            "device": device,
        }  # fmt: skip
        option = Path(folder) / "ranks.yml"
        option.write_text(yaml.safe_dump({"defaults": tree, "cases": {"c": {}}}), encoding="utf-8")
        program = Path(folder) / "sum_first.py"
        program.write_text(SUM_FIRST, encoding="utf-8")
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
        started = time.perf_counter()
        done = subprocess.run(
            [*launch, str(program), str(ROOT), "--opt", str(option), "--case", "c"], cwd=folder, capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}, text=True, check=False,
        )  # fmt: skip
        took = time.perf_counter() - started
        saved = list(Path(folder).glob("exp/*/ckp-last.pt"))
        is_good = done.returncode == 0 and len(saved) == 1
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        good = faults.check(is_good, f"{count} rank(s): status {done.returncode}: {lines[-1] if lines else ''}")
        if not is_good:
            print(done.stderr[-4000:], file=sys.stderr)
    backend = "NCCL and gloo" if device == "cuda" else "gloo"
    show(["", "ranks", "steps", "s with the start", "good"], [[backend, str(count), str(2 * steps), took, good]])


PARTS = {part.__name__: part for part in (agreement, inference, precisions, prefetch, memory, ranks)}


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser(__doc__)
    parser.add_argument("part", choices=PARTS, help="what to measure: %(choices)s")
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="device to measure (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no GPU; --device cpu takes tiny inputs without one")
    faults = Faults()
    PARTS[args.part](args.device, faults)
    if faults:
        raise PartialFailureError("; ".join(faults))


if __name__ == "__main__":
    sys.exit(main())
