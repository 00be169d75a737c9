"""Downloading and registering the files of published weights."""

import shutil
import zipfile
from pathlib import Path

from powerqe.net.networks import NETWORKS
from powerqe.net.weights.entry import BACKBONE, Entry
from powerqe.net.weights.index import Known
from powerqe.net.weights.recognize import LIBRARY
from powerqe.net.weights.state_dicts import spec
from powerqe.utils.download import download, is_web_page
from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path, sha256_of
from powerqe.utils.options.registry import nearest

_SHA256 = 64
"""Digits."""
_SUFFIX = ".safetensors"


def fetch(known: Known, source: Path | None) -> str:
    """Download a missing or damaged file; returns a line for the user.

    Args:
        source: a folder that has the file; None: its addresses.

    Raises:
        UserError: nowhere to get it from, or anything wrong with the download.
    """
    entry, path = known
    if known.is_intact:
        recorded = "as recorded" if known.sha256 else "not known, so that it was not checked"
        return f"{path} is here, and its SHA-256 is {'right' if known.sha256 == entry.sha256 != '' else recorded}"
    if source is not None:
        file = source / entry.file
        if not file.is_file():
            raise UserError(f"no file {file}; --from takes the folder that has {entry.file}")
        return _checked(known, download(file.resolve().as_uri(), path, sha256=entry.sha256, size=entry.bytes), source)
    errors = []
    for url in filter(None, (entry.url, *entry.mirrors)):
        try:
            return _checked(known, _download(known, url), url)
        except UserError as error:
            errors.append(str(error))
    if errors:
        by_hand = f"; by hand: {_by_hand(entry)}" if entry.link else ""
        raise UserError("; ".join(errors) + by_hand)
    state = "is damaged" if path.is_file() else "is not here"
    if entry.link:
        raise UserError(f"{path} {state}, and has no direct download: {_by_hand(entry)}")
    raise UserError(f"{path} {state}, and the index has no URL; give a folder that has it: --from FOLDER")


def add(file: Path, known: Known, *, any_file: bool = False) -> str:
    """Register a file under the name of an entry: copy it to the path of the entry.

    Args:
        any_file: accept another SHA-256 than that of the entry, if the network is the same.

    Returns:
        A line for the user.

    Raises:
        UserError: the file is a web page, of another kind or network, or has another SHA-256.
    """
    entry, path = known
    if is_web_page(file):
        raise UserError(f"{file} is a web page, not the weights; open it in a browser, and download the file there")
    if (file.suffix == _SUFFIX) != (path.suffix == _SUFFIX):
        raise UserError(
            f"{file}: the file of {entry.name} is {entry.file}; give one of this kind, or use it by its path"
        )
    found = sha256_of(file)
    if not found.startswith(entry.sha256) and not any_file:
        raise UserError(f"{file} is another file than {entry.file}: its SHA-256 is {found}, expected {_shown(entry)}; "
                        "--any-file accepts it")  # fmt: skip
    if found != entry.sha256:
        _check_network(file, entry)
    with atomic_path(path) as temporary:
        shutil.copyfile(file, temporary)
    return _checked(known, found, file)


def _download(known: Known, url: str) -> str:
    """Download from a URL; returns the SHA-256."""
    entry, path = known
    if not entry.member:
        expected = entry.sha256 if len(entry.sha256) == _SHA256 else known.sha256
        return download(url, path, sha256=expected, size=entry.bytes)
    archive = path.with_name(f".{path.name}.zip")
    try:
        download(url, archive)
        return _extract(archive, url, known)
    finally:
        archive.unlink(missing_ok=True)


def _extract(archive: Path, url: str, known: Known) -> str:
    """Extract the member of an archive; returns its SHA-256."""
    entry, path = known
    try:
        with zipfile.ZipFile(archive) as content:
            if entry.member not in content.namelist():
                raise UserError(f"{url} has no member {entry.member}{nearest(entry.member, content.namelist())}")
            with atomic_path(path) as temporary:
                with content.open(entry.member) as member, temporary.open("wb") as file:
                    shutil.copyfileobj(member, file)
                found = sha256_of(temporary)
                if not found.startswith(entry.sha256):
                    raise UserError(f"{url}: {entry.member} is another file: its SHA-256 is {found}, expected "
                                    f"{_shown(entry)}; nothing of it was kept")  # fmt: skip
    except zipfile.BadZipFile:
        raise UserError(f"{url} is no zip archive, or a damaged one; nothing of it was kept") from None
    return found


def _checked(known: Known, found: str, source: Path | str) -> str:
    """Record the SHA-256 of a new file if it differs from the entry; returns a line for the user."""
    entry, path = known
    if found == entry.sha256:
        known.record.unlink(missing_ok=True)
        result = "SHA-256 is right"
        if entry.certainty == "one record":
            result += " (of one public record)"
    elif found == known.sha256:
        result = "SHA-256 is as recorded"
    else:
        known.record.write_text(f"{found}  {path.name}\n", encoding="utf-8")
        why = "is not that of the release" if len(entry.sha256) == _SHA256 else "was not known before"
        if len(entry.sha256) < _SHA256 and entry.sha256:
            why = f"begins with the known {len(entry.sha256)} digits"
        result = f"SHA-256 {found} {why}; recorded in {known.record.name}"
    return f"{path}: {path.stat().st_size:,} bytes from {source}, {result}"


def _check_network(file: Path, entry: Entry) -> None:
    """Refuse a file of another network."""
    if entry.task == BACKBONE:
        return
    found, wanted = spec(file)["type"], entry.method if entry.method in NETWORKS else LIBRARY
    if found != wanted:
        raise UserError(f"{file} holds the weights of {found}; {entry.name} is of {entry.method}")


def _by_hand(entry: Entry) -> str:
    return f"open {entry.link} in a browser, then: powerqe weights add FILE --name {entry.name}"


def _shown(entry: Entry) -> str:
    return entry.sha256 + "..." * (len(entry.sha256) < _SHA256)
