"""Damaged stores: each image is read or refused, whatever the file says."""

import json
import random
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from powerqe.benchmarks.attacks.damage import changed, damaged
from powerqe.benchmarks.attacks.inputs import Verdict, try_all
from powerqe.benchmarks.attacks.tally import Tally
from powerqe.dataset.sources import ImageSource
from powerqe.dataset.store import put, write_store
from powerqe.utils.errors import UserError
from powerqe.utils.image.io import encode_image

INDEX, BASICSR_INDEX = b"__powerqe__", "meta_info.txt"
VALUES = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**64, 10**30, -(2**63), 0.5, 1e300, float("nan"), "", "x", "raw", "png",
    "../../x", "\ud800", [], {}, [1, 2], {"a": 1}, [0] * 7, [-1] * 7, [2**62] * 7,
)  # fmt: skip
"""Values to stand in an index."""
KINDS = ("raw", "png", "basicsr")


def stores(folder: Path, count: int, seed: int) -> Tally:
    """Stores of raw pixels, of PNG files and in BasicSR's layout: bytes damaged, indices with other values."""
    tally = Tally("damaged stores")
    chance = np.random.default_rng(0)
    images = {f"{number}": chance.integers(0, 256, (24, 24, 3), np.uint8) for number in range(5)}
    for kind in ("raw", "png"):
        write_store(folder / kind, images.items(), kind)
    _write_basicsr(folder / "basicsr", images)

    def attempt(number: int, place: Path, _log: Path) -> Verdict:
        chance, kind = random.Random(f"{seed} store {number}"), KINDS[number % 3]
        store = place / "store"
        store.mkdir(exist_ok=True)
        for path in (folder / kind).iterdir():
            (store / path.name).write_bytes(path.read_bytes())
        if kind == "basicsr" and chance.random() < 0.4:
            file = store / BASICSR_INDEX
            file.write_bytes(damaged(file.read_bytes(), chance))
        elif kind != "basicsr" and chance.random() < 0.5:
            _change_index(store, chance)
        else:
            file = store / "data.mdb"
            file.write_bytes(damaged(file.read_bytes(), chance))
        return _read(store, images)

    try_all(tally, count, attempt, folder)
    return tally


def _read(store: Path, images: dict[str, np.ndarray]) -> Verdict:
    """Every image is read, every pixel touched; a refused one does not end the others."""
    source, refused = ImageSource(store), 0
    for stem in source.stems():
        try:
            image = source[stem]
        except UserError:
            refused += 1
        else:
            assert image.dtype == np.uint8
            int(image.sum())
    return Verdict("refused" if refused else "read")


def _change_index(store: Path, chance: random.Random) -> None:
    with lmdb.open(str(store), map_size=1 << 24, lock=False) as environment:
        with environment.begin() as transaction:
            index: Any = json.loads(bytes(transaction.get(INDEX) or b"{}"))
        changed(index, VALUES, chance)
        try:
            text = json.dumps(index).encode()
        except ValueError:  # it contains itself, which JSON cannot say
            text = b"{}"
        if chance.random() < 0.3:
            text = damaged(text, chance)
        put(environment, lambda: [(INDEX, text)])


def _write_basicsr(folder: Path, images: dict[str, np.ndarray]) -> None:
    folder.mkdir()
    with lmdb.open(str(folder), map_size=1 << 24, lock=False) as environment:
        put(environment, lambda: [(key.encode(), encode_image(image, ".png")) for key, image in images.items()])
    lines = [f"{key}.png (24,24,3) 1" for key in images]
    (folder / BASICSR_INDEX).write_text("\n".join(lines))
