"""Getting the file of published weights that is not here."""

from pathlib import Path

from powerqe.net.weights.index import Known
from powerqe.utils.download import download
from powerqe.utils.errors import UserError
from powerqe.utils.files import sha256_of


def fetch(known: Known, source: Path | None) -> str:
    """Get a file that is not here or damaged; what was done, in a line.

    Args:
        source: a folder that has the file; None: its URL.

    Raises:
        UserError: nowhere to get it from, or anything wrong with the download.
    """
    entry, path = known
    if path.is_file() and sha256_of(path) == entry.sha256:
        return f"{path} is here, and its SHA-256 is right"
    if source is not None and not (source / entry.file).is_file():
        raise UserError(f"no file {source / entry.file}; --from takes the folder that has {entry.file}")
    url = entry.url if source is None else (source / entry.file).resolve().as_uri()
    if url is None:
        state = "is damaged" if path.is_file() else "is not here"
        raise UserError(f"{path} {state}, and the index has no URL; give a folder that has it: --from FOLDER")
    download(url, path, sha256=entry.sha256, size=entry.bytes)
    return f"{path}: {entry.bytes:,} bytes from {source or url}, SHA-256 is right"
