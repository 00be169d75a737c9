"""Downloading a file: whole and right, or not there."""

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from powerqe.utils.errors import UserError
from powerqe.utils.file_lock import only_process
from powerqe.utils.files import atomic_path, sha256_of
from powerqe.utils.log import progress_bar

ATTEMPTS = 3
"""How often a connection may break in one call."""
PATIENCE = 30.0
"""Seconds without a byte after which a connection counts as broken."""
SCHEMES = ("https", "http", "file")

_CHUNK = 1 << 16
_BROKEN = (http.client.HTTPException, OSError)


def download(url: str, path: str | os.PathLike[str], *, sha256: str = "", size: int | None = None) -> str:
    """Fetch a file, which has its name only when its content is right, as far as that is known; returns its SHA-256.

    Until then it is `.<name>.<start of sha256>.part` in the same folder. An interrupted download continues, now or in
    the next call, if the server can send a part of a file (RFC 9110, section 14); if not, it starts again. So does the
    next call if `size` is not known.

    Args:
        url: http, https or file.
        path: where the file is to be; one that is there is replaced.
        sha256: of the content, in hexadecimal; or the beginning of it, as far as it is known.
        size: in bytes; None: it is not known.

    Raises:
        UserError: of the URL, the network, the server, the content or the disk.
    """
    path = Path(path)
    if urlsplit(url).scheme not in SCHEMES:
        raise UserError(f"{url}: found no URL that begins with {', '.join(f'{scheme}:' for scheme in SCHEMES)}")
    with _claimed(path.with_name(f".{path.name}.{sha256[:12] or 'any'}.part"), size) as part:
        goes_on = size is not None
        if not goes_on:
            part.write_bytes(b"")  # what an earlier call left may be whole, or not
        for _ in range(ATTEMPTS):
            if size is None or part.stat().st_size < size:
                size = _receive(url, part, size)
        received = part.stat().st_size
        if size is None or received < size:
            total = "" if size is None else f" of {size:,}"
            if not goes_on:
                part.write_bytes(b"")
            raise UserError(f"{url}: the connection broke after {received:,}{total} bytes; the same command "
                            f"{'goes on there' if goes_on else 'starts again'}")  # fmt: skip
        found = sha256_of(part)
        if not found.startswith(sha256):
            part.write_bytes(b"")
            raise _other_file(url, f"its SHA-256 is {found}, expected {sha256}{'...' * (len(sha256) < len(found))}")
        with _writing(path, size), atomic_path(path) as temporary:
            part.replace(temporary)
    return found


def is_web_page(path: str | os.PathLike[str]) -> bool:
    """Whether a file is HTML: what a browser shows where a program wants the file itself."""
    with open(path, "rb") as file:
        return file.read(256).lstrip().lower().startswith((b"<!doctype html", b"<html"))


@contextmanager
def _claimed(part: Path, size: int | None) -> Iterator[Path]:
    """What came so far, for this process alone; removed if that is nothing."""
    with _writing(part, size):
        part.parent.mkdir(parents=True, exist_ok=True)
    with only_process(part, f"another process is downloading {part}; wait for it"):
        with _writing(part, size):
            part.touch()
        try:
            yield part
        finally:
            if part.exists() and not part.stat().st_size:
                part.unlink()


def _receive(url: str, part: Path, size: int | None) -> int | None:
    """Append to `part` what is missing, as far as the connection holds.

    Returns:
        The size of the file, if it is known by now.
    """
    have = part.stat().st_size
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with _opened(request) as response, part.open("ab", buffering=0) as file:
            size = _size_of(response, url, size)
            if have and not _is_rest(response, url, have):
                file.truncate(0)
                have = 0
            with progress_bar(None, part.name[1:].rpartition(".")[0], size, True, initial=have, unit="B") as bar:
                _copy(response, file, None if size is None else size - have, bar)
            return part.stat().st_size if size is None else size  # without a size, what came to its end is whole
    except _BROKEN:  # what could not be written is a UserError
        return size


@contextmanager
def _opened(request: urllib.request.Request) -> Iterator[Any]:
    """The response to a request."""
    url = request.full_url
    try:
        response = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        error.close()
        raise UserError(f"{url}: the server answered {error.code} {error.reason}; check the address") from None
    except urllib.error.URLError as error:
        raise _unreachable(url, error.reason) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unreachable(url, error) from None
    with response:
        yield response


def _unreachable(url: str, reason: Any) -> UserError:
    words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return UserError(f"{url} cannot be reached ({words}); check the address and the network")


def _size_of(response: Any, url: str, size: int | None) -> int | None:
    """The size of the file, by what the server says; refuse another file before all of it is here."""
    if response.headers.get_content_type() == "text/html":
        raise UserError(f"{url} gives a web page, not the file; open it in a browser, and download the file there")
    announced = response.headers.get("Content-Range" if response.status == 206 else "Content-Length", "")
    length = announced.rpartition("/")[2]
    if not length.isdecimal():
        return size
    if size is not None and int(length) != size:
        raise _other_file(url, f"it has {int(length):,} bytes, expected {size:,}")
    return int(length)


def _other_file(url: str, difference: str) -> UserError:
    return UserError(f"{url} is another file: {difference}; nothing of it was kept")


def _is_rest(response: Any, url: str, have: int) -> bool:
    """Whether a server sends what follows the first `have` bytes, not the whole file."""
    if response.status != 206:
        return False
    if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        raise UserError(f"{url}: the server sends another part of the file than requested; download it manually")
    return True


def _copy(response: Any, file: FileIO, limit: int | None, bar: Any) -> None:
    while (wanted := _CHUNK if limit is None else min(_CHUNK, limit)) > 0 and (chunk := response.read1(wanted)):
        rest = memoryview(chunk)
        while rest:
            with _writing(Path(file.name), limit):
                rest = rest[file.write(rest) :]
        limit = None if limit is None else limit - len(chunk)
        bar.update(len(chunk))


@contextmanager
def _writing(path: Path, size: int | None) -> Iterator[None]:
    """Turn errors of writing into `UserError`, apart from errors of the network."""
    try:
        yield
    except OSError as error:
        need = "" if size is None else f"{size:,} bytes are needed: "
        raise UserError(
            f"cannot write {path} ({error.strerror or error}); {need}free space, or choose another folder"
        ) from None
