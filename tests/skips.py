"""Which tests may be skipped. Where CI or POWERQE_STRICT_SKIPS is set, every other skip is a failure.

A test that needs data which may not be part of the repository is marked with their names, and finds them below the
fixture `data_folder`: `@pytest.mark.needs_data("live1")`. One that needs a GPU is marked `cuda`.
"""

import os
import re
from collections.abc import Generator
from pathlib import Path

import pytest

DATA_VARIABLE = "POWERQE_TEST_DATA"
DATA = Path(os.environ.get(DATA_VARIABLE) or Path(__file__).resolve().parents[1] / "data")
HOW_TO_GET = {
    "live1": "the 29 reference images of the LIVE image quality database",
    "classic5": "the five gray 512x512 images that JPEG papers test on",
    "bsds500/val": "the validation images of BSDS500",
    "dncnn3.pth": "from the releases of github.com/cszn/KAIR",
}
NEEDS = "needs {name}: {how}, in $" + DATA_VARIABLE + " or data/ (docs/data.md)"

EXPECTED = (
    re.escape(NEEDS.partition("{")[0]) + f"({'|'.join(HOW_TO_GET)}):",
    "no GPU",
    "there is a GPU",
    "there is one GPU only",
    "of GPU memory",
    "CUDA",
    "libbpg",
    "pyiqa",  # its license is for non-commercial use only
    "this processor can run",
    "on another device",
    "promises no memory",
    "the peak is asked of Linux",
    "only Linux",
)
"""Parts, as regular expressions, of the reasons that depend on the machine alone."""


def is_strict() -> bool:
    return any(os.environ.get(name) for name in ("CI", "POWERQE_STRICT_SKIPS"))


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def is_expected(reason: str) -> bool:
    return any(re.search(part, reason) for part in EXPECTED)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Where the data of `needs_data` are."""
    return DATA


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") and not _has_gpu():
        pytest.skip("there is no GPU")
    for name in (name for marker in item.iter_markers("needs_data") for name in marker.args):
        if not (DATA / name).exists():
            pytest.skip(NEEDS.format(name=name, how=HOW_TO_GET[name]))


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    """An unexpected skip becomes a failure."""
    if report.skipped and not hasattr(report, "wasxfail") and is_strict():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not is_expected(reason):
            report.outcome = "failed"
            report.longrepr = f"{reason}\nThis skip is not among those that tests/skips.py expects."


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse(report)
    return report
