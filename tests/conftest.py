"""What tests of several rooms need: small images, an option file for them, commands run as a user would."""

import functools
import http.server
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

import powerqe.algorithm  # noqa: F401  # whose registries option files need
from powerqe.utils.log import logger, stop_log
from powerqe.utils.places import WEIGHTS_VARIABLE
from powerqe.utils.video.yuv import Frame, Geometry, YUVName, YUVWriter
from tests.processes import ROOT, Forked, environment_of, forked_ranks

pytest_plugins = ["tests.skips", "tests.video_fixtures"]
STANDIN = ROOT / "tests/data/standin"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test first, or one of several processes would end with it while the others have nothing to do."""
    items.sort(key=lambda item: item.name != "test_every_command_works")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one temporary folder of all processes of pytest-xdist."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session", autouse=True)
def no_downloads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the user of this machine has downloaded changes no test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WEIGHTS_VARIABLE, str(tmp_path_factory.mktemp("downloads")))
        yield


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    """A command started by another test in this process leaves no handlers, and `caplog` gets every line once."""
    stop_log()
    logger.propagate = True
    yield
    stop_log()


@pytest.fixture
def url(tmp_path, monkeypatch) -> Iterator[str]:
    """A server's address with the files of the folder `there`."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    (tmp_path / "there").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "there"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(60)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A folder with gt/0.png .. gt/7.png (48x56 RGB, smooth with edges) and lq/ with their JPEGs of QF 10."""
    for name in ("gt", "lq"):
        (tmp_path / name).mkdir()
    generator = np.random.default_rng(0)
    for index in range(8):
        coarse = generator.integers(0, 256, (6, 7, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (56, 48), interpolation=cv2.INTER_CUBIC)
        cv2.rectangle(image, (index, 8), (20 + index, 30), (30 * index, 255, 0), -1)
        cv2.imwrite(str(tmp_path / f"gt/{index}.png"), image)
        jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 10])[1]
        cv2.imwrite(str(tmp_path / f"lq/{index}.png"), cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
    return tmp_path


@pytest.fixture
def tree(pairs: Path) -> dict[str, Any]:
    """The defaults of an option file that trains a tiny AR-CNN on `pairs`: 6 images, 1 to validate, 1 to test."""
    data = {"type": "PairedImages", "gt": str(pairs / "gt"), "lq": str(pairs / "lq")}
    train = {"slice": [0, 6], "patch": 16, "flip": True, "rotate": True}
    train |= {"enlarge_ratio": 5, "bs_pg": 2, "nworker_pg": 0}
    return {
        "network": {"type": "ARCNN", "hidden_channels": [4, 4], "kernel_sizes": [3, 1, 3], "residual": True},
        "dataset": {"train": data | train, "val": data | {"slice": [6, 7]}, "test": data | {"slice": [7, 8]}},
        "algorithm": {"type": "Regression", "loss": {"MSE": {}}, "optimizer": {"type": "Adam", "lr": 1e-3}},
        "train": {"niter": 8, "inter_print": 2, "inter_val": 4, "ema": 0.9},
        "device": "cpu",
    }


@pytest.fixture
def opt(tree: dict[str, Any], pairs: Path) -> Path:
    """`tree` as the option file tiny.yml with the one case c."""
    path = pairs / "tiny.yml"
    path.write_text(yaml.safe_dump({"defaults": tree, "cases": {"c": {}}}))
    return path


def moving_frames(geometry: Geometry, count: int, seed: int = 0, noise: float = 2.0) -> list[Frame]:
    """A band-limited texture that moves by (1, 2) pixels down and right in each frame, with new noise in all planes."""
    random, peak = np.random.default_rng(seed), (1 << geometry.depth) - 1
    planes = []
    for rows, columns in geometry.shapes:
        step = geometry.width // columns
        texture = cv2.GaussianBlur(random.normal(size=(rows + count, columns + 2 * count)), (0, 0), 1.5 / step)
        texture = peak * (0.5 + texture / texture.std() / 6)
        starts = [((count - t) // step, 2 * (count - t) // step) for t in range(count)]
        parts = np.stack([texture[top : top + rows, left : left + columns] for top, left in starts])
        noisy = parts + random.normal(scale=noise * peak / 255, size=parts.shape)
        planes.append(np.rint(noisy).clip(0, peak).astype(geometry.dtype))
    return [Frame(*frame) for frame in zip(*planes, strict=True)]


@pytest.fixture
def frames() -> Callable[..., list[Frame]]:
    """The function `moving_frames`."""
    return moving_frames


@pytest.fixture
def sequence(tmp_path: Path) -> Callable[..., Path]:
    """Writes `moving_frames` to a raw file, named by convention, in a folder inside `tmp_path`."""

    def sequence(name: str = "clip", folder: str = "raw", count: int = 10, **geometry: Any) -> Path:
        shape = Geometry(**{"width": 64, "height": 48} | geometry)
        path = tmp_path / folder / str(YUVName(name, shape.width, shape.height, count))
        with YUVWriter(path, shape) as writer:
            for frame in moving_frames(shape, count):
                writer.write(frame)
        return path

    return sequence


@pytest.fixture
def run(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python <arguments>` in the folder of `pairs`, where exp/ is then made; scripts by their name.

    With a `launcher` (arguments of Python), or anew=True, that is a new Python, else a fork, which is much faster.
    `ranks` processes are started if it is given, as a launcher starts them; the result has the outputs of all.
    """

    def run(
        *arguments: object, launcher: tuple[str, ...] = (), anew: bool = False, ranks: int = 0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        script, *rest = (str(argument) for argument in arguments)
        command = [str(ROOT / script), *rest]
        variables = environment_of(**environment)
        if launcher or anew or not Forked.IS_POSSIBLE:
            many = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}") if ranks else ()
            command = [sys.executable, *(launcher or many), *command]
            return subprocess.run(command, cwd=pairs, env=variables, capture_output=True, text=True, timeout=240)
        if not ranks:
            return Forked(command, pairs, variables, tmp_path_factory.mktemp("said") / "0").result()
        started = forked_ranks([command] * ranks, pairs, tmp_path_factory.mktemp("said") / "all", variables)
        results = [process.result() for process in started]
        worst = max((result.returncode for result in results), key=abs)
        texts = ("".join(result.stdout for result in results), "".join(result.stderr for result in results))
        return subprocess.CompletedProcess(command, worst, *texts)

    return run


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tests/data/standin/pyiqa.py as the package pyiqa, whether or not the real one is installed."""
    spec = importlib.util.spec_from_file_location("pyiqa", STANDIN / "pyiqa.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "pyiqa", module)
    return module
