"""Option files as hands and disks damage them: other bytes, tokens, values, keys and aliases."""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import powerqe.algorithm  # noqa: F401 - registers all components
from powerqe.benchmarks.attacks.inputs import Verdict, try_all
from powerqe.benchmarks.attacks.tally import Tally
from powerqe.utils.errors import UserError
from powerqe.utils.options.tree import load_options

VALUES = (
    "null", "~", "''", "true", "off", "-1", "0", "1", "3", "1e3", "4e6", "1e-400", "1e400", "-0.0", ".nan", ".inf",
    "-.inf", "0b_", "0x_", "1_0", "010", "1:30", "1:30.5", "=", "<<", "9" * 30, "-" + "9" * 19, "9" * 5000,
    "0x" + "f" * 5000, "1000000000", "[]", "{}", "[[]]", "[1, 2, 3]", "[a, null]", "{a: 1}", "{1: 2}", "{null: x}",
    "{[1]: 2}", "{? {a: b} : c}", "{1.5: x}", "{true: x}", "{.nan: x}", "{type: x}", "{type: 3}", "{type: null}",
    "{type: [a]}", "{type: ARCNN}", "{type: PairedImages}", "{from: quality}", "2001-01-01", "2001-99-99",
    "2001-01-01T99:99:99Z", "!!timestamp abc", "!!int abc", "!!int ''", "!!float abc", "!!bool maybe", "!!null x",
    "!!str 3", "!!binary aGk=", "!!binary é", "!!set {a}", "!!omap [a: 1]", "!!pairs [a: 1]",
    "!!python/name:os.system ''", "!!python/object/apply:os.system [x]", "!x y", "! 3", '"\\ud800"', '"\\U00110000"',
    '"\\UFFFFFFFF"', '"\\0"', '"\\x"', '"a\\nb"', "é", "\U0001f600", "x" * 300, "../../x", "&a [*a]", "&a {b: *a}",
    "*nothing", "&a &b 1", "[" * 3000, "{a: " * 400, "[" * 40 + "]" * 40, "|", ">", "- a", "? b", "%", "@", "`",
    "a: b", "#", "---", "...", "'", '"', "{", "]", ",", "\t", "{like: a}", "!<tag:yaml.org,2002:value> 3",
    "&l [&m [a,a,a,a,a,a,a,a],*m,*m,*m,*m,*m,*m,*m,*m]", "[" + "a," * 30000 + "]",
)  # fmt: skip
"""Texts to stand where a value stood."""
_TOKEN = re.compile(r"[\w./+-]+|[^\w\s]")
_SCALAR = re.compile(r"(?<=[:\[,-] )[\w./+-]+|(?<=\[)[\w./+-]+")
_KEY = re.compile(r"[\w-]+(?=:)")


def mutated(text: str, chance: random.Random) -> bytes:
    """The file with one to four damages; the same for a generator in the same state."""
    kinds = (_bytes, _tokens, _values, _keys, _subtrees, _aliases)
    for _ in range(chance.choice((1, 1, 2, 4))):
        text = chance.choice(kinds)(text, chance)
    return text.encode("utf-8", "surrogateescape")


def mutations(folder: Path, count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Names and contents of `count` damaged option files, made of those in a folder."""
    chance, files = random.Random(seed), sorted(folder.glob("*.yml"))
    for number in range(count):
        path = chance.choice(files)
        yield f"{path.stem}_{number}.yml", mutated(path.read_text(encoding="utf-8"), chance)


def option_files(folder: Path, count: int, seed: int) -> Tally:
    """The option files of the repository, damaged."""
    tally = Tally("mutated option files")
    files = list(mutations(Path(__file__).resolve().parents[2] / "opts", count, seed))

    def attempt(number: int, place: Path, _log: Path) -> Verdict:
        name, content = files[number]
        path = place / name
        path.write_bytes(content)
        line = refusal(path)
        path.unlink()
        assert "\n" not in line, line
        return Verdict("refused" if line else "read")

    try_all(tally, count, attempt, folder)
    return tally


def refusal(path: Path) -> str:
    """What is said of the first case of an option file: a line, or nothing if it is valid and survives being saved.

    Whatever else is raised is a defect.
    """
    try:
        options = load_options(path, _first_case(path))
        path.write_text(options.to_yaml(), encoding="utf-8")
        again = load_options(path)
    except UserError as error:
        return str(error)
    # NaN is no option, but arguments of forward may be anything.
    assert again == options or "nan" in repr(options), path
    return ""


def _first_case(path: Path) -> str | None:
    cases = re.search(rb"^cases:\s*\n?\s*\{?([\w-]+)", path.read_bytes(), re.MULTILINE)
    return cases[1].decode() if cases else None


# --------------------------------------------------------------------------- damages


def _bytes(text: str, chance: random.Random) -> str:
    data = bytearray(text.encode("utf-8", "surrogateescape"))
    for _ in range(chance.randint(1, 8)):
        start = chance.randrange(len(data) + 1)
        stop = start + chance.choice((0, 1, 1, 1, 4, 40))
        mark = chance.choice(b" \t\n:-[]{}&*!'").to_bytes()
        data[start:stop] = chance.choice((b"", mark, chance.randbytes(1), data[start:stop] * 2))
    return data.decode("utf-8", "surrogateescape")


def _replaced(pattern: re.Pattern[str], text: str, new: str, chance: random.Random) -> str:
    places = list(pattern.finditer(text))
    if not places:
        return text + new
    place = chance.choice(places)
    return text[: place.start()] + new + text[place.end() :]


def _tokens(text: str, chance: random.Random) -> str:
    return _replaced(_TOKEN, text, chance.choice(_TOKEN.findall(text) or [""]), chance)


def _values(text: str, chance: random.Random) -> str:
    return _replaced(_SCALAR, text, chance.choice(VALUES), chance)


def _keys(text: str, chance: random.Random) -> str:
    return _replaced(_KEY, text, chance.choice([*VALUES[:40], *_KEY.findall(text)]), chance)


def _aliases(text: str, chance: random.Random) -> str:
    """An anchor before a value and an alias in place of others, before, behind or inside of it."""
    text = _replaced(re.compile(r"(?<=: )(?=\S)"), text, "&mark ", chance)
    for _ in range(chance.randint(1, 3)):
        text = _replaced(chance.choice((_SCALAR, _KEY)), text, "*mark", chance)
    return text


def _subtrees(text: str, chance: random.Random) -> str:
    """A part of the tree in place of another one, or of a key, or doubled, or gone."""
    try:
        tree = yaml.safe_load(text)
        (parent, key), (other, name) = (chance.choice(list(_places(tree))) for _ in range(2))
        parent[key] = chance.choice((other[name], [other[name]], {"a": other[name]}, {"type": other[name]}, key, None))
        return yaml.safe_dump(tree, sort_keys=False)
    except Exception:  # it is damaged already
        return _tokens(text, chance)


def _places(tree: Any, seen: tuple[int, ...] = ()) -> Iterator[tuple[Any, Any]]:
    if id(tree) in seen or len(seen) > 20:
        return
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from _places(tree[key], (*seen, id(tree)))
