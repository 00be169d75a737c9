"""Reading LMDB files such that nothing in a damaged file leads outside of it; LMDB's own library would end the process.

The format is that of LMDB 0.9 on 64-bit little-endian machines (mdb.c: MDB_meta, MDB_page, MDB_node).
"""

import mmap
import struct
from pathlib import Path

from powerqe.utils.errors import UserError

DATA_FILE = "data.mdb"
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_HEADER = 16  # bytes of a page before its content
_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4  # kinds of pages
_ELSEWHERE = 1  # flag of a node whose value has pages of its own
_NO_PAGE = (1 << 64) - 1
_DEEPEST = 32  # pages from the root to a leaf; LMDB's own limit
_META = struct.Struct("<II16xIHH40xIHH32xQQQ")
"""Magic, version; page size, flags, depth of the free pages; the same and root of the data; last page, transaction."""


class LmdbFile:
    """The file data.mdb of a folder, by a read-only map, which lives as long as a view of it.

    Attributes:
        data: all bytes.

    Raises:
        UserError: there is no such file, it is no LMDB, or it is cut off.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / DATA_FILE
        try:
            with self._file.open("rb") as stream:
                self.data = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
            self._page, self._root, last = max(self._meta(0), self._meta(1), key=lambda meta: meta[3])[:3]
        except (OSError, ValueError, struct.error) as error:  # an empty file cannot be mapped
            raise UserError(
                f"{folder} is not an LMDB that can be read ({error}); check the path, or build it"
            ) from None
        if len(self.data) < (last + 1) * self._page:
            raise UserError(
                f"{self._file} is cut off ({(last + 1) * self._page} bytes expected); copy or build it again"
            )

    def get(self, key: bytes) -> memoryview | None:
        """The value of a key, not copied; None if there is none.

        Raises:
            UserError: the file is damaged on the way to it.
        """
        try:
            return self._find(key)
        except ValueError as error:
            raise UserError(
                f"{self._file}, key {key.decode(errors='replace')!r}: damaged ({error}); build it again"
            ) from None

    def _meta(self, number: int) -> tuple[int, int, int, int]:
        """Page size, root, last page and transaction of one of the two copies of the head."""
        start = number * (self._meta(0)[0] if number else 0)
        magic, version, page, _, _, _, flags, _, root, last, transaction = _META.unpack_from(self.data, start + _HEADER)
        if (magic, version) != (_MAGIC, _VERSION) or not 256 <= page <= 1 << 16 or flags:
            raise ValueError("no head of LMDB 0.9")
        return page, root, last, transaction

    def _find(self, key: bytes) -> memoryview | None:
        page = self._root
        for _ in range(_DEEPEST if page != _NO_PAGE else 0):
            kind, nodes = self._nodes(page)
            if not nodes:
                raise ValueError(f"page {page} is empty")
            low, high = (1, len(nodes)) if kind == _BRANCH else (0, len(nodes))  # a branch's first key counts as lowest
            while low < high:  # the first node behind the key
                middle = (low + high) // 2
                low, high = (middle + 1, high) if self._key(nodes[middle]) <= key else (low, middle)
            if kind == _LEAF:
                return self._value(nodes[low - 1]) if low and self._key(nodes[low - 1]) == key else None
            first, last, flags = self._numbers("<HHH", nodes[low - 1])
            page = first | last << 16 | flags << 32
        if page != _NO_PAGE:
            raise ValueError("a tree without end")
        return None

    def _nodes(self, page: int) -> tuple[int, list[int]]:
        """Kind of a page, and where its nodes are in the file."""
        start = page * self._page
        kind, end = self._numbers("<HH", start + 10)
        if (
            kind & 0xF not in (_BRANCH, _LEAF)
            or not _HEADER <= end <= self._page
            or start + self._page > len(self.data)
        ):
            raise ValueError(f"page {page} is none of the tree")
        offsets = self._numbers(f"<{(end - _HEADER) // 2}H", start + _HEADER)
        return kind & 0xF, [start + offset for offset in offsets]

    def _key(self, node: int) -> bytes:
        (size,) = self._numbers("<H", node + 6)
        return bytes(self._bytes(node + 8, size))

    def _value(self, node: int) -> memoryview:
        low, high, flags, key_size = self._numbers("<HHHH", node)
        size, start = low | high << 16, node + 8 + key_size
        if flags & ~_ELSEWHERE:
            raise ValueError("several values of one key")
        if flags:
            (page,) = self._numbers("<Q", start)
            (kind,) = self._numbers("<H", page * self._page + 10)
            if not kind & _OVERFLOW:
                raise ValueError(f"page {page} has no value")
            start = page * self._page + _HEADER
        return self._bytes(start, size)

    def _numbers(self, form: str, start: int) -> tuple[int, ...]:
        return struct.unpack(form, self._bytes(start, struct.calcsize(form)))

    def _bytes(self, start: int, size: int) -> memoryview:
        if start + size > len(self.data):
            raise ValueError("a place outside of the file")
        return self.data[start : start + size]
