"""Weights in and out: our own files, training checkpoints, and the official checkpoints of each method.

There is one way in: read the file, find the state dicts in it, give their tensors our names, take the
state that fits the network. Nothing in a file is ever executed.

What upstream calls a tensor is known to the network alone: its method `upstream_name(name)` returns our
name for a tensor of the official checkpoint, None for one that we do not need, and any other name as
it is; it raises a UserError for a name by which it knows the file of a network that computes something else.
Several upstream names may mean one tensor of ours (a shared layer): they must then be equal. Constants
that some checkpoints hold and others do not, a network names in `optional_weights`.
"""

import json
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from powerqe.net.weights.index import find
from powerqe.net.weights.pickled import read_modules
from powerqe.net.weights.tensorflow_checkpoint import index_file, pytorch_layout, read_variables
from powerqe.utils.checkpoint import load_checkpoint
from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path
from powerqe.utils.options.registry import nearest

# Where a file may keep state dicts, best first; "*" is any key. A file with none of these is a state dict.
_PLACES = (
    ("ema", "*"),  # our training checkpoints
    ("networks", "*"),
    ("params_ema",),  # BasicSR, KAIR
    ("params",),
    ("state_dict",),  # MMEditing, PowerQE v3
    ("network", "*"),  # PowerQE v2
    ("module_net",),  # PowerQE v1
    ("module_gen",),
    ("module_dis",),
)
_PARTS = ("", "generator.", "discriminator.")  # one MMEditing state dict holds several networks
_WRAPPERS = re.compile(r"^(?:(?:module|_orig_mod)\.)+")  # DistributedDataParallel, AveragedModel, torch.compile
_NO_WEIGHTS = "n_averaged"  # the counter of AveragedModel

# PowerQE v1 keeps its best score as a NumPy float64. NumPy 2 renamed the module of its pickled form.
_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY_FLOAT64: list[Any] = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    type(np.dtype(np.float64)),
]


def load_weights(network: nn.Module, path: str | os.PathLike[str], skip: Sequence[str] = ()) -> list[str]:
    """Load the weights of a file into a network, on the device where the network is.

    Reads our .safetensors and training checkpoints (the moving average when there is one) and what the
    methods' authors published: whole pickled networks, too, and TensorFlow's checkpoints, by their prefix or the name
    of one of their files, or as an .npz of their variables. The network is changed only if everything fits.

    Args:
        path: the file, or the name of published weights.
        skip: parts of the network, such as `tail` or `body.3`; their weights that are not in the file, or not
            in this shape, stay as they are, and those that only the file has are not needed.

    Returns:
        Names of the weights that stayed as they were.

    Raises:
        UserError: no such file or name, damaged, no weights in it, pickled code in it, or weights that do not
            fit, with the names that are missing, unexpected, of another shape, or shared only here; the
            network knows them as those of another one; it has no such part to skip.
    """
    path = find(path)
    _check_parts(network, skip)
    states = list(_states(_read(path)))
    if not states:
        raise UserError(f"{path} holds no weights; give a .safetensors file or a checkpoint")
    try:
        fit = min((_fit(network, state).without(skip) for state in states), key=lambda fit: fit.num_problems)
    except UserError as error:  # of the network's upstream_name
        raise UserError(f"{path}: {error}") from None
    if fit.num_problems:
        raise UserError(
            f"{path} does not fit this {type(network).__name__}: {fit.report()}; "
            "build the network with the options with which it was trained"
        )
    network.load_state_dict(fit.tensors, strict=False)  # not strict: of shared tensors one name is enough
    return fit.skipped


def save_weights(network: nn.Module, path: str | os.PathLike[str], metadata: dict[str, str] | None = None) -> None:
    """Write the weights of a network to a .safetensors file, shared tensors once.

    Raises:
        UserError: the path has another suffix.
        OSError: the file cannot be written; an older one of the name is then still there.
    """
    if Path(path).suffix != ".safetensors":
        raise UserError(f"{path}: weights are written as .safetensors, give a name that ends so")
    state = network.state_dict(keep_vars=True)
    once = {name: state[name] for name in dict.fromkeys(_first_names(state).values())}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _unwrapped(once.items()).items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(tensors, metadata))


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a .safetensors file; empty when it has none.

    Raises:
        UserError: no such file, or it is damaged or of another format.
    """
    if not Path(path).is_file():
        raise UserError(f"no weights file {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:  # pyright: ignore[reportPrivateImportUsage]
            return file.metadata() or {}
    except safetensors.SafetensorError:
        raise UserError(f"{path} is damaged or no .safetensors file") from None


def spec(path: str | Path) -> dict[str, Any]:
    """The network of published weights, or of one of our training checkpoints, as `net.build_network` takes it.

    Raises:
        UserError: no such file, damaged, or it does not tell its network.
    """
    if Path(path).suffix == ".pt":
        return dict(load_checkpoint(path)["options"]["network"])
    told = read_metadata(path).get("network")
    if told is None:
        raise UserError(f"{path} does not tell its network; give a file written by powerqe publish")
    return json.loads(told)


def numbered(name: str, prefixes: Sequence[str], layers: Sequence[str]) -> str:
    """For `upstream_name`: `<prefix>.N.<tensor>` -> `<layers[N]>.<tensor>`, other names as they are."""
    prefix, _, rest = name.partition(".")
    index, _, tensor = rest.partition(".")
    if prefix not in prefixes or not index.isdecimal() or int(index) >= len(layers):
        return name
    return f"{layers[int(index)]}.{tensor}"


def renamed(name: str, rules: Iterable[tuple[str, str]]) -> str:
    """For `upstream_name`: replace each (pattern, replacement) of regular expressions in turn."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def is_under(name: str, prefixes: Iterable[str]) -> bool:
    """Is `body.0.weight` one of, or in one of, `body`, `head`, ...?"""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


# --------------------------------------------------------------------------- from the file to state dicts


def _read(path: Path) -> Any:
    if index := index_file(path):
        return _read_tensorflow(index)
    if not path.is_file():
        raise UserError(f"no weights file {path}")
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a reader's remarks on a file that it then refuses
        try:
            if path.suffix == ".safetensors":
                return dict(sorted(safetensors.torch.load(file.read()).items()))  # the library gives any order
            if path.suffix == ".npz":
                arrays = {name: array for name, array in np.load(file).items() if array.dtype.kind in "fiu"}
                return {name: pytorch_layout(torch.from_numpy(array)) for name, array in arrays.items()}
            with torch.serialization.safe_globals(_NUMPY_FLOAT64):
                return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # bytes that are no checkpoint make the readers fail in any way
            if code := re.search(r"GLOBAL `?([\w.]+)", str(error)):
                return _read_pickled(path, code[1])
            raise _damaged(path) from None


def _read_tensorflow(index: Path) -> dict[str, Tensor]:
    try:
        return {name: pytorch_layout(variable) for name, variable in read_variables(index).items()}
    except UserError:
        raise
    except Exception:
        raise _damaged(index) from None


def _read_pickled(path: Path, code: str) -> dict[str, Any]:
    """The weights of whole networks in a file that names code, in the layout of a checkpoint."""
    try:
        modules = read_modules(path)
    except Exception:
        raise _damaged(path) from None
    if not modules:
        raise UserError(f"{path} holds code ({code}), which is not run; save plain tensors")
    return {"networks": modules}


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is truncated, damaged or no checkpoint")


def _states(checkpoint: Any) -> Iterator[dict[str, Tensor]]:
    """Every state dict of a checkpoint, names without wrappers, the preferred one first."""
    for state in [state for place in _PLACES for state in _mappings(checkpoint, place)] or _mappings(checkpoint, ()):
        tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        for part in _PARTS:
            names = (name for name in tensors if str(name).startswith(part))
            if weights := _unwrapped((str(name).removeprefix(part), tensors[name]) for name in names):
                yield weights


def _mappings(tree: Any, place: tuple[str, ...]) -> list[Mapping[Any, Any]]:
    found = [tree]
    for key in place:
        found = [
            value for part in found if isinstance(part, Mapping) for name, value in part.items() if key in ("*", name)
        ]
    return [part for part in found if isinstance(part, Mapping)]


def _unwrapped(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    return {_WRAPPERS.sub("", name): tensor for name, tensor in tensors if name != _NO_WEIGHTS}


# --------------------------------------------------------------------------- from a state dict to the network


@dataclass
class _Fit:
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

    def without(self, parts: Sequence[str]) -> "_Fit":
        """The same, with no complaint about these parts of the network."""
        return _Fit(
            self.tensors,
            [name for name in self.missing if not is_under(name, parts)],
            {found: name for found, name in self.unexpected.items() if not is_under(name, parts)},
            {name: text for name, text in self.misshaped.items() if not is_under(name, parts)},
            self.unequal,
            [name for name in (*self.missing, *self.misshaped) if is_under(name, parts)],
        )

    def report(self) -> str:
        kinds = {
            "missing": self.missing,
            "unexpected": list(self.unexpected),
            "of another shape": list(self.misshaped.values()),
            "shared by the network but not in the file (share_weights: false?)": list(self.unequal.values()),
        }
        return ", ".join(f"{len(names)} {kind} ({_few(names)})" for kind, names in kinds.items() if names)


def _check_parts(network: nn.Module, parts: Sequence[str]) -> None:
    names = list(network.state_dict())
    for part in parts:
        if not any(is_under(name, [part]) for name in names):
            known = list(dict.fromkeys(name.partition(".")[0] for name in names))
            raise UserError(
                f"skip: {type(network).__name__} has no weights under {part!r}{nearest(part, known)}; "
                f"it has: {', '.join(known)}"
            )


def _fit(network: nn.Module, state: Mapping[str, Tensor]) -> _Fit:
    own = network.state_dict(keep_vars=True)
    first_names = _first_names(own)
    upstream_name: Callable[[str], str | None] = getattr(network, "upstream_name", lambda name: name)
    fit = _Fit()
    for found, tensor in state.items():
        name = found if found in own else upstream_name(found)
        if name is None:
            continue
        if name not in own:
            fit.unexpected[found] = name
            continue
        name = first_names[name]
        if tensor.shape != own[name].shape:
            fit.misshaped[name] = f"{name}: {tuple(tensor.shape)} in the file, {tuple(own[name].shape)} in the network"
        elif not _equal(tensor, fit.tensors.setdefault(name, tensor)):
            fit.unequal[name] = f"{name}: {found} differs"
    found = {**fit.tensors, **fit.misshaped}
    optional: Sequence[str] = getattr(network, "optional_weights", ())
    wanted = dict.fromkeys(name for name in first_names.values() if not is_under(name, optional))
    fit.missing = [name for name in wanted if name not in found]
    return fit


def _first_names(state: Mapping[str, Any]) -> dict[str, str]:
    """Each name of a state dict (keep_vars=True) -> the first name of the same tensor."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(tensor), name) for name, tensor in state.items()}


def _equal(a: Tensor, b: Tensor) -> bool:
    return a is b or torch.equal(a, b)


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
