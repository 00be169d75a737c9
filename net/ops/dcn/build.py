"""Compiles the operator, for build.sh, setup.py and `make`.

Needs a PyTorch of at least 2.11 in the Python that runs this, and g++ or clang++; for the CUDA kernels also nvcc of
the CUDA version that PyTorch was built for. No GPU. What cannot be built is skipped with one line; the
project works without it.

    POWERQE_DCN_BUILD=auto          cpu: without the CUDA kernels; none: nothing
    CXX=g++                         the C++ compiler
    CUDA_HOME=/usr/local/cuda       where nvcc is, if it is not on the path
    TORCH_CUDA_ARCH_LIST="8.0 9.0+PTX"   GPUs to compile for; default: those in this machine, or else all usual ones
    MAX_JOBS=2                      compilers at a time

Only Python's own library is imported: pip may run this where there is nothing else yet.
"""

import hashlib
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "src"
OLDEST_TORCH = (2, 11)
VARIABLE = "POWERQE_DCN_BUILD"

CXX_FLAGS = ("-O3", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi")
NVCC_FLAGS = ("-O3", "-std=c++17", "-Xcompiler=-fPIC,-fvisibility=hidden", "-DUSE_CUDA")
USUAL_GPUS = ("7.5", "8.0", "9.0", "10.0", "12.0")
"""One of each generation: code for 8.0 runs on 8.6 and 8.9, too."""


class CannotBuildError(Exception):
    """Something that is needed is not there; the message is one line."""


class CompilerError(CannotBuildError):
    """All tools are there, but a compiler fails."""


Outcome = Literal["there", "absent", "failed"]


class Unit(NamedTuple):
    """One run of a compiler."""

    source: str
    flags: tuple[str, ...] = ()
    suffix: str = ""
    """Of the object file, where a source is compiled several times."""


class KernelLibrary(NamedTuple):
    """A shared library with the kernels for one type of device."""

    device: str
    units: tuple[Unit, ...]

    @property
    def name(self) -> str:
        return f"powerqe_dcn_{self.device}"

    @property
    def path(self) -> Path:
        """Where build.sh puts it, and where it is looked for."""
        return HERE / f"{self.name}.so"

    def stamp(self) -> str:
        """A mark that is compiled into the library: it identifies the sources."""
        parts = [repr(self.units).encode(), repr((CXX_FLAGS, NVCC_FLAGS)).encode()]
        parts += [path.name.encode() + path.read_bytes() for path in sorted(SOURCES.iterdir()) if path.is_file()]
        return f"powerqe-sources-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:32]}"

    def is_current(self, path: Path | None = None) -> bool:
        """Whether the library exists and was built from the sources as they are now."""
        path = path or self.path
        return path.is_file() and self.stamp().encode() in path.read_bytes()


X86_KERNELS = {
    "avx2": ("-mavx2", "-mfma", "-mf16c"),
    "avx512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mf16c", "-mprefer-vector-width=512"),
}
"""The processors that the kernels are compiled for besides those that any of its kind can run; operators.cpp chooses
one when the program runs."""


def _cpu_units() -> tuple[Unit, ...]:
    is_x86 = platform.machine().lower() in ("x86_64", "amd64") and sys.maxsize > 2**32
    kinds = X86_KERNELS if is_x86 else {}
    extra = (Unit("cpu_kernels.cpp", (f"-DDCN_KERNELS={name}", *flags), f"_{name}") for name, flags in kinds.items())
    return Unit("operators.cpp"), Unit("cpu_kernels.cpp"), *extra


CPU = KernelLibrary("cpu", _cpu_units())
CUDA = KernelLibrary("cuda", (Unit("cuda_kernels.cu"),))
LIBRARIES = (CPU, CUDA)


def build(library: KernelLibrary, to: Path, objects: Path, say: Callable[[str], None] = print) -> Outcome:
    """Compile and link one library, unless it is there and current.

    Args:
        to: file to write. One that is there is removed if it is of other sources and cannot be built again.
        objects: folder for the compilers' output.
        say: called with one line on the result and its reason.

    Returns:
        "there": it is there now; "absent": it cannot be built here; "failed": a compiler failed.
    """
    to, objects = to.resolve(), objects.resolve()
    try:
        tools = _tools(library)
        made_with = objects / f"{library.device}.tools"
        if library.is_current(to) and made_with.is_file() and made_with.read_text(encoding="utf-8") == repr(tools):
            say(f"deformable convolution: {to.name} is up to date")
            return "there"
        _compile(library, tools, to, objects)
        made_with.write_text(repr(tools), encoding="utf-8")
    except CannotBuildError as error:
        if library.is_current(to):
            say(f"deformable convolution: {to.name} is kept: {error}")
            return "there"
        to.unlink(missing_ok=True)
        say(f"deformable convolution: no {library.device} kernels: {error}")
        return "failed" if isinstance(error, CompilerError) else "absent"
    say(f"deformable convolution: built {to.name} ({tools.words})")
    return "there"


def main(arguments: Sequence[str] | None = None) -> int:
    """Build all possible libraries in this folder. Status 1 if the CPU's cannot be built, or if a compiler fails."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments:
        print(f"error: found {' '.join(arguments)!r}: this takes no arguments\n\n{__doc__}", file=sys.stderr)
        return 2
    outcomes = [build(library, library.path, HERE / "build") for library in LIBRARIES]
    return 0 if outcomes[0] == "there" and "failed" not in outcomes else 1


# --------------------------------------------------------------------------- available tools


class _Tools(NamedTuple):
    compile: tuple[str, ...]
    """Command and flags that all sources get."""
    link: tuple[str, ...]
    """Command; the objects and `-o` come next, and the libraries last."""
    libraries: tuple[str, ...]
    words: str
    """The compiler's version, and for what it compiles."""


class _Torch(NamedTuple):
    folder: Path
    version: str
    cuda: str | None
    """Version of CUDA that it was built for."""

    @property
    def flags(self) -> tuple[str, ...]:
        target = f"-DTORCH_TARGET_VERSION=0x{OLDEST_TORCH[0]:02x}{OLDEST_TORCH[1]:02x}000000000000"
        return ("-isystem", str(self.folder / "include"), target)


def _tools(library: KernelLibrary) -> _Tools:
    value = os.environ.get(VARIABLE) or "auto"
    if value not in ("auto", "cpu", "none"):
        raise CannotBuildError(f"{VARIABLE}: found {value!r}, expected auto, cpu or none")
    if value == "none" or (value == "cpu" and library is CUDA):
        raise CannotBuildError(f"switched off by {VARIABLE}={value}")
    torch = _find_torch()
    return _cuda_tools(torch) if library is CUDA else _cpu_tools(torch)


def _find_torch() -> _Torch:
    """PyTorch's headers and versions, without importing it."""
    spec = find_spec("torch")
    if spec is None or not spec.origin:
        isolated = "with pip, install PyTorch first and add --no-build-isolation"
        raise CannotBuildError(f"PyTorch is not installed in {sys.executable} ({isolated})")
    folder = Path(spec.origin).parent
    text = (folder / "version.py").read_text(encoding="utf-8")
    version = _search(r"__version__ = '([^']+)'", text) or "0"
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST_TORCH:
        raise CannotBuildError(f"found PyTorch {version}, expected at least {'.'.join(map(str, OLDEST_TORCH))}")
    if not (folder / "include/torch/csrc/stable/library.h").is_file():
        raise CannotBuildError(f"this PyTorch {version} comes without its C++ headers")
    return _Torch(folder, version, _search(r"cuda(?:: [^=]+)? = '([^']+)'", text))


def _cpu_tools(torch: _Torch) -> _Tools:
    compiler = _cxx()
    libraries = (f"-L{torch.folder / 'lib'}", "-ltorch_cpu")
    return _Tools((*compiler, *CXX_FLAGS, *torch.flags), (*compiler, "-shared"), libraries, _version(compiler))


def _cxx() -> tuple[str, ...]:
    value = os.environ.get("CXX")
    for command in [shlex.split(value)] if value else [["c++"], ["g++"], ["clang++"]]:
        if command and shutil.which(command[0]):
            return tuple(command)
    raise CannotBuildError(f"no C++ compiler {value or '(c++, g++ or clang++)'} is installed")


def _cuda_tools(torch: _Torch) -> _Tools:
    if torch.cuda is None:
        raise CannotBuildError(f"PyTorch {torch.version} was built without CUDA")
    nvidia = torch.folder.parent / "nvidia"  # where pip puts NVIDIA's packages
    nvcc = _find_nvcc(nvidia)
    version = _search(r"release ([\d.]+)", _output((nvcc, "--version"))) or "0"
    if version.split(".")[0] != torch.cuda.split(".")[0]:
        raise CannotBuildError(f"{nvcc} is of CUDA {version}, PyTorch {torch.version} of {torch.cuda}")
    gpus = _gpus(nvcc)
    # After those of the toolkit, which often has a part of the headers only.
    headers = [flag for folder in sorted(nvidia.glob("*/include")) for flag in ("-isystem", str(folder))]
    host = ("-ccbin", _cxx()[0]) if os.environ.get("CXX") else ()
    libraries = (f"-L{torch.folder / 'lib'}", "-ltorch_cuda", "-ltorch_cpu")
    flags = (*NVCC_FLAGS, *host, *_gpu_flags(gpus), *torch.flags, *headers)
    return _Tools((nvcc, *flags), (nvcc, "-shared", *host), libraries, f"nvcc {version}, {' '.join(gpus)}")


def _find_nvcc(nvidia: Path) -> str:
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    if home:
        found = [Path(home, "bin/nvcc")]
    else:
        on_path = shutil.which("nvcc")
        found = [Path(on_path)] if on_path else []
        found += [Path("/usr/local/cuda/bin/nvcc"), *sorted(nvidia.glob("*/bin/nvcc"))]
    for path in found:
        if path.is_file():
            return str(path.resolve())  # nvcc finds its own parts relative to its path
    where = f"{home}/bin (CUDA_HOME)" if home else "the path"
    raise CannotBuildError(f"nvcc is not in {where}; install the CUDA toolkit or set CUDA_HOME")


def _gpus(nvcc: str) -> list[str]:
    """Compute capabilities to compile for, as in TORCH_CUDA_ARCH_LIST: 9.0, or 9.0+PTX for later ones, too."""
    value = os.environ.get("TORCH_CUDA_ARCH_LIST")
    if value:
        gpus = re.split(r"[\s;,]+", value.strip())
        for gpu in gpus:
            if not re.fullmatch(r"\d+\.\d[af]?(\+PTX)?", gpu):
                raise CannotBuildError(f"TORCH_CUDA_ARCH_LIST: found {gpu!r}, expected something like 8.0 or 9.0+PTX")
        return gpus
    known = re.findall(r"compute_(\d+)", _output((nvcc, "--list-gpu-arch")))
    query = ("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader")
    present = sorted(set(re.findall(r"\d+\.\d", _output(query, default=""))))
    if present and all(gpu.replace(".", "") in known for gpu in present):
        return present
    usual = [gpu for gpu in USUAL_GPUS if gpu.replace(".", "") in known]
    if not usual:
        raise CannotBuildError(f"{nvcc} supports none of the GPUs {', '.join(USUAL_GPUS)}; set TORCH_CUDA_ARCH_LIST")
    return [*usual[:-1], f"{usual[-1]}+PTX"]


def _gpu_flags(gpus: Sequence[str]) -> list[str]:
    flags = []
    for gpu in gpus:
        number = gpu.removesuffix("+PTX").replace(".", "")
        flags.append(f"-gencode=arch=compute_{number},code=sm_{number}")
        if gpu.endswith("+PTX"):
            flags.append(f"-gencode=arch=compute_{number},code=compute_{number}")
    return flags


def _version(compiler: Sequence[str]) -> str:
    return (_output((*compiler, "--version"), default="").splitlines() or [compiler[0]])[0]


def _output(command: Sequence[str], default: str | None = None) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        if default is None:
            raise CannotBuildError(f"{command[0]} does not work: {error}") from error
        return default


def _search(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match[1] if match else None


# --------------------------------------------------------------------------- compile


def _compile(library: KernelLibrary, tools: _Tools, to: Path, objects: Path) -> None:
    objects.mkdir(parents=True, exist_ok=True)
    stamp = objects / f"stamp_{library.device}.cpp"
    attributes = '__attribute__((used, visibility("default")))'
    mark = f'extern "C" {{ extern const char {library.name}_sources[] {attributes} = "{library.stamp()}"; }}\n'
    stamp.write_text(mark, encoding="utf-8")
    commands = []
    for unit in (*library.units, Unit(str(stamp))):
        made = objects / f"{library.device}_{Path(unit.source).stem}{unit.suffix}.o"
        commands.append((*tools.compile, *unit.flags, "-c", str(SOURCES / unit.source), "-o", str(made)))
    with ThreadPoolExecutor(_jobs()) as pool:
        list(pool.map(_call, commands))
    linked = to.with_suffix(".tmp")
    made = [command[-1] for command in commands]
    _call((*tools.link, *made, "-o", str(linked), *tools.libraries))
    os.replace(linked, to)


def _call(command: Sequence[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        print(shlex.join(command), result.stdout, result.stderr, sep="\n", file=sys.stderr)
        status = result.returncode
        ending = f"signal {-status}, {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        raise CompilerError(f"{Path(command[0]).name} failed ({ending}), see its messages above")


def _jobs() -> int:
    value = os.environ.get("MAX_JOBS", "")
    return int(value) if value.isdecimal() and int(value) else max(1, os.cpu_count() or 1)


if __name__ == "__main__":
    sys.exit(main())
