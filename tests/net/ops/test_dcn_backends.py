"""net/ops/dcn/backends.py: which back-end is chosen, and how one is told."""

import builtins
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from powerqe.net.ops import dcn
from powerqe.net.ops.dcn import backends, torchvision_op
from powerqe.utils.errors import UserError

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Makes a back-end unavailable, for a reason."""

    def absent(name: str, reason: str) -> None:
        without = backends.BACKENDS[name]._replace(missing=lambda _: reason)
        monkeypatch.setitem(backends.BACKENDS, name, without)

    return absent


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The back-ends that compute, in order; all are there."""
    names: list[str] = []

    def note(name: str) -> Callable[..., Any]:
        def run(a: Any) -> Any:
            names.append(name)
            return backends.reference.run(a)

        return run

    for name in backends.BACKENDS:
        monkeypatch.setitem(backends.BACKENDS, name, backends._Backend(note(name), lambda _: None))
    monkeypatch.setattr(backends.compiled, "cpu_kernels", lambda: "no")
    return names


def test_the_best_is_chosen(computed: list[str], absent: Callable[[str, str], None], make: Make) -> None:
    absent("compiled", "is not built")
    dcn.deform_conv2d(**make())
    assert computed == ["torchvision"]
    dcn.force_backend(None)
    absent("torchvision", "cannot be imported")
    dcn.deform_conv2d(**make())
    assert computed == ["torchvision", "reference"]
    reason = "compiled is not built, torchvision cannot be imported"
    assert dcn.status() == f"deformable convolution: reference on cpu: {reason}"


def test_the_compiled_operator_comes_first(computed: list[str], make: Make) -> None:
    dcn.deform_conv2d(**make())
    assert computed == ["compiled"]


def test_the_environment_and_the_program_can_ask(
    computed: list[str], monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    monkeypatch.setenv(backends.VARIABLE, "torchvision")
    dcn.deform_conv2d(**make())
    assert dcn.status() == "deformable convolution: torchvision on cpu: requested by POWERQE_DCN"
    dcn.force_backend("reference")
    dcn.deform_conv2d(**make())
    assert dcn.status() == "deformable convolution: reference on cpu: requested by force_backend"
    dcn.force_backend(None)
    dcn.deform_conv2d(**make())
    assert computed == ["torchvision", "reference", "torchvision"]


def test_the_choice_is_made_once_and_logged(monkeypatch: pytest.MonkeyPatch, make: Make) -> None:
    messages: list[str] = []
    monkeypatch.setattr(backends, "logger", SimpleNamespace(info=messages.append))  # alone: no handler of other tests
    for _ in range(3):
        dcn.deform_conv2d(**make())
    assert messages == [dcn.status()]


def test_asking_for_what_there_is_not_is_an_error(
    monkeypatch: pytest.MonkeyPatch, absent: Callable[[str, str], None], make: Make
) -> None:
    with pytest.raises(UserError, match=r"force_backend.*'mmcv'"):
        dcn.force_backend("mmcv")
    monkeypatch.setenv(backends.VARIABLE, "Compiled")
    with pytest.raises(UserError, match=r"POWERQE_DCN.*'Compiled'"):
        dcn.deform_conv2d(**make())
    absent("compiled", "is not built")
    monkeypatch.setenv(backends.VARIABLE, "compiled")
    with pytest.raises(UserError, match="POWERQE_DCN"):
        dcn.status()
    dcn.force_backend("compiled")
    with pytest.raises(UserError, match="force_backend"):
        dcn.status()


def test_what_torch_compile_has_made_follows_the_choice(computed: list[str], make: Make) -> None:
    torch._dynamo.reset()
    function = torch.compile(dcn.deform_conv2d, backend="eager")
    for name in ("reference", "torchvision"):
        dcn.force_backend(name)
        computed.clear()
        function(**make())
        assert set(computed) == {name}


def test_a_torchvision_that_cannot_be_imported_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist\nand more lines")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    why_not = torchvision_op.missing("cpu")
    assert why_not == "cannot be imported (operator torchvision::nms does not exist)"


def test_an_unknown_device_gets_the_reference() -> None:
    assert "mps" in (backends.compiled.missing("mps") or "")
    assert backends.BACKENDS["reference"].missing("mps") is None


def test_importing_loads_neither_torchvision_nor_a_library(root: Path) -> None:
    program = (
        "import sys, torch\nfrom powerqe.net.ops import dcn\n"
        "assert 'torchvision' not in sys.modules\n"
        "assert not hasattr(torch.ops.powerqe, 'deform_conv2d_cpu_kernels')"
    )
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True, timeout=120)
