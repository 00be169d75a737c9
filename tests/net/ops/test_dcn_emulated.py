"""The CUDA sources of net/ops/dcn without a GPU: compiled for the CPU, with an emulation of CUDA in front of them.

Whatever is arithmetic, index or barrier is tested here; what only a GPU can tell is in test_dcn_cuda.py.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from powerqe.net.ops.dcn import build, reference
from powerqe.net.ops.dcn.deform_inputs import DeformInputs, check_arguments

pytestmark = pytest.mark.slow

EMULATION = Path(__file__).with_name("cuda_emulation.h")
LIBRARY = "POWERQE_EMULATED_LIBRARY"
"""Path of one that is compiled already: with bounds checks, for which this Python was started in a special way."""
RECORDED = np.load(Path(__file__).parents[2] / "data/dcnv2.npz")
CASES = {case["name"]: case for case in json.loads(str(RECORDED["__config__"]))["cases"]}
GIVEN = {"input": "x", "offset": "offset", "mask": "mask", "weight": "weight", "bias": "bias"}
EXPECTED = {"input": "gx", "offset": "goffset_zero_at_border", "mask": "gmask", "weight": "gw", "bias": "gb"}
TOLERANCES = {torch.float64: 1e-12, torch.float32: 5e-6, torch.float16: 3e-3, torch.bfloat16: 2e-2}
Make = Callable[..., dict[str, Any]]
Close = Callable[..., None]


def compile_for_cpu(folder: Path, *, sanitize: bool = False) -> Path:
    """Compile the CUDA sources, unless the folder has that already. With `sanitize`, they check all bounds."""
    compiler = shutil.which("g++")
    if compiler is None or sys.platform != "linux":
        pytest.skip("the emulation of CUDA needs g++ and Linux")
    torch_folder = Path(torch.__file__).parent
    flags = [
        "-O1",
        "-std=c++17",
        "-shared",
        "-fPIC",
        "-fvisibility=hidden",
        "-DTORCH_TARGET_VERSION=0x020b000000000000",
    ]
    if sanitize:
        flags += ["-O0", "-fsanitize=address", "-fno-omit-frame-pointer"]
    sources = [EMULATION, *sorted(build.SOURCES.iterdir())]
    key = hashlib.sha256(repr((flags, torch.__version__, [path.read_bytes() for path in sources])).encode())
    library = folder / f"emulated-{key.hexdigest()[:16]}.so"
    if not library.is_file():
        for header in ("cuda_runtime.h", "cuda_fp16.h", "cuda_bf16.h", "mma.h"):
            (folder / header).touch()
        command = [
            compiler,
            *flags,
            "-x",
            "c++",
            "-include",
            EMULATION,
            f"-I{folder}",
            f"-isystem{torch_folder}/include",
        ]
        command += [build.SOURCES / "cuda_kernels.cu", "-o", library, f"-L{torch_folder}/lib", "-ltorch_cpu"]
        subprocess.run(command, check=True, timeout=600)
    return library


@pytest.fixture(scope="module", autouse=True)
def _operators(request: pytest.FixtureRequest) -> None:
    """torch.ops.powerqe_emulated, with the schemas of the true operators."""
    library = os.environ.get(LIBRARY) or compile_for_cpu(request.config.cache.mkdir("dcn_emulated"))
    global _definitions  # as long as the program, as torch.library wants it
    _definitions = torch.library.Library("powerqe_emulated", "FRAGMENT")
    text = (build.SOURCES / "operators.cpp").read_text(encoding="utf-8")
    for definition in re.findall(r"library\.def\(([^;]*)\);", text):
        schema = "".join(re.findall(r'"([^"]*)"', definition))
        if "allow_tf32" in schema:
            _definitions.define(schema)
    torch.ops.load_library(str(library))


@pytest.fixture(params=["ascending", "descending"])
def order(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """In which the threads of a block run."""
    monkeypatch.setenv("EMULATED_ORDER", request.param)
    return request.param


def checked(arguments: dict[str, Any]) -> DeformInputs:
    """The named arguments of a call in their order."""
    missing: dict[str, Any] = {"bias": None, "mask": None}
    return check_arguments(**{**missing, **arguments})


def run(
    arguments: dict[str, Any], grad: Tensor | None = None, deterministic: bool = False, allow_tf32: bool = False
) -> dict[str, Tensor]:
    """The output and all gradients by name."""
    a = checked(arguments)
    operators = torch.ops.powerqe_emulated
    output = operators.deform_conv2d(*a, allow_tf32)
    tensors = {"input": a.input, "offset": a.offset, "mask": a.mask, "weight": a.weight, "bias": a.bias}
    wanted = [tensor is not None for tensor in tensors.values()]
    grad = ones_and_more(output) if grad is None else grad
    gradients = operators.deform_conv2d_backward(grad, *a[:4], *a[5:], wanted, deterministic, allow_tf32)
    found = dict(zip(tensors, gradients, strict=True))
    return {"output": output, **{name: found[name] for name, tensor in tensors.items() if tensor is not None}}


def oracle(arguments: dict[str, Any], grad: Tensor | None = None) -> dict[str, Tensor]:
    """The same, computed by the reference in float64."""
    leaves = {k: v.double().requires_grad_() for k, v in arguments.items() if isinstance(v, Tensor)}
    output = reference.run(checked({**arguments, **leaves}))
    grad = ones_and_more(output) if grad is None else grad.double()
    gradients = torch.autograd.grad(output, list(leaves.values()), grad)
    return {"output": output.detach(), **dict(zip(leaves, gradients, strict=True))}


def ones_and_more(output: Tensor) -> Tensor:
    """Something for an output's gradient that all types have exactly."""
    return (torch.arange(output.numel()) % 7 - 2).to(output.dtype).reshape(output.shape) / 4


# --------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gives_the_recorded_results(name: str, dtype: torch.dtype, order: str, close: Close) -> None:
    case, prefix = CASES[name], CASES[name]["id"]
    recorded = {
        key: torch.from_numpy(RECORDED[f"{prefix}/{key}"])
        for key in (*GIVEN.values(), "grad_out")
        if f"{prefix}/{key}" in RECORDED
    }
    arguments = {name: recorded[key].to(dtype) for name, key in GIVEN.items() if key in recorded}
    steps = {step: case[step] for step in ("stride", "padding", "dilation")}
    expected = {name: torch.from_numpy(RECORDED[f"{prefix}/{EXPECTED[name]}"]) for name in arguments}
    expected["output"] = torch.from_numpy(RECORDED[f"{prefix}/y"])
    close(
        run({**arguments, "bias": None, "mask": None, **arguments, **steps}, recorded["grad_out"].to(dtype)),
        expected,
        TOLERANCES[dtype],
    )


VARIANTS: dict[str, dict[str, Any]] = {
    "wide loads": {"shape": (2, 16, 9, 10), "filters": 20},
    "loads of four": {"shape": (2, 12, 9, 10), "offset_groups": 1, "filters": 66},
    "pieces of seven": {"shape": (1, 14, 9, 5), "filters": 3},
    "one channel each": {"shape": (2, 7, 9, 10), "offset_groups": 7, "filters": 64},
    "groups straddle": {"shape": (1, 12, 5, 6), "filters": 6, "groups": 3},
    "depth-wise": {"shape": (1, 6, 7, 5), "filters": 12, "groups": 6, "offset_groups": 3},
    "steps": {"shape": (1, 8, 11, 13), "stride": (3, 2), "padding": (0, 4), "dilation": (2, 3), "kernel": (2, 4)},
    "far away": {"shape": (1, 4, 6, 7), "spread": 30.0},
    "no mask, no bias": {"shape": (2, 4, 9, 8), "mask": False, "bias": False},
    "indices of 64 bit": {"shape": (1, 2, 50, 49), "offset_groups": 1, "filters": 2},
    "one pixel": {"shape": (70, 2, 1, 1), "spread": 0.4},
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", list(TOLERANCES), ids=str)
@pytest.mark.parametrize("deterministic", [False, True], ids=["atomic", "deterministic"])
def test_agrees_with_the_reference(
    variant: str, dtype: torch.dtype, deterministic: bool, order: str, make: Make, close: Close
) -> None:
    arguments = make(**VARIANTS[variant], dtype=dtype)
    close(run(arguments, deterministic=deterministic), oracle(arguments), TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_with_fine_positions(dtype: torch.dtype, make: Make, close: Close) -> None:
    arguments = make(shape=(2, 16, 9, 20), dtype=dtype)
    arguments |= {name: arguments[name].float() + 1e-3 for name in ("offset", "mask")}
    found = run(arguments)
    assert found["offset"].dtype == found["mask"].dtype == torch.float32
    close(found, oracle(arguments), TOLERANCES[dtype])


def test_tf32_only_if_allowed(make: Make, close: Close, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = make(shape=(2, 16, 9, 10), filters=20, dtype=torch.float32)
    expected = oracle(arguments)["output"]
    coarse = run(arguments, allow_tf32=True)["output"]
    close({"output": coarse}, {"output": expected}, 2e-3)
    assert (coarse - expected).abs().max() > 1e-5 * expected.abs().max()
    monkeypatch.setenv("EMULATED_CAPABILITY", "7")  # has no such units
    close({"output": run(arguments, allow_tf32=True)["output"]}, {"output": expected}, 5e-6)


def test_bfloat16_on_gpus_without_units_for_it(make: Make, close: Close, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMULATED_CAPABILITY", "7")
    arguments = make(shape=(2, 16, 9, 10), filters=20, dtype=torch.bfloat16)
    close(run(arguments), oracle(arguments), 2e-2)


def test_only_wanted_gradients_are_computed(make: Make) -> None:
    """All combinations; what is not wanted comes back empty."""
    input, offset, mask, weight, _, *rest = checked(make(shape=(2, 8, 6, 7)))
    arguments = (torch.ones(2, 4, 6, 7).double(), input, offset, mask, weight, *rest)
    operator = torch.ops.powerqe_emulated.deform_conv2d_backward
    everything = operator(*arguments, [True] * 5, False, False)
    for bits in range(32):
        wanted = [bool(bits >> i & 1) for i in range(5)]
        found = operator(*arguments, wanted, bits % 3 == 0, False)
        for gradient, expected, is_wanted in zip(found, everything, wanted, strict=True):
            torch.testing.assert_close(gradient, expected if is_wanted else expected.new_empty(0))


def test_an_empty_batch_is_no_error(make: Make) -> None:
    found = run(make(shape=(0, 4, 6, 7)))
    assert found["output"].shape == (0, 4, 6, 7)
    assert not found["weight"].any()
    assert found["weight"].shape == (4, 4, 3, 3)


def test_layouts_do_not_matter(make: Make, close: Close) -> None:
    arguments = make(shape=(2, 16, 9, 10), dtype=torch.float32)
    strange = {
        k: v.contiguous(memory_format=torch.channels_last) if isinstance(v, Tensor) and v.dim() == 4 else v
        for k, v in arguments.items()
    }
    grad = ones_and_more(torch.empty(2, 4, 9, 10))
    close(run(strange, grad.transpose(2, 3).contiguous().transpose(2, 3)), run(arguments, grad), 0)


# --------------------------------------------------------------------------- impossible values


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e30, -1e30])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("groups", [1, 2])
def test_impossible_offsets_sample_zero(bad: float, dtype: torch.dtype, groups: int, make: Make) -> None:
    arguments = make(shape=(1, 8, 6, 7), bias=False, dtype=dtype, groups=groups)
    arguments["offset"].fill_(bad)
    arguments["input"][0, 0, 0, 0] = float("nan")
    found = run(arguments)
    assert not any(found[name].any() for name in ("output", "input", "offset", "mask", "weight"))


@pytest.mark.parametrize("dtype", list(TOLERANCES), ids=str)
def test_no_number_is_hidden_by_integers(dtype: torch.dtype, make: Make) -> None:
    """Deterministic sums have no NaN and no infinity; the gradient has, all over."""
    arguments = make(dtype=dtype)
    for bad in (float("nan"), float("inf")):
        grad = torch.ones(2, 4, 6, 7, dtype=dtype)
        grad[0, 0, 0, 0] = bad
        assert run(arguments, grad, deterministic=True)["input"].isnan().all()


def test_no_overflow_is_hidden_by_integers(make: Make) -> None:
    """Gradients of the columns that float16 cannot hold, of values that it can."""
    arguments = make(dtype=torch.float16)
    arguments["weight"].fill_(300)
    grad = torch.full((2, 4, 6, 7), 300.0).half()
    assert run(arguments, grad, deterministic=True)["input"].isnan().all()
    assert not run(arguments, grad)["input"].isfinite().all()


@pytest.mark.parametrize("size", [1e-30, 1e-3, 1e25])
def test_integers_have_the_precision_of_the_type(size: float, make: Make, close: Close) -> None:
    """Even where one gradient is much larger than the rest."""
    for dtype in (torch.float64, torch.float32):
        arguments = make(dtype=dtype)
        grad = torch.full((2, 4, 6, 7), size, dtype=dtype)
        grad[1, 0, 0, 0] = 100 * size
        found, expected = (run(arguments, grad, deterministic=d)["input"] for d in (True, False))
        close({"first": found[:1] / size}, {"first": expected[:1] / size}, 1e-15 if dtype == torch.float64 else 1e-6)


# --------------------------------------------------------------------------- bounds


@pytest.mark.skipif(LIBRARY in os.environ, reason="this is what it runs")
def test_stays_within_its_memory(request: pytest.FixtureRequest) -> None:
    """Some of the tests above once more, with bounds checks. The operator's tensors are watched, too."""
    library = compile_for_cpu(request.config.cache.mkdir("dcn_emulated"), sanitize=True)
    names = [f"-print-file-name={name}.so" for name in ("libasan", "libstdc++")]
    runtime = [
        subprocess.run(["g++", name], capture_output=True, text=True, timeout=60).stdout.strip() for name in names
    ]
    variables = {LIBRARY: str(library), "LD_PRELOAD": " ".join(runtime), "ASAN_OPTIONS": "detect_leaks=0"}
    chosen = (
        "ascending and (deterministic and float64 or atomic and (float32 or bfloat16)) or impossible and nan or fine"
    )
    options = ["-q", "-x", "-s", "-p", "no:cacheprovider", "-k", chosen, __file__]
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
