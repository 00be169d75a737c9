"""All metadata is in pyproject.toml; here is what goes into a wheel, and what compiles the operators, if they can be.

PyTorch has to be there already, and visible to the build: pip install --no-build-isolation -e .
"""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

OPERATORS = "powerqe.net.ops.dcn"
ROOMS = ["algorithm", "data_pre_process", "dataset", "evaluation", "inference", "net", "utils"]
"""Folders of the checkout that are packages of powerqe."""
WEIGHTS = Path(__file__).parent.joinpath("weights/in_wheel.txt").read_text(encoding="utf-8").split()
"""Those that `powerqe enhance` chooses by itself (inference/packaged.py); others are fetched."""
DATA = {
    "powerqe": ["py.typed"],
    "powerqe.evaluation.report": ["page.html", "style.css", "page.js"],
    "powerqe.net.ops.dcn": ["build.sh", "src/*"],
    "powerqe.opts": ["*.yml"],
    "powerqe.weights": ["index.json", "official.json", "in_wheel.txt", *(f"{name}.*" for name in WEIGHTS)],
}
"""Data files of packages."""


def _load_build() -> ModuleType:
    """net/ops/dcn/build.py by its path: importing it by name needs PyTorch."""
    spec = importlib.util.spec_from_file_location("dcn_build", Path(__file__).parent / "net/ops/dcn/build.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("net/ops/dcn/build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BUILD = _load_build()

LIBRARIES = () if os.environ.get(BUILD.VARIABLE) == "none" else BUILD.LIBRARIES
"""Compiled operators of the wheel; without any it fits all systems."""


class BuildOperators(build_ext):
    """Leaves out what cannot be built, with a line that gives the reason: everything works without it, but slower."""

    def build_extension(self, ext: Extension) -> None:
        library = next(library for library in BUILD.LIBRARIES if ext.name == f"{OPERATORS}.{library.name}")
        path = Path(self.get_ext_fullpath(ext.name))
        path.parent.mkdir(parents=True, exist_ok=True)
        BUILD.build(library, path, Path(self.build_temp))

    def get_ext_filename(self, fullname: str) -> str:
        """No module of one Python version but a library that any Python can load."""
        return str(Path(*fullname.split("."))) + ".so"


setup(
    packages=[
        *find_packages(include=["powerqe*"]),
        *(f"powerqe.{name}" for name in find_packages(include=[f"{room}*" for room in ROOMS])),
        "powerqe.opts",
        "powerqe.weights",
    ],
    package_dir={"powerqe": "powerqe"} | {f"powerqe.{folder}": folder for folder in (*ROOMS, "opts", "weights")},
    package_data=DATA,
    ext_modules=[Extension(f"{OPERATORS}.{library.name}", sources=[], optional=True) for library in LIBRARIES],
    cmdclass={"build_ext": BuildOperators},
)
