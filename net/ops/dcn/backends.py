"""Which of the three back-ends computes: the compiled operator, else torchvision's, else the reference.

The choice is made once for each type of device, at first use, and logged. POWERQE_DCN=compiled,
torchvision or reference takes it away from the program, `force_backend` (the option `dcn`) from the environment.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from powerqe.net.autocast import is_autocast
from powerqe.net.ops.dcn import compiled, reference, torchvision_op
from powerqe.net.ops.dcn.deform_inputs import DeformInputs
from powerqe.utils.errors import UserError
from powerqe.utils.log import logger

VARIABLE = "POWERQE_DCN"


class _Backend(NamedTuple):
    run: Callable[[DeformInputs], Tensor]
    missing: Callable[[str], str | None]
    """Why it cannot be used on a type of device; None: it can."""


class _Choice(NamedTuple):
    name: str
    reason: str
    """Why this one and none before it; empty for the best."""


BACKENDS = {
    "compiled": _Backend(compiled.run, compiled.missing),
    "torchvision": _Backend(torchvision_op.run, torchvision_op.missing),
    "reference": _Backend(reference.run, lambda _: None),
}
"""The best first."""

_chosen: dict[str, _Choice] = {}
"""By type of device."""
_forced: str | None = None


def force_backend(name: str | None) -> None:
    """From now on use one back-end on all devices; None or "auto": choose again.

    Raises:
        UserError: there is no such back-end.
    """
    global _forced
    _forced = None if name in (None, "auto") else _known(name, "force_backend")
    _chosen.clear()


@contextmanager
def forced_backend(name: str) -> Iterator[None]:
    """Use one back-end on all devices for a while, see `force_backend`."""
    before = _forced
    force_backend(name)
    try:
        yield
    finally:
        force_backend(before)


def status() -> str:
    """One line: which back-end computes on which type of device, and why.

    Raises:
        UserError: the environment variable POWERQE_DCN names a backend that is not available.
    """
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device in devices:
        _name(device, _forced)
    return "deformable convolution: " + "; ".join(_describe(device) for device in devices)


def run(a: DeformInputs) -> Tensor:
    """Compute with the back-end of the input's device. (N, O, H', W')"""
    device = a.input.device.type
    backend = BACKENDS[_name(device, _forced)]
    if is_autocast(device):  # the arguments have been cast already
        with torch.autocast(device, enabled=False):
            return backend.run(a)
    return backend.run(a)


def _name(device: str, forced: str | None) -> str:
    if device not in _chosen:
        _chosen[device] = _select(device, forced)
        logger.info(f"deformable convolution: {_describe(device)}")
    return _chosen[device].name


# torch.compile does not trace but call it: loading a library cannot be compiled. What it has compiled is compiled again
# when `forced` changes. This is torch.compiler.assume_constant_result, which would load the compiler at once: two
# seconds of every command.
_name._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _select(device: str, forced: str | None) -> _Choice:
    requested = forced or os.environ.get(VARIABLE)
    if requested:
        source = "force_backend" if forced else VARIABLE
        why_not = BACKENDS[_known(requested, source)].missing(device)
        if why_not:
            raise UserError(f"{source}: found {requested}, which {why_not}")
        return _Choice(requested, f"requested by {source}")
    reasons = []
    for name, backend in BACKENDS.items():
        why_not = backend.missing(device)
        if why_not is None:
            break
        reasons.append(f"{name} {why_not}")
    return _Choice(name, ", ".join(reasons))


def _describe(device: str) -> str:
    name, reason = _chosen[device]
    kernels = f" ({compiled.cpu_kernels()} kernels)" if (name, device) == ("compiled", "cpu") else ""
    return f"{name}{kernels} on {device}" + f": {reason}" * bool(reason)


def _known(name: str, source: str) -> str:
    if name not in BACKENDS:
        raise UserError(f"{source}: found {name!r}, expected one of {', '.join(BACKENDS)}")
    return name
