"""net/ops/dcn/build.py: what it says where something is not there, and what it asks of the compilers.

That it compiles is seen by all tests of the compiled operator.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from powerqe.net.ops.dcn import build, simple_check


@pytest.fixture
def torch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The headers of a PyTorch 2.11 for CUDA 13, the only one that is found."""
    folder = tmp_path / "site/torch"
    (folder / "include/torch/csrc/stable").mkdir(parents=True)
    (folder / "include/torch/csrc/stable/library.h").touch()
    (folder / "version.py").write_text("__version__ = '2.11.1+cu130'\ncuda: Optional[str] = '13.0'\n")
    (folder / "__init__.py").touch()
    monkeypatch.setattr(build, "find_spec", lambda _: type("Spec", (), {"origin": str(folder / "__init__.py")}))
    for variable in (build.VARIABLE, "CXX", "CUDA_HOME", "CUDA_PATH", "TORCH_CUDA_ARCH_LIST"):
        monkeypatch.delenv(variable, raising=False)
    return folder


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def nvcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An nvcc that says what it is, and notes how it is called."""
    lines = ['case "$1" in', "--version) echo 'Cuda compilation tools, release 13.0, V13.0.88';;"]
    lines += ["--list-gpu-arch) printf 'compute_75\\ncompute_80\\ncompute_90\\ncompute_120\\n';;"]
    path = script(tmp_path / "cuda/bin/nvcc", "\n".join([*lines, "esac"]))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    script(tmp_path / "empty/nvidia-smi", "exit 9")
    monkeypatch.setenv("PATH", f"{tmp_path / 'empty'}:/usr/bin:/bin")
    return path


def words(library: build.KernelLibrary, tmp_path: Path, outcome: build.Outcome = "absent") -> str:
    """What is said where a library cannot be built."""
    said: list[str] = []
    assert build.build(library, tmp_path / "out.so", tmp_path / "objects", said.append) == outcome
    (line,) = said
    assert line.startswith(f"deformable convolution: no {library.device} kernels: ")
    return line


def test_no_pytorch(tmp_path: Path, torch_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "find_spec", lambda _: None)
    assert "PyTorch is not installed" in words(build.CPU, tmp_path)
    assert "--no-build-isolation" in words(build.CPU, tmp_path)


def test_an_old_pytorch(tmp_path: Path, torch_folder: Path) -> None:
    (torch_folder / "version.py").write_text("__version__ = '2.9.1'\n")
    assert "found PyTorch 2.9.1, expected at least 2.11" in words(build.CPU, tmp_path)


def test_no_headers(tmp_path: Path, torch_folder: Path) -> None:
    (torch_folder / "include/torch/csrc/stable/library.h").unlink()
    assert "without its C++ headers" in words(build.CPU, tmp_path)


def test_no_compiler(tmp_path: Path, torch_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no C++ compiler (c++, g++ or clang++) is installed" in words(build.CPU, tmp_path)
    monkeypatch.setenv("CXX", "icpx -fast")
    assert "no C++ compiler icpx -fast is installed" in words(build.CPU, tmp_path)


def test_switched_off(tmp_path: Path, torch_folder: Path, nvcc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(build.VARIABLE, "cpu")
    assert "switched off by POWERQE_DCN_BUILD=cpu" in words(build.CUDA, tmp_path)
    build._tools(build.CPU)
    monkeypatch.setenv(build.VARIABLE, "none")
    assert "switched off by POWERQE_DCN_BUILD=none" in words(build.CPU, tmp_path)
    monkeypatch.setenv(build.VARIABLE, "gpu")
    assert "found 'gpu', expected auto, cpu or none" in words(build.CPU, tmp_path)


def test_a_pytorch_without_cuda(tmp_path: Path, torch_folder: Path, nvcc: Path) -> None:
    (torch_folder / "version.py").write_text("__version__ = '2.11.0+cpu'\ncuda: Optional[str] = None\n")
    assert "PyTorch 2.11.0+cpu was built without CUDA" in words(build.CUDA, tmp_path)


def test_no_nvcc(tmp_path: Path, torch_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "nothing"))
    assert f"nvcc is not in {tmp_path}/nothing/bin (CUDA_HOME)" in words(build.CUDA, tmp_path)


def test_an_nvcc_of_another_cuda(tmp_path: Path, torch_folder: Path, nvcc: Path) -> None:
    nvcc.write_text(nvcc.read_text().replace("release 13.0", "release 12.8"))
    said = words(build.CUDA, tmp_path)
    assert "is of CUDA 12.8, PyTorch 2.11.1+cu130 of 13.0" in said


def test_a_compiler_that_fails_leaves_nothing(
    tmp_path: Path, torch_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.so").write_text("of other sources")
    monkeypatch.setenv("CXX", str(script(tmp_path / "bad++", "echo no >&2; exit 1")))
    assert "bad++ failed (status 1), see its messages above" in words(build.CPU, tmp_path, "failed")
    assert not (tmp_path / "out.so").exists()
    assert "cpu_kernels.cpp" in capsys.readouterr().err


def test_what_is_current_stays(tmp_path: Path, torch_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it could not be built again."""
    (tmp_path / "out.so").write_text(f"library, {build.CPU.stamp()}")
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    assert build.build(build.CPU, tmp_path / "out.so", tmp_path / "objects", said.append) == "there"
    assert "out.so is kept: no C++ compiler" in said[0]


def test_builds_once(tmp_path: Path, torch_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler copies what it is given to what it is to make, and counts."""
    fake = (
        'while [ "$1" != -c ] && [ "$1" != -o ] && [ $# -gt 2 ]; do case "$1" in *stamp*) last=$1;; esac; shift; done'
    )
    lines = [f"echo x >> {tmp_path}/calls", fake, 'case "$1" in -c) cat "$2" > "$4";; *) cat "$last" > "$2";; esac']
    monkeypatch.setenv("CXX", str(script(tmp_path / "fake++", "\n".join(lines))))
    said: list[str] = []
    target, objects = tmp_path / "out.so", tmp_path / "objects"
    assert build.build(build.CPU, target, objects, said.append) == "there"
    assert "built out.so" in said[-1]
    calls = (tmp_path / "calls").read_text()
    assert build.build(build.CPU, target, objects, said.append) == "there"
    assert said[-1] == "deformable convolution: out.so is up to date"
    assert len((tmp_path / "calls").read_text()) - len(calls) <= len("x\n")  # --version
    target.write_text("something else")
    assert build.build(build.CPU, target, objects, said.append) == "there"
    assert "built out.so" in said[-1]


def test_all_usual_gpus_without_one(torch_folder: Path, nvcc: Path) -> None:
    tools = build._tools(build.CUDA)
    assert tools.words == "nvcc 13.0, 7.5 8.0 9.0 12.0+PTX"
    flags = [flag for flag in tools.compile if flag.startswith("-gencode")]
    assert flags[0] == "-gencode=arch=compute_75,code=sm_75"
    assert flags[-1] == "-gencode=arch=compute_120,code=compute_120"
    assert len(flags) == 5


def test_the_gpus_of_this_machine(tmp_path: Path, torch_folder: Path, nvcc: Path) -> None:
    script(tmp_path / "empty/nvidia-smi", "printf '9.0\\n9.0\\n8.0\\n'")
    assert build._tools(build.CUDA).words == "nvcc 13.0, 8.0 9.0"


def test_the_selected_gpus(tmp_path: Path, torch_folder: Path, nvcc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "8.6;9.0a+PTX")
    flags = [flag for flag in build._tools(build.CUDA).compile if flag.startswith("-gencode")]
    assert flags == [
        "-gencode=arch=compute_86,code=sm_86",
        "-gencode=arch=compute_90a,code=sm_90a",
        "-gencode=arch=compute_90a,code=compute_90a",
    ]
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "Hopper")
    assert "TORCH_CUDA_ARCH_LIST: found 'Hopper'" in words(build.CUDA, tmp_path)


def test_nvcc_through_a_link_and_the_headers_of_pip(
    tmp_path: Path, torch_folder: Path, nvcc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_HOME")
    (tmp_path / "links").mkdir()
    (tmp_path / "links/nvcc").symlink_to(nvcc)
    monkeypatch.setenv("PATH", f"{tmp_path}/links:{tmp_path}/empty:/usr/bin:/bin")
    headers = torch_folder.parent / "nvidia/cu13/include"
    headers.mkdir(parents=True)
    command = build._tools(build.CUDA).compile
    assert command[0] == str(nvcc)
    assert command.index(str(headers)) > command.index(str(torch_folder / "include"))


def test_takes_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--help"]) == 2
    assert "POWERQE_DCN_BUILD" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cpu", "cuda", "status"), [("there", "absent", 0), ("absent", "absent", 1), ("there", "failed", 1)]
)
def test_the_status_is_for_make(cpu: str, cuda: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No CUDA is no error, a CUDA source that does not compile is one."""
    monkeypatch.setattr(build, "build", lambda library, *_: {"cpu": cpu, "cuda": cuda}[library.device])
    assert build.main([]) == status


def test_runs_without_anything_installed(root: Path) -> None:
    """pip runs it in an empty environment: it may import Python's own library only."""
    program = "import sys; sys.path[:0] = ['net/ops/dcn']; import build; print(sorted(build._tools.__name__))"
    subprocess.run([sys.executable, "-S", "-c", program], cwd=root, check=True, capture_output=True, timeout=120)


def test_the_simple_check(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert simple_check.main() == 0
    assert "all agree with the reference" in capsys.readouterr().out
    wrong = simple_check.backends.BACKENDS["reference"]._replace(run=lambda a: simple_check.reference.run(a) * 1.001)
    monkeypatch.setitem(simple_check.backends.BACKENDS, "torchvision", wrong)
    assert simple_check.main() == 1
    text = capsys.readouterr().out
    assert "more than 1e-12: DISAGREES" in text
    assert "some DISAGREE with the reference" in text
