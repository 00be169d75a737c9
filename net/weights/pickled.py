"""The weights of networks that were pickled whole, as some authors publish them; nothing in the file is executed.

A pickle is a program: it names functions and classes, calls them and hands objects their state. Here every name, but
for two harmless containers, means a class of its own that only keeps what it is given. So reading yields a record of
what would have been made, and the tensors are made from that record, with the sizes checked, by this file.
"""

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

_REAL = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,  # as pickles that Python 2 could read name it
}
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001  # at the start of what PyTorch wrote before 1.6
_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_TENSOR = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
_PARAMETER = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")

_BIG_ENDIAN = "numbers with the most significant byte first"

Content = Callable[[str], bytes]
"""The bytes of a storage by its key."""


def read_modules(path: str | os.PathLike[str]) -> dict[str, dict[str, Tensor]]:
    """The state dict of each module in a file that `torch.save` wrote, old format or new.

    Modules lie in dicts, lists and tuples, or are the file's content themselves.

    Returns:
        place of the module in the file -> name -> tensor; empty when there is none, or PyTorch did not write the file.

    Raises:
        Exception: of any kind, for a damaged file.
    """
    data = Path(path).read_bytes()
    tree, content = (_read_zip if zipfile.is_zipfile(io.BytesIO(data)) else _read_old)(data)
    return {place: dict(_state(module, content)) for place, module in _modules(tree)}


class _Inert:
    """Stands for an object of the pickle, and for what a function would have returned; does nothing.

    `arguments` are what it was called with, `state` what it was handed.
    """

    named: ClassVar[str] = ""
    """What the pickle calls the class or function."""
    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any, **_: Any) -> "_Inert":
        self = super().__new__(cls)
        self.arguments, self.state = arguments, None
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __call__(self, *arguments: Any, **_: Any) -> "_Inert":
        return _Inert(self, *arguments)

    def ignore(self, *_: Any) -> None:
        """What a pickle does with other containers' items."""

    __setitem__ = append = extend = add = ignore


class _Storage(NamedTuple):
    """Where the numbers of a tensor are."""

    dtype: torch.dtype
    key: str


class _Reader(pickle.Unpickler):
    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.dtypes: dict[str, torch.dtype] = {}
        """Of the storages that were named, by their key."""

    def find_class(self, module: str, name: str, /) -> Any:
        return _REAL.get((module, name)) or type("Inert", (_Inert,), {"named": f"{module}.{name}"})

    def persistent_load(self, pid: Any, /) -> Any:
        """PyTorch keeps storages outside of the pickle; its old format also adds the source of each class."""
        if pid[0] == "module":
            return pid[1]
        _, kind, key, *_ = pid
        if len(pid) > 5 and pid[5] is not None:
            raise pickle.UnpicklingError("a storage that is a part of another one, which only PyTorch 0.x wrote")
        dtype = self.dtypes[str(key)] = _DTYPES[kind.named.rpartition(".")[2]]
        return _Storage(dtype, str(key))


def _read_zip(data: bytes) -> tuple[Any, Content]:
    """A zip file with one pickle, data.pkl, and the storages next to it."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    names = archive.namelist()
    pickles = [name for name in names if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        return None, archive.read
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
        raise pickle.UnpicklingError(_BIG_ENDIAN)
    return _Reader(archive.open(pickles[0])).load(), lambda key: archive.read(f"{folder}data/{key}")


def _read_old(data: bytes) -> tuple[Any, Content]:
    """Five pickles in a row, magic number, version, machine, content and keys, then the storages of these keys."""
    file = io.BytesIO(data)
    if _Reader(file).load() != _MAGIC or _Reader(file).load() != _VERSION:
        return None, {}.__getitem__
    if not _Reader(file).load()["little_endian"]:
        raise pickle.UnpicklingError(_BIG_ENDIAN)
    reader = _Reader(file)
    tree, storages = reader.load(), {}
    for key in _Reader(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        storages[key] = file.read(count * reader.dtypes[key].itemsize)
    return tree, storages.__getitem__


def _modules(tree: Any, place: str = "") -> Iterator[tuple[str, _Inert]]:
    """The outermost modules and where they are."""
    if _is_module(tree):
        yield place, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _modules(value, f"{place}.{key}" if place else str(key))
    elif isinstance(tree, (list, tuple)):
        for index, value in enumerate(tree):
            yield from _modules(value, f"{place}[{index}]")


def _is_module(value: Any) -> bool:
    state = value.state if isinstance(value, _Inert) else None
    return isinstance(state, dict) and all(
        isinstance(state.get(part), Mapping) for part in ("_parameters", "_buffers", "_modules")
    )


def _state(module: _Inert, content: Content, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """What `nn.Module.state_dict` would give."""
    state = module.state
    passing = state.get("_non_persistent_buffers_set", ())
    for name, value in (*state["_parameters"].items(), *state["_buffers"].items()):
        if value is not None and name not in passing:
            yield prefix + name, _tensor(value, content)
    for name, child in state["_modules"].items():
        if child is not None:
            yield from _state(child, content, f"{prefix}{name}.")


def _tensor(value: _Inert, content: Content) -> Tensor:
    """The tensor that a call of one of PyTorch's functions would have made."""
    if value.named in _PARAMETER:
        return _tensor(value.arguments[0], content)
    if value.named not in _TENSOR:
        raise pickle.UnpicklingError(f"{value.named} in the place of a tensor")
    storage, offset, size, stride = value.arguments[:4]
    data = bytearray(content(storage.key))
    numbers = torch.frombuffer(data, dtype=storage.dtype) if data else torch.empty(0, dtype=storage.dtype)
    return numbers.as_strided(size, stride, offset)  # which checks that all of them lie within the numbers
