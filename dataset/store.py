"""Images in one LMDB file: our own store (raw pixels or PNG) and BasicSR's layout (PNG, read only).

LMDB's library has three habits that a training must not suffer from: it reads a value from its first to its last page
whenever it is looked up, once a process has an environment open, its forked children can neither use nor open it, and
a damaged file ends the process. Hence only the writer uses it. The reader maps the file (dataset/lmdb_file.py): an
image is a view of that map, and a crop touches the rows it takes and no others.
"""

import difflib
import json
import mmap
import operator
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lmdb
import numpy as np

from powerqe.dataset.lmdb_file import DATA_FILE, LmdbFile
from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_folder
from powerqe.utils.image.io import decode_image, encode_image

FORMAT = 1
BASICSR_INDEX = "meta_info.txt"

_INDEX_KEY = b"__powerqe__"
BATCH_BYTES = 32 << 20
_LONGEST_KEY = 511  # bytes; LMDB's limit

Codec = Literal["raw", "png"]


class _Record(NamedTuple):
    """Where an image lies: the first byte of its content in the file, and what must be found there."""

    serial: int
    offset: int
    size: int
    height: int
    width: int
    channels: int
    crc32: int


# --------------------------------------------------------------------------- writing


def write_store(
    path: str | os.PathLike[str],
    images: Iterable[tuple[str, np.ndarray]],
    codec: Codec = "raw",
    *,
    map_size: int = 1 << 30,
) -> int:
    """Write images into a new store at `path`, a folder, which appears when it is complete and verified.

    A record is a mark (8 random bytes of the store, 8 of the record's serial number) and the content:
    the pixels (H, W, C) or a PNG file. The index, JSON under the key `__powerqe__`, has format version,
    codec, count and, for each key, serial number, file offset, size, shape and CRC-32 of the content. It
    is written last, so its presence is the mark of completion.

    Args:
        path: the folder; an older store there is replaced.
        images: (key, uint8 (H, W, 3) or (H, W, 1)) pairs; a key is the stem of the image file.
        codec: "raw" is fast to crop from; "png" is small.
        map_size: bytes reserved at first; grows by itself.

    Returns:
        The number of images.

    Raises:
        UserError: no image, a key that comes twice, is too long or reserved, or a full disk.
    """
    with atomic_folder(path) as folder:
        try:
            with lmdb.open(str(folder), map_size=map_size, lock=False, sync=False, metasync=False) as environment:
                writer = _Writer(environment, codec)
                for key, image in images:
                    writer.add(key, image)
                writer.commit()
                writer.write_index(folder / DATA_FILE)
        except lmdb.Error as error:  # for example a full disk
            raise UserError(f"cannot write the store {path}: {error}; free space, or choose another place") from None
        ImageStore(folder).verify()
        return len(writer.records)


class _Writer:
    """Puts records into an environment in batches, each in one transaction."""

    def __init__(self, environment: lmdb.Environment, codec: Codec) -> None:
        self.records: dict[str, _Record] = {}
        self._environment = environment
        self._codec: Codec = codec
        self._id = os.urandom(8)
        self._serial = 0
        # A value of a page or more gets pages of its own, which LMDB never moves.
        self._smallest = environment.stat()["psize"]
        self._batch: list[tuple[str, bytes]] = []
        self._batch_bytes = 0

    def add(self, key: str, image: np.ndarray) -> None:
        if not 0 < len(_bytes(key)) <= _LONGEST_KEY or _bytes(key) == _INDEX_KEY:
            raise UserError(f"image name {key!r} cannot be a key of an LMDB store; rename the file")
        if key in self.records:
            raise UserError(f"two images are called {key}; the names in a store must differ")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3) or image.size == 0:
            raise ValueError(f"{key}: an image is uint8 (H, W, 1 or 3), not {image.dtype} {image.shape}")
        content = image.tobytes() if self._codec == "raw" else encode_image(image, ".png")
        self.records[key] = _Record(-1, -1, len(content), *_shape(image), zlib.crc32(content))
        self._batch.append((key, content))
        self._batch_bytes += len(content)
        if self._batch_bytes >= BATCH_BYTES:
            self.commit()

    def commit(self) -> None:
        """Write the waiting records."""
        put(self._environment, self._marked)
        self._batch, self._batch_bytes = [], 0

    def _marked(self) -> Iterator[tuple[bytes, bytes]]:
        """The waiting records with fresh serial numbers: what an aborted transaction left is never found."""
        for key, content in self._batch:
            self.records[key] = self.records[key]._replace(serial=self._serial)
            mark = _mark(self._id, self._serial)
            yield _bytes(key), (mark + content).ljust(self._smallest, b"\0")
            self._serial += 1

    def write_index(self, file: Path) -> None:
        """Find where the records are in the file, by their marks, and write the index."""
        if not self.records:
            raise UserError("no images to store")
        self._environment.sync(True)
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            self._locate(data)
        index = {
            "format": FORMAT,
            "codec": self._codec,
            "id": self._id.hex(),
            "count": len(self.records),
            "records": dict(sorted(self.records.items())),
        }
        put(self._environment, lambda: [(_INDEX_KEY, json.dumps(index).encode())])
        # Pages that were reserved but never used may be missing at the end; the reader wants them all.
        whole = (self._environment.info()["last_pgno"] + 1) * self._environment.stat()["psize"]
        os.truncate(file, max(whole, file.stat().st_size))

    def _locate(self, data: mmap.mmap) -> None:
        end = 0
        for key, record in self.records.items():
            mark = _mark(self._id, record.serial)
            found = data.find(mark, end)  # records follow each other, but for pages that were used again
            start = (found if found >= 0 else data.find(mark)) + len(mark)
            self.records[key] = record._replace(offset=start)
            end = start + record.size


def put(environment: lmdb.Environment, values: Callable[[], Iterable[tuple[bytes, bytes]]]) -> None:
    """Put keys and values in one transaction, growing the map and repeating it if necessary."""
    while True:
        try:
            with environment.begin(write=True) as transaction:
                for key, value in values():
                    transaction.put(key, value)
            return
        except lmdb.MapFullError:
            environment.set_mapsize(2 * environment.info()["map_size"])


def _shape(image: np.ndarray) -> tuple[int, int, int]:
    height, width, channels = image.shape
    return height, width, channels


def _mark(store: bytes, serial: int) -> bytes:
    return struct.pack("<8sQ", store, serial)


# --------------------------------------------------------------------------- reading


class ImageStore:
    """A store made by `write_store`; picklable, and usable in forked and spawned processes.

    Raises:
        UserError: not an LMDB, not one of ours, half built, truncated, damaged or of another format version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        file = LmdbFile(self.path)
        self._data = file.data
        text = file.get(_INDEX_KEY)
        if text is None:
            raise UserError(f"{self.path} is half built or not a PowerQE store (no index); build it again")
        try:
            self._codec, self._id, self._records = _parsed(self.path, json.loads(bytes(text)))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f"{self.path} has a damaged index ({type(error).__name__}: {error}); build it again"
            ) from None
        self._check_places()

    def __reduce__(self) -> tuple[type["ImageStore"], tuple[Path]]:
        return ImageStore, (self.path,)

    def stems(self) -> list[str]:
        """All keys, sorted."""
        return list(self._records)

    def where(self, key: str) -> str:
        """The name of an image in messages."""
        return f"{self.path}[{key}]"

    def __getitem__(self, key: str) -> np.ndarray:
        """The image as stored, uint8 (H, W, C); of a raw store a read-only view that nothing has read yet.

        Raises:
            UserError: no such key, or a damaged PNG.
        """
        record = self._records.get(key)
        if record is None:
            raise _missing(key, self.path, self._records)
        if self._data[record.offset - 16 : record.offset] != _mark(self._id, record.serial):
            raise UserError(f"{self.where(key)} is not where the index has it; build the store again")
        if self._codec == "raw":
            return np.ndarray(record[3:6], np.uint8, self._data, record.offset)
        return decode_image(self._content(record), "any", self.where(key))

    def contents(self) -> dict[str, str]:
        """Size and checksum of each image, as the index has them."""
        return {key: f"{each.size:,} bytes (checksum {each.crc32:08x})" for key, each in self._records.items()}

    def verify(self) -> None:
        """Read everything; raises `UserError` at the first image whose checksum is wrong."""
        for key, record in self._records.items():
            if zlib.crc32(self._content(record)) != record.crc32:
                raise UserError(f"{self.where(key)} is damaged (checksum); build the store again")

    def _content(self, record: _Record) -> memoryview:
        return self._data[record.offset : record.offset + record.size]

    def _check_places(self) -> None:
        """All records must be in the file, the first and the last with their marks (not so in a compacting copy)."""
        for key, record in self._records.items():
            pixels = record.height * record.width * record.channels
            sound = 0 <= min(record) <= max(record) < 1 << 63 and pixels and record.channels in (1, 3)
            if not sound or record.offset < 16 or (self._codec == "raw" and pixels != record.size):
                raise UserError(f"{self.where(key)} has a damaged entry in the index; build the store again")
        places = sorted(self._records.values(), key=lambda record: record.offset)
        for record in (places[0], places[-1]):
            mark = self._data[record.offset - 16 : record.offset]
            if mark != _mark(self._id, record.serial) or record.offset + record.size > len(self._data):
                raise UserError(f"{self.path} was cut off or rewritten by another program; build it again")
        for key, record in self._records.items():
            if record.offset + record.size > len(self._data):
                raise UserError(f"{self.where(key)} lies outside of the file; build the store again")


def _parsed(path: Path, index: Any) -> tuple[Codec, bytes, dict[str, _Record]]:
    """Codec, mark of the store and records of an index; whatever else it is raises some error."""
    if index.get("format") != FORMAT:
        raise UserError(f"{path} has store format {index.get('format')}, this version reads {FORMAT}; build it again")
    if index["codec"] not in ("raw", "png"):
        raise ValueError(f"codec {index['codec']}")
    if not index["records"] or index["count"] != len(index["records"]):
        raise UserError(f"{path} has {len(index['records'])} of {index['count']} images; build it again")
    records = {key: _Record(*map(operator.index, values)) for key, values in index["records"].items()}
    return index["codec"], bytes.fromhex(index["id"]), records


class BasicSRStore:
    """BasicSR's layout: PNG files in an LMDB, listed in meta_info.txt as `name.png (h,w,c) level`.

    The keys are the names, without .png, or with it as STDF-PyTorch has them (see dataset/stdf_groups.py).
    The shapes there are not always right, so only the names are used.

    Raises:
        UserError: meta_info.txt cannot be understood, or the file is no LMDB.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        lines = (self.path / BASICSR_INDEX).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        names = [line.rsplit(" (", 1)[0] for line in lines if line.strip()]
        if not names or not all(name[:-4] and name.lower().endswith(".png") for name in names):
            raise UserError(f"{self.path / BASICSR_INDEX}: expected lines `name.png (h,w,c) level`; build it again")
        self._keys = dict.fromkeys(sorted(name[:-4] for name in names))
        self._file = LmdbFile(self.path)

    def __reduce__(self) -> tuple[type["BasicSRStore"], tuple[Path]]:
        return BasicSRStore, (self.path,)

    def stems(self) -> list[str]:
        """All keys, sorted."""
        return list(self._keys)

    def where(self, key: str) -> str:
        """The name of an image in messages."""
        return f"{self.path}[{key}]"

    def __getitem__(self, key: str) -> np.ndarray:
        """The image, uint8 (H, W, C); raises `UserError` when it is missing or damaged."""
        content = self._file.get(_bytes(key)) or self._file.get(_bytes(f"{key}.png"))
        if content is None and key in self._keys:
            raise UserError(f"{self.where(key)} is listed in {BASICSR_INDEX} and not there; build the store again")
        if content is None:
            raise _missing(key, self.path, self._keys)
        return decode_image(content, "any", self.where(key))

    def verify(self) -> None:
        """Decode everything; raises `UserError` at the first image that is missing or damaged."""
        for key in self._keys:
            self[key]


def open_store(path: str | os.PathLike[str]) -> "ImageStore | BasicSRStore":
    """Open the LMDB folder `path`, whichever of the two layouts it has."""
    return (BasicSRStore if (Path(path) / BASICSR_INDEX).is_file() else ImageStore)(path)


def _bytes(key: str) -> bytes:
    """A key, which may be the name of a file that is no UTF-8."""
    return key.encode("utf-8", "surrogateescape")


def _missing(key: str, path: Path, known: Iterable[str]) -> UserError:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    return UserError(f"no image {key!r} in the store {path}; the nearest is {near[0]!r}")
