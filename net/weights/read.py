"""Files of weights: what they hold, whatever wrote them. Nothing in a file is ever executed.

Read are .safetensors, what `torch.save` wrote (plain tensors in dicts; of whole pickled networks the tensors), .npz and
TensorFlow's checkpoints. Every byte is checked where the format has checksums.
"""

import json
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from powerqe.net.networks import NETWORKS
from powerqe.net.weights.pickled import read_modules
from powerqe.net.weights.tensorflow_checkpoint import index_file, pytorch_layout, read_variables
from powerqe.utils.errors import UserError

# Where a file may keep state dicts, best first; "*" is any key. With none of these it is one, or has them elsewhere.
_PLACES = (
    ("ema", "*"),  # our training checkpoints
    ("networks", "*"),
    ("params_ema",),  # BasicSR, KAIR
    ("params",),
    ("state_dict",),  # MMEditing, Lightning, PowerQE v3
    ("network", "*"),  # PowerQE v2
    ("module_net",),  # PowerQE v1
    ("module_gen",),
    ("module_dis",),
    ("model_state_dict",),  # a common name in other programs
    ("model",),
    ("net",),
    ("netG",),
)
_ANYWHERE: tuple[tuple[str, ...], ...] = ((), ("*",), ("*", "*"))
# MMEditing keeps several networks in one state dict; Lightning's has the network as an attribute of the module.
_PARTS = ("", "generator.", "discriminator.", "model.", "net.", "netG.")
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


@dataclass(frozen=True)
class Content:
    """The content of a file of weights.

    Attributes:
        states: its state dicts, names without wrappers, the preferred one first.
        recorded: the networks recorded in the file, as arguments of `net.build_network`; the tested one first. Only our
            own files have them.
    """

    states: list[dict[str, Tensor]]
    recorded: list[dict[str, Any]]


def read(path: Path) -> Content:
    """Read a file of weights, onto the CPU.

    Raises:
        UserError: no such file, damaged, no weights in it, or pickled code.
    """
    checkpoint = _read(path)
    states = list(_states(checkpoint, _PLACES)) or list(_states(checkpoint, _ANYWHERE))
    if not states:
        raise UserError(f"{path} holds no weights{_found(checkpoint)}; give a .safetensors file or a checkpoint")
    return Content(states, recorded(path, checkpoint))


def recorded(path: Path, checkpoint: Any = None) -> list[dict[str, Any]]:
    """The networks recorded in a file of weights.

    Args:
        checkpoint: the loaded file; not needed for .safetensors.

    Raises:
        UserError: the record is invalid; for .safetensors also as `read_metadata`.
    """
    if path.suffix == ".safetensors":
        text = read_metadata(path).get("network")
        try:
            options = {} if text is None else {"network": json.loads(text)}
        except ValueError:
            raise UserError(f"the network of {path} is unknown: its metadata are not valid JSON") from None
    else:
        ours = isinstance(checkpoint, Mapping) and "format" in checkpoint
        options = checkpoint.get("options") if ours else None
    return _networks(options) if isinstance(options, Mapping) else []


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a .safetensors file; empty when it has none.

    Raises:
        UserError: no such file, or it is damaged or of another format.
    """
    if not path.is_file():
        raise UserError(f"no weights file {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:  # pyright: ignore[reportPrivateImportUsage]
            return file.metadata() or {}
    except (safetensors.SafetensorError, UnicodeDecodeError):
        raise UserError(f"{path} is damaged or no .safetensors file") from None


def unwrapped(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Names without what DistributedDataParallel, torch.compile and AveragedModel put before them."""
    return {_WRAPPERS.sub("", name): tensor for name, tensor in tensors if name != _NO_WEIGHTS}


# --------------------------------------------------------------------------- from the file to its content


def _read(path: Path) -> Any:
    if index := index_file(path):
        return _read_tensorflow(index)
    if not path.is_file():
        raise UserError(f"no weights file {path}")
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about a file that is then rejected
        try:
            if path.suffix == ".safetensors":
                return dict(sorted(safetensors.torch.load(file.read()).items()))  # the library gives any order
            if path.suffix == ".npz":
                arrays = {name: array for name, array in np.load(file).items() if array.dtype.kind in "fiu"}
                return {name: pytorch_layout(torch.from_numpy(array)) for name, array in arrays.items()}
            _check_sums(path)
            with torch.serialization.safe_globals(_NUMPY_FLOAT64):
                return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # bytes that are no checkpoint make the readers fail in any way
            if code := re.search(r"GLOBAL `?([\w.]+)", str(error)):
                return _read_pickled(path, code[1])
            raise _damaged(path) from None


def _check_sums(path: Path) -> None:
    """PyTorch itself does not look at the sums of its zip files; its older format has none."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\3\4":
            return
    with zipfile.ZipFile(path) as archive:
        if part := archive.testzip():
            raise zipfile.BadZipFile(part)


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


def _found(checkpoint: Any) -> str:
    """What is there in the place of weights."""
    if not isinstance(checkpoint, Mapping) or not checkpoint:
        return f": it is {'empty' if isinstance(checkpoint, Mapping) else f'a {type(checkpoint).__name__}'}"
    kinds = ", ".join(sorted({type(value).__name__ for value in checkpoint.values()}))
    return f": it is a mapping to {kinds} without named tensors"


def _states(checkpoint: Any, places: Iterable[tuple[str, ...]]) -> Iterator[dict[str, Tensor]]:
    for state in (state for place in places for state in _mappings(checkpoint, place)):
        tensors = {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, Tensor)}
        for part in _PARTS:
            names = (name for name in tensors if name.startswith(part))
            if weights := unwrapped((name.removeprefix(part), tensors[name]) for name in names):
                yield weights


def _mappings(tree: Any, place: tuple[str, ...]) -> list[Mapping[Any, Any]]:
    found = [tree]
    for key in place:
        found = [
            value for part in found if isinstance(part, Mapping) for name, value in part.items() if key in ("*", name)
        ]
    return [part for part in found if isinstance(part, Mapping)]


def _networks(options: Mapping[Any, Any]) -> list[dict[str, Any]]:
    """The network of an experiment's options, and those that its algorithm adds, such as a discriminator."""
    algorithm = options.get("algorithm")
    parts = algorithm.values() if isinstance(algorithm, Mapping) else ()
    found = [part for part in (options.get("network"), *parts) if isinstance(part, Mapping)]
    return [
        dict(part)
        for part in found
        if isinstance(part.get("type"), str) and (part is found[0] or part["type"] in NETWORKS)
    ]
