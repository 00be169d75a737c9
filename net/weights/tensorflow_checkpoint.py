"""The variables of a TensorFlow checkpoint, read without TensorFlow; nothing in it is executed.

A checkpoint PREFIX of version 2 ("tensor bundle", TensorFlow's tensor_bundle.proto) is PREFIX.index and one or more of
PREFIX.data-00000-of-00001. The index is a table as LevelDB writes it (its table_format.md): a footer points
to the index block, this to the data blocks, which map the name of a variable to a message with its type, shape and
place. All sums (CRC-32C) are checked.
"""

import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from powerqe.utils.errors import UserError

_FILE = re.compile(r"(.+)\.(?:index|data-\d{5}-of-\d{5})")
_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5  # of a block: its compression and its sum
_DTYPES = {
    1: torch.float32,
    2: torch.float64,
    3: torch.int32,
    4: torch.uint8,
    5: torch.int16,
    6: torch.int8,
    9: torch.int64,
    10: torch.bool,
    14: torch.bfloat16,
    19: torch.float16,
}
"""By TensorFlow's number; others, text for one, are no weights."""

Message = dict[int, list[int | bytes]]
"""Values by the number of their field."""


def index_file(path: Path) -> Path | None:
    """The index of the checkpoint of which a path is one of the files, or the prefix; None if it is of none."""
    found = _FILE.fullmatch(path.name)
    if not found and path.is_file():
        return None
    index = path.with_name(f"{found[1] if found else path.name}.index")
    return index if index.is_file() else None


def read_variables(index: Path) -> dict[str, Tensor]:
    """All variables that are numbers, name -> tensor as TensorFlow lays it out.

    Args:
        index: the file that ends in .index; the others are next to it.

    Raises:
        UserError: a file is not there, or the checkpoint is of a kind that TensorFlow's Saver does not write by itself.
        Exception: of any other kind, for a damaged file.
    """
    entries = dict(_table(index.read_bytes(), index))
    header = _message(entries.pop(b""))
    if _number(header, 2):
        raise ValueError("numbers with the most significant byte first")
    files = _DataFiles(index, _number(header, 1))
    variables = {name.decode(): _variable(_message(entry), files, name) for name, entry in entries.items()}
    return {name: variable for name, variable in variables.items() if variable is not None}


def pytorch_layout(variable: Tensor) -> Tensor:
    """A kernel (height, width, in, out) -> (out, in, height, width); any other variable as it is."""
    return variable.permute(3, 2, 0, 1).contiguous() if variable.ndim == 4 else variable


# --------------------------------------------------------------------------- the index


def _table(data: bytes, path: Path) -> Iterator[tuple[bytes, bytes]]:
    footer = data[-_FOOTER:]
    if len(footer) < _FOOTER or struct.unpack("<Q", footer[-8:]) != (_MAGIC,):
        raise ValueError("no table")
    _, position = _handle(footer, 0)  # of an unused block
    place, _ = _handle(footer, position)
    for _, handle in _entries(_block(data, place, path)):
        yield from _entries(_block(data, _handle(handle, 0)[0], path))


class _Place(NamedTuple):
    start: int
    size: int


def _handle(data: bytes, position: int) -> tuple[_Place, int]:
    """A place in the file, and where to read on."""
    start, position = _varint(data, position)
    size, position = _varint(data, position)
    return _Place(start, size), position


def _block(data: bytes, place: _Place, path: Path) -> bytes:
    """The content of a block, which must be whole and not compressed."""
    end = place.start + place.size
    content, trailer = data[place.start : end], data[end : end + _TRAILER]
    compression, total = struct.unpack("<BI", trailer)
    if _unmasked(total) != crc32c(content + trailer[:1]):
        raise ValueError("a block is damaged")
    if compression:
        raise UserError(f"{path} is compressed; save the checkpoint again with TensorFlow's Saver, which does not")
    return content


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values; a key shares a prefix with the previous one."""
    (restarts,) = struct.unpack("<I", block[-4:])
    end, position, key = len(block) - 4 * (restarts + 1), 0, b""
    while position < end:
        shared, position = _varint(block, position)
        more, position = _varint(block, position)
        size, position = _varint(block, position)
        stop = position + more + size
        if shared > len(key) or stop > end:
            raise ValueError("an entry is damaged")
        key = key[:shared] + block[position : position + more]
        yield key, block[position + more : stop]
        position = stop


# --------------------------------------------------------------------------- messages (protocol buffers)


def _message(data: bytes) -> Message:
    fields: Message = {}
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        value: int | bytes
        if tag & 7 == 0:
            value, position = _varint(data, position)
        else:
            size, position = _varint(data, position) if tag & 7 == 2 else ({1: 8, 5: 4}[tag & 7], position)
            value, position = data[position : position + size], position + size
            if position > len(data):
                raise ValueError("a message is damaged")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _number(message: Message, field: int) -> int:
    value = message.get(field, [0])[-1]
    return int.from_bytes(value, "little") if isinstance(value, bytes) else value


def _parts(message: Message, field: int) -> list[Message]:
    return [_message(value) for value in message.get(field, []) if isinstance(value, bytes)]


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A number in sevens of bits, and where to read on."""
    number = 0
    for shift in range(0, 64, 7):
        byte = data[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position
    raise ValueError("a number is damaged")


# --------------------------------------------------------------------------- the numbers


class _DataFiles:
    """The files next to the index, each read once."""

    def __init__(self, index: Path, count: int) -> None:
        self._index, self._count = index, count
        self._contents: dict[int, bytes] = {}

    def read(self, number: int, start: int, size: int) -> bytes:
        if number not in self._contents:
            name = f"{self._index.stem}.data-{number:05d}-of-{self._count:05d}"
            path = self._index.with_name(name)
            if not path.is_file():
                raise UserError(
                    f"{self._index} is the index of a TensorFlow checkpoint; {name} must be in the same folder"
                )
            self._contents[number] = path.read_bytes()
        return self._contents[number][start : start + size]


def _variable(entry: Message, files: _DataFiles, name: bytes) -> Tensor | None:
    dtype = _DTYPES.get(_number(entry, 1))
    if dtype is None:
        return None
    if 7 in entry:
        raise UserError(
            f"{name.decode()} is kept in slices, which are not read; save the checkpoint without partitions"
        )
    shape = [_number(axis, 1) for part in _parts(entry, 2) for axis in _parts(part, 2)]
    data = files.read(_number(entry, 3), _number(entry, 4), _number(entry, 5))
    if len(data) != math.prod(shape) * dtype.itemsize or _unmasked(_number(entry, 6)) != crc32c(data):
        raise ValueError("a variable is damaged")
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape) if data else torch.empty(shape, dtype=dtype)


def _crc_table() -> list[int]:
    table = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
        table.append(number)
    return table


_CRC = _crc_table()


def crc32c(data: bytes) -> int:
    """The sum of Castagnoli's polynomial (RFC 3720, B.4)."""
    total = 0xFFFFFFFF
    for byte in data:
        total = _CRC[(total ^ byte) & 255] ^ total >> 8
    return total ^ 0xFFFFFFFF


def _unmasked(total: int) -> int:
    """LevelDB's sums are rotated and shifted, as sums of data that hold sums are bad ones."""
    rotated = (total - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF
