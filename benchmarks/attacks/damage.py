"""Bytes as disks, networks and programs damage them, and values as wrong programs write them."""

import random
from collections.abc import Iterator
from typing import Any

SPECIAL = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f")


def damaged(data: bytes, chance: random.Random) -> bytes:
    """One to four damages: bits, bytes, sizes, blocks that are zero, moved, doubled or missing, and an early end."""
    kinds = (_bits, _special, _zeros, _moved, _doubled, _missing, _end, _noise)
    content = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        chance.choice(kinds)(content, chance)
    return bytes(content)


def _place(content: bytearray, chance: random.Random, longest: int) -> slice:
    # Heads and ends of files say more than their middles.
    near = chance.choice((64, 1024, len(content)))
    start = chance.randrange(min(near, len(content)) or 1)
    if chance.random() < 0.2:
        start = max(0, len(content) - start - 1)
    return slice(start, start + chance.randint(1, longest))


def _bits(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        place = _place(content, chance, 1)
        content[place] = bytes(byte ^ 1 << chance.randrange(8) for byte in content[place])


def _special(content: bytearray, chance: random.Random) -> None:
    mark = chance.choice(SPECIAL)
    start = _place(content, chance, 1).start
    content[start : start + len(mark)] = mark


def _zeros(content: bytearray, chance: random.Random) -> None:
    place = _place(content, chance, 512)
    content[place] = bytes(len(content[place]))


def _noise(content: bytearray, chance: random.Random) -> None:
    place = _place(content, chance, 64)
    content[place] = chance.randbytes(len(content[place]))


def _moved(content: bytearray, chance: random.Random) -> None:
    place = _place(content, chance, 256)
    block = content[place]
    del content[place]
    start = _place(content, chance, 1).start
    content[start:start] = block


def _doubled(content: bytearray, chance: random.Random) -> None:
    place = _place(content, chance, 256)
    content[place] = content[place] * 2


def _missing(content: bytearray, chance: random.Random) -> None:
    del content[_place(content, chance, 256)]


def _end(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(len(content) + 1) :]


# --------------------------------------------------------------------------- values


def changed(tree: Any, values: tuple[Any, ...], chance: random.Random) -> None:
    """Put another value, or none, in one to three places of nested dicts and lists."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        places = list(_places(tree))
        if not places:
            return
        parent, key = chance.choice(places)
        if chance.random() < 0.15:
            del parent[key]
        elif chance.random() < 0.15:
            other, name = chance.choice(places)
            parent[key] = other[name]
        else:
            parent[key] = chance.choice(values)


def _places(tree: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    if depth > 12:
        return
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from _places(tree[key], depth + 1)
