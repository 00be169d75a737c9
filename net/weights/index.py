"""Published weights by name: ours, of `weights/index.json`, from which the cards in the same folder are generated, and
those of other authors, of `weights/official.json`.

Ours are searched in weights/ of PowerQE (a wheel has those that enhance.py selects automatically), in the folder of
downloads (`powerqe.utils.places.weights_store`), and in weights/ of the working folder, where `powerqe publish`
writes. Official ones are downloaded to `powerqe.utils.places.user_weights`. If their SHA-256 was unknown, or another
file was registered, it is recorded in `FILE.sha256`.
"""

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from powerqe.net.weights.cards import card
from powerqe.net.weights.entry import Entry
from powerqe.net.weights.hub import SCHEME, hub_file
from powerqe.net.weights.tensorflow_checkpoint import index_file
from powerqe.utils.errors import UserError
from powerqe.utils.file_names import file_name
from powerqe.utils.files import sha256_of, write_text
from powerqe.utils.options.components import explain
from powerqe.utils.options.registry import nearest
from powerqe.utils.places import OFFICIAL, WEIGHTS, user_weights, weights_store

FILE = "index.json"
_SUFFIX = ".safetensors"


class Known(NamedTuple):
    """An entry and where its file is, or would be."""

    entry: Entry
    path: Path

    @property
    def state(self) -> str:
        """Of the file: "here", "fetch", or "by hand" without a download URL."""
        return "here" if self.path.is_file() else "fetch" if self.entry.url else "by hand"

    @property
    def record(self) -> Path:
        """The file with the SHA-256 of the file here, if it differs from the entry's."""
        return self.path.with_name(f"{self.path.name}.sha256")

    @property
    def sha256(self) -> str:
        """The expected SHA-256, or its first digits; "" if unknown."""
        recorded = self.record.read_text(encoding="utf-8").split() if self.record.is_file() else []
        return recorded[0] if recorded else self.entry.sha256

    @property
    def is_intact(self) -> bool:
        """Whether the file is here and has the expected SHA-256."""
        return self.path.is_file() and sha256_of(self.path).startswith(self.sha256)


def entries(folder: str | os.PathLike[str] | None = None) -> tuple[Entry, ...]:
    """All published weights, by name.

    Args:
        folder: where index.json is; None: all of the above.

    Raises:
        UserError: an index that is damaged.
    """
    return tuple(known.entry for known in known_weights(folder).values())


def known_weights(folder: str | os.PathLike[str] | None = None) -> dict[str, Known]:
    """Name -> entry and path, sorted by name. Of one name the working folder's counts. Raises as `entries`."""
    folders = [WEIGHTS, weights_store(), Path("weights")] if folder is None else [Path(folder)]
    official = _read(OFFICIAL) if folder is None else []
    place = user_weights()
    known = {entry.name: Known(entry, _path(entry.file, place, folders)) for entry in official}
    known |= {
        entry.name: Known(entry, _path(entry.file, place, folders))
        for place in folders
        for entry in _read(place / FILE)
    }
    return dict(sorted(known.items()))


def lookup(name: str, folder: str | os.PathLike[str] | None = None) -> Known:
    """The entry of a name; `.safetensors` may stand behind it.

    Raises:
        UserError: there is none, with the nearest names; or the index is damaged.
    """
    known = known_weights(folder)
    found = known.get(name.removesuffix(_SUFFIX))
    if found is None:
        near = nearest(name.removesuffix(_SUFFIX), known, most=3)
        raise UserError(f"no weights file or name {name}{near}; powerqe weights list shows all names")
    return found


def find(name_or_path: str | os.PathLike[str], folder: str | os.PathLike[str] | None = None) -> Path:
    """The file of weights: a path that exists, a name of the index, or `hf://owner/repo/file`.

    Nothing is downloaded, except files of the Hugging Face hub.

    Args:
        folder: where index.json is; None: all of the above.

    Raises:
        UserError: no such file or name, with the nearest names; the weights have to be fetched first; or the
            file differs from the one in the index.
    """
    if str(name_or_path).startswith(SCHEME):
        return hub_file(str(name_or_path))
    path = Path(name_or_path)
    if path.is_file() or index_file(path):
        return path
    if path.name != str(name_or_path):  # in some folder, so no name
        raise UserError(f"no weights file {path}")
    known = lookup(path.name, folder)
    name, path = known.entry.name, known.path
    if not path.is_file():
        by_hand = f"show {name} prints their link" if known.entry.link else f"fetch {name} --from FOLDER"
        what = by_hand if known.state == "by hand" else f"fetch {name}"
        raise UserError(f"the weights {name} are not here yet: powerqe weights {what}")
    if not known.is_intact:
        raise UserError(f"{path} is not the file of the index (SHA-256 differs): it is damaged, or the index is old; "
                        f"fetch {name} again, or give the path of the file")  # fmt: skip
    return path


def publish(entry: Entry, folder: str | os.PathLike[str]) -> None:
    """Put an entry into the index of a folder, in place of one of the same name, and write all cards; see there."""
    folder = Path(folder)
    entries = {each.name: each for each in _read(folder / FILE)} | {entry.name: entry}
    found = [each.model_dump(mode="json", exclude_defaults=True) for _, each in sorted(entries.items())]
    write_text(folder / FILE, _text([{"name": each["name"]} | each for each in found]))
    write_cards(folder)


def write_cards(folder: str | os.PathLike[str]) -> list[Path]:
    """Write the cards of a folder, `NAME.md` for each entry of its index; returns their paths.

    Raises:
        UserError: the index is damaged, or a file is not the one of its entry.
    """
    folder = Path(folder)
    found = [_checked(entry, folder) for entry in _read(folder / FILE)]
    paths = [folder / file_name(entry.name, ".md") for entry in found]
    for entry, name in zip(found, paths, strict=True):
        write_text(name, card(entry))
    return paths


def _checked(entry: Entry, folder: Path) -> Entry:
    """The entry, if its file is not here or is the one that it means."""
    path = folder / entry.file
    if path.is_file() and (path.stat().st_size, sha256_of(path)) != (entry.bytes, entry.sha256):
        raise UserError(f"{path} is not the file of its entry in {FILE}: size or SHA-256 differ; publish it again")
    return entry


def _text(data: list[dict[str, Any]]) -> str:
    """JSON with a line for each key and each figure, so that a change is seen in a comparison of versions."""
    parts = [[f"{json.dumps(key)}: {_value_text(value)}" for key, value in entry.items()] for entry in data]
    return "[\n" + ",\n".join(" {\n  " + ",\n  ".join(lines) + "\n }" for lines in parts) + "\n]\n"


def _value_text(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n   " + ",\n   ".join(json.dumps(part, ensure_ascii=False) for part in value) + "\n  ]"
    return json.dumps(value, ensure_ascii=False)


def _path(file: str, place: Path, folders: list[Path]) -> Path:
    """The path of a file: in the folder of its index, or in another of the folders; if in none, its default path."""
    there = (folder / file for folder in (place, *folders) if (folder / file).is_file())
    is_ours = place == WEIGHTS and len(folders) > 1
    return next(there, (weights_store() if is_ours else place) / file)


def _read(path: Path) -> list[Entry]:
    return _entries(path, path.stat().st_mtime_ns) if path.is_file() else []


@lru_cache(16)
def _entries(path: Path, _modified: int) -> list[Entry]:
    try:
        return [Entry.model_validate(entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError, UserError) as error:  # ValidationError is a ValueError
        reason = explain(error) if isinstance(error, ValidationError) else "no valid JSON"
        raise UserError(f"{path} is damaged ({reason}); take it from a backup, or publish the weights again") from None
