"""How a state dict fits a network, whose class maps the tensor names of the official checkpoints.

Its method `upstream_name(name)` returns our name for a tensor of the official checkpoint, None for one that we do not
need, and any other name unchanged; it raises a UserError for a name of a network that computes something else.
Several upstream names may mean one tensor of ours (a shared layer): they must then be equal. Constants
that some checkpoints hold and others do not, a network names in `optional_weights`. Where upstream computes with other
numbers, a sign for one, the method `upstream_state(state)` changes those first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from powerqe.net.weights.names import State, is_under
from powerqe.utils.errors import UserError


@dataclass
class Fit:
    """How a state dict fits a network: what can be loaded, and what stands against it."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: dict[str, str] = field(default_factory=dict)
    misshaped: dict[str, str] = field(default_factory=dict)
    unequal: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    @property
    def num_problems(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.misshaped) + len(self.unequal)

    def without(self, parts: Sequence[str]) -> "Fit":
        """The same, with no complaint about these parts of the network."""
        return Fit(
            self.tensors,
            [name for name in self.missing if not is_under(name, parts)],
            {found: name for found, name in self.unexpected.items() if not is_under(name, parts)},
            {name: text for name, text in self.misshaped.items() if not is_under(name, parts)},
            self.unequal,
            [name for name in (*self.missing, *self.misshaped) if is_under(name, parts)],
        )

    def report(self) -> str:
        """All that stands against it, in words."""
        kinds = {
            "missing": self.missing,
            "unexpected": list(self.unexpected),
            "of another shape": list(self.misshaped.values()),
            "shared by the network but not in the file (share_weights: false?)": list(self.unequal.values()),
        }
        return ", ".join(f"{len(names)} {kind} ({few(names)})" for kind, names in kinds.items() if names)


def fit_of(network: nn.Module, state: State) -> Fit:
    """Compare names and shapes of a state dict with those of a network.

    Raises:
        UserError: the names are those of another network.
    """
    own = network.state_dict(keep_vars=True)
    first = first_names(own)
    upstream_name: Callable[[str], str | None] = getattr(network, "upstream_name", lambda name: name)
    upstream_state: Callable[[State], State] = getattr(network, "upstream_state", dict)
    fit = Fit()
    for found, tensor in upstream_state(state).items():
        name = found if found in own else upstream_name(found)
        if name is None:
            continue
        if name not in own:
            fit.unexpected[found] = name
            continue
        name = first[name]
        if tensor.shape != own[name].shape:
            fit.misshaped[name] = f"{name}: {tuple(tensor.shape)} in the file, {tuple(own[name].shape)} in the network"
        elif not _equal(tensor, fit.tensors.setdefault(name, tensor)):
            fit.unequal[name] = f"{name}: {found} differs"
    found = {**fit.tensors, **fit.misshaped}
    optional: Sequence[str] = getattr(network, "optional_weights", ())
    wanted = dict.fromkeys(name for name in first.values() if not is_under(name, optional))
    fit.missing = [name for name in wanted if name not in found]
    return fit


def first_names(state: Mapping[str, Any]) -> dict[str, str]:
    """Each name of a state dict (keep_vars=True) -> the first name of the same tensor."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(tensor), name) for name, tensor in state.items()}


def _equal(a: Tensor, b: Tensor) -> bool:
    return a is b or torch.equal(a, b)


def check_finite(tensors: State, path: Path) -> None:
    """Raise `UserError` for weights with NaN or infinite values."""
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise UserError(
            f"{path}: {len(broken)} of {len(tensors)} tensors hold NaN or infinite values ({few(broken)}); "
            "the training has diverged or the file is damaged: take another one"
        )


def few(names: list[str]) -> str:
    """The first three names."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
