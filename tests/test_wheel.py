"""The wheel as a user has it: built from the source distribution, installed alone, used far from the checkout."""

import json
import os
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from filelock import FileLock

from powerqe import __version__
from powerqe.inference.packaged import FILE
from powerqe.utils.places import WEIGHTS_VARIABLE

pytestmark = pytest.mark.slow

PATIENCE = 120
NO_SOURCE = {".git", ".venv", "build", "data", "dist", "exp"}
LINES = """
import json, powerqe.net.ops.dcn, powerqe.utils.places as places
print(json.dumps([powerqe.__file__, places.IS_CHECKOUT, str(places.data_root())]))
"""


@pytest.fixture(scope="module")
def wheel(root, session_folder) -> Path:
    """Built once per session, without compiler, from an unpacked source distribution."""
    folder = session_folder / "wheel"
    with FileLock(session_folder / "wheel.lock", timeout=2 * PATIENCE):
        if not folder.exists():
            _build_wheel(root, folder)
    (made,) = folder.glob("*.whl")
    return made


def _build_wheel(root: Path, folder: Path) -> None:
    """From links to what the checkout has: setup.py writes beside itself, where other tests read."""
    links, work = folder.with_name("wheel-links"), folder.with_name("wheel-work")
    links.mkdir()
    for path in root.iterdir():
        if path.name not in NO_SOURCE:
            (links / path.name).symlink_to(path)
    _call([sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(links), "sdist", "-d", str(work)], links)
    (archive,) = work.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(work, filter="data")
    source = work / archive.name.removesuffix(".tar.gz")
    line = f"import setuptools.build_meta as backend; backend.build_wheel({str(work)!r})"
    _call([sys.executable, "-c", line], source, POWERQE_DCN_BUILD="none")
    work.rename(folder)


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A fresh environment with nothing but the wheel; its dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (packages,) = folder.rglob("site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(_python(folder)), "install", "--quiet"]
    _call([*pip, "--no-index", "--no-deps", str(wheel)], folder)
    return packages


@pytest.fixture(scope="module")
def run(installed, tmp_path_factory):
    """Runs a command of the environment in an empty folder, which is the working folder of all; returns its output."""
    command = _python(installed.parents[2]).with_name("powerqe")
    here, home = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("home")

    def run(*arguments: str, program: Path = command, **variables: str) -> str:
        cache = str(home / "cache")
        return _call(
            [str(program), *arguments], here, HOME=str(home), XDG_CACHE_HOME=cache, LOCALAPPDATA=cache, **variables
        )

    run.here, run.cache = here, home / "cache"
    return run


def test_a_wheel_is_small_and_has_what_it_should(wheel, root):
    assert wheel.stat().st_size < 30_000_000
    assert wheel.name.endswith("-py3-none-any.whl")  # nothing is compiled
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    assert {name.split("/")[0] for name in names} == {"powerqe", f"powerqe-{__version__}.dist-info"}
    chosen = (root / "weights" / FILE).read_text().split()
    carried = {f"powerqe/weights/{name}.safetensors" for name in chosen}
    assert {name for name in names if name.endswith(".safetensors")} == carried
    options = {f"powerqe/opts/{path.name}" for path in (root / "opts").glob("*.yml")}
    modules = {f"powerqe/{path}" for room in _rooms(root) for path in _modules(root, room)}
    others = {"py.typed", "net/ops/dcn/src/operators.cpp", "evaluation/report/page.html", "weights/index.json"}
    assert options | modules | {f"powerqe/{name}" for name in others} <= names


@pytest.mark.skipif(os.name == "nt", reason="the stand-in of a compiler is a shell script")
def test_a_compiler_makes_the_operator_a_part_of_it(root, tmp_path):
    compiler = tmp_path / "c++"
    compiler.write_text('#!/bin/sh\nwhile [ $# -gt 1 ]; do [ "$1" = -o ] && echo made > "$2"; shift; done\n')
    compiler.chmod(0o755)
    folders = ["--build-lib", str(tmp_path / "made"), "--build-temp", str(tmp_path / "objects")]
    _call([sys.executable, "setup.py", "-q", "build_ext", *folders], root, CXX=str(compiler), POWERQE_DCN_BUILD="cpu")
    (made,) = (tmp_path / "made").rglob("*.so")
    assert made.relative_to(tmp_path / "made").as_posix() == "powerqe/net/ops/dcn/powerqe_dcn_cpu.so"


def test_only_powerqe_is_installed(installed):
    found = {path.name for path in installed.iterdir() if path.name != "__pycache__"}
    assert found == {"powerqe", f"powerqe-{__version__}.dist-info", "dependencies.pth"}
    metadata = (installed / f"powerqe-{__version__}.dist-info/METADATA").read_text(encoding="utf-8")
    assert "Project-URL: Homepage, https://github.com/ryanxingql/powerqe" in metadata


def test_it_needs_no_checkout(run, installed):
    found = json.loads(run("-c", LINES, program=_python(installed.parents[2])))
    assert found == [str(installed / "powerqe/__init__.py"), False, "data"]


def test_version(run):
    assert run("--version").split() == ["powerqe", __version__]


def test_enhance_chooses_weights_by_itself(run):
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8), (48, 40))
    cv2.imwrite(str(run.here / "photo.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 10])
    run("enhance", "photo.jpg", "--device", "cpu")
    assert cv2.imread(str(run.here / "enhanced/photo.png")).shape == (40, 48, 3)


def test_weights_are_listed_and_fetched_into_the_users_cache(run, root):
    name = "arcnn-bsds500-qf10"
    rows = {line.split()[0]: line for line in run("weights", "list").splitlines()}
    assert " by hand " in rows[name]
    assert " here " in rows["restore-color"]
    assert " fetch " in rows["fbcnn-gray"]
    run("weights", "fetch", name, "--from", str(root / "weights"))
    assert (run.cache / "powerqe/weights" / f"{name}.safetensors").is_file()
    own = run.here / "own"
    run("weights", "fetch", name, "--from", str(root / "weights"), **{WEIGHTS_VARIABLE: str(own)})
    assert [path.name for path in own.iterdir()] == [f"{name}.safetensors"]


def test_train_with_a_file_and_with_a_name(run):
    for number in range(3):
        image = np.random.default_rng(number).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        for folder in ("gt", "lq"):
            (run.here / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(run.here / folder / f"{number}.png"), image)
    data = {"type": "PairedImages", "gt": "gt", "lq": "lq"}
    tree = {
        "device": "cpu",
        "network": {"type": "ARCNN", "hidden_channels": [4, 4], "kernel_sizes": [3, 1, 3]},
        "dataset": {"train": data | {"slice": [0, 2], "patch": 16, "bs_pg": 1, "nworker_pg": 0},
                    "val": data | {"slice": [2, 3]}},
        "algorithm": {"type": "Regression", "loss": {"MSE": {}}, "optimizer": {"type": "Adam", "lr": 1e-3}},
        "train": {"niter": 3, "inter_print": 1, "inter_val": 3},
    }  # fmt: skip
    (run.here / "tiny.yml").write_text(yaml.safe_dump({"defaults": tree, "cases": {"c": {}}}))
    run("train", "--opt", "tiny.yml", OMP_NUM_THREADS="1")
    assert (run.here / "exp/tiny-c/ckp-3.pt").is_file()
    resolved = yaml.safe_load(run("train", "--opt", "arcnn", "--case", "div2k-qf10", "--print-options"))
    assert resolved["defaults"]["name"] == "arcnn-div2k-qf10"


def _call(command: list[str], folder: Path, **variables: str) -> str:
    """The output of a command that must succeed, and that finds no checkout by the environment."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", WEIGHTS_VARIABLE)}
    done = subprocess.run(command, cwd=folder, env=environment | variables, capture_output=True, text=True,
                          timeout=PATIENCE, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _python(environment: Path) -> Path:
    return next(path for path in (environment / "bin/python", environment / "Scripts/python.exe") if path.exists())


def _rooms(root: Path) -> list[str]:
    return [path.parent.name for path in root.glob("*/__init__.py") if path.parent.name not in ("powerqe", "tests")]


def _modules(root: Path, room: str) -> list[str]:
    return [str(path.relative_to(root).as_posix()) for path in (root / room).rglob("*.py")]
