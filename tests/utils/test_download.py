"""utils/download.py against a real server on this machine that can break off, lie, and refuse."""

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from powerqe.utils import download as module
from powerqe.utils.download import download
from powerqe.utils.errors import UserError
from powerqe.utils.file_lock import only_process
from powerqe.utils.files import sha256_of

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What the server does, and what it was asked.

    Args:
        ranges: can it send the rest of a file?
        cuts: after how many bytes it breaks off, for each request in turn; None: not at all.
        says_length: does it tell how long the file is?
        starts_at: where what it sends begins, whatever was asked for; None: there.
        stalled: the server waits for it after it sent as much as `cuts` says, instead of breaking off.
    """

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    cuts: list[int | None] = field(default_factory=list)
    says_length: bool = True
    starts_at: int | None = None
    stalled: Event | None = None
    asked: list[str | None] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_GET(self) -> None:
        state: Server = self.server.state
        wanted = self.headers.get("Range")
        state.asked.append(wanted)
        if self.path != "/file":
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and state.ranges else 0
        asked_for_rest = bool(start)
        start = start if state.starts_at is None else state.starts_at
        rest, total = state.content[start:], len(state.content)
        self.send_response(206 if asked_for_rest else 200)
        if asked_for_rest:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if state.says_length:
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        cut = state.cuts.pop(0) if state.cuts else None
        self.wfile.write(rest[:cut])
        if cut is not None and state.stalled:
            self.wfile.flush()
            state.stalled.wait(10)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    state = Server(f"http://127.0.0.1:{http.server_port}/file")
    http.state = state  # pyright: ignore[reportAttributeAccessIssue]
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield state
    http.shutdown()
    http.server_close()
    thread.join(60)


def get(server: Server, path: Path, content: bytes = CONTENT) -> None:
    download(server.url, path, sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def refused(server: Server, path: Path, *words: str) -> None:
    """One line that says all of this; the file is not there."""
    with pytest.raises(UserError) as error:
        get(server, path)
    message = str(error.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert not path.exists()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_whole_file_in_a_folder_that_is_made(server, tmp_path):
    get(server, tmp_path / "new/file.bin")
    assert (tmp_path / "new/file.bin").read_bytes() == CONTENT
    assert names(tmp_path / "new") == ["file.bin"]
    assert server.asked == [None]


def test_another_file_of_the_name_is_replaced(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"old")
    get(server, tmp_path / "file.bin")
    assert sha256_of(tmp_path / "file.bin") == SHA256


def test_goes_on_where_the_connection_broke(server, tmp_path):
    server.cuts = [100_000, 50_000]
    get(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_goes_on_in_the_next_call(server, tmp_path):
    server.cuts = [1000] * module.ATTEMPTS
    refused(server, tmp_path / "file.bin", server.url, "broke after 3,000 of 256,000 bytes")
    assert names(tmp_path) == [f".file.bin.{SHA256[:12]}.part"]
    get(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=3000-"
    assert names(tmp_path) == ["file.bin"]


def test_goes_on_when_the_server_falls_silent(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    server.cuts, server.stalled = [1000], Event()
    get(server, tmp_path / "file.bin")
    server.stalled.set()
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-"]


@pytest.mark.parametrize("start", [0, 100])
def test_a_wrong_range_is_not_appended(server, tmp_path, start):
    server.cuts, server.starts_at = [0], start
    (tmp_path / f".file.bin.{SHA256[:12]}.part").write_bytes(CONTENT[:10])
    refused(server, tmp_path / "file.bin", "sends another part")
    assert names(tmp_path) == [f".file.bin.{SHA256[:12]}.part"]


def test_a_complete_part_needs_no_server(server, tmp_path):
    (tmp_path / f".file.bin.{SHA256[:12]}.part").write_bytes(CONTENT)
    get(server, tmp_path / "file.bin")
    assert server.asked == []


def test_a_part_of_another_version_is_discarded(server, tmp_path):
    (tmp_path / f".file.bin.{'0' * 12}.part").write_bytes(b"x" * 1000)
    get(server, tmp_path / "file.bin")
    assert server.asked == [None]


@pytest.mark.parametrize("says_length", [True, False])
def test_without_ranges_it_starts_again(server, tmp_path, says_length):
    server.ranges, server.says_length, server.cuts = False, says_length, [1000]
    get(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-"]


@pytest.mark.parametrize("kept", [0, 1000])
def test_another_content_is_not_kept(server, tmp_path, kept):
    (tmp_path / f".file.bin.{SHA256[:12]}.part").write_bytes(CONTENT[:kept])
    server.content = b"?" * len(CONTENT)
    refused(server, tmp_path / "file.bin", server.url, "another file", "SHA-256", SHA256)
    assert names(tmp_path) == []


@pytest.mark.parametrize("kept", [0, 1000])
@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"?"])
def test_another_length_is_refused_at_once(server, tmp_path, content, kept):
    part = tmp_path / f".file.bin.{SHA256[:12]}.part"
    part.write_bytes(CONTENT[:kept])
    server.content = content
    refused(server, tmp_path / "file.bin", "another file", f"{len(content):,} bytes, expected 256,000")
    assert len(server.asked) == 1
    assert names(tmp_path) == ([part.name] if kept else [])


def test_a_file_without_end_is_cut(server, tmp_path):
    server.content, server.says_length = b"?" * (2 * len(CONTENT)), False
    refused(server, tmp_path / "file.bin", "another file: its SHA-256 is")
    assert names(tmp_path) == []


def test_not_found(server, tmp_path):
    server.url += "s"
    refused(server, tmp_path / "file.bin", server.url, "404 Not Found")
    assert len(server.asked) == 1
    assert names(tmp_path) == []


def test_no_server(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(("127.0.0.1", 0))
        server = Server(f"http://127.0.0.1:{closed.getsockname()[1]}/file")
        refused(server, tmp_path / "file.bin", server.url, "cannot be reached (Connection refused)")
    assert names(tmp_path) == []


def test_silence_counts_as_broken(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        server, start = Server(f"http://127.0.0.1:{silent.getsockname()[1]}/file"), time.monotonic()
        refused(server, tmp_path / "file.bin", "cannot be reached (timed out)")
        assert time.monotonic() - start < 2


def test_local_files(tmp_path):
    source = tmp_path / "a file.bin"
    source.write_bytes(CONTENT)
    get(Server(source.as_uri()), tmp_path / "there/file.bin")
    assert (tmp_path / "there/file.bin").read_bytes() == CONTENT
    source.unlink()
    refused(Server(source.as_uri()), tmp_path / "there/other.bin", "cannot be reached (No such file or directory)")


@pytest.mark.parametrize("url", ["ftp://host/file", "file.bin", "/file.bin"])
def test_other_schemes_are_refused(tmp_path, url):
    refused(Server(url), tmp_path / "file.bin", url, "https:, http:, file:")
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_full_disk(server, tmp_path):
    (tmp_path / f".file.bin.{SHA256[:12]}.part").symlink_to("/dev/full")
    refused(server, tmp_path / "file.bin", "No space left on device", "256,000 bytes are needed")
    assert len(server.asked) == 1


def test_no_folder_can_be_made(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot write .*free space, or choose another folder"):
        get(server, tmp_path / "file/file.bin")


def test_two_at_once(server, tmp_path):
    part = tmp_path / f".file.bin.{SHA256[:12]}.part"
    with only_process(part, ""):
        refused(server, tmp_path / "file.bin", "another process is downloading")
    assert server.asked == []


def test_the_sum_is_of_the_content(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert sha256_of(tmp_path / "empty") == hashlib.sha256().hexdigest()
    (tmp_path / "large").write_bytes(os.urandom(10) * 300_000)  # more than is read at once
    assert sha256_of(tmp_path / "large") == hashlib.sha256((tmp_path / "large").read_bytes()).hexdigest()


@pytest.mark.parametrize("says_length", [True, False])
def test_without_a_known_size_and_content(server, tmp_path, says_length):
    server.says_length = says_length
    (tmp_path / ".file.bin.any.part").write_bytes(b"of an earlier call")
    assert download(server.url, tmp_path / "file.bin") == SHA256
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert (server.asked, names(tmp_path)) == ([None], ["file.bin"])


def test_without_a_known_size_half_a_file_is_not_taken(server, tmp_path):
    server.cuts = [1000]
    assert download(server.url, tmp_path / "file.bin", sha256=SHA256[:8]) == SHA256
    assert server.asked == [None, "bytes=1000-"]
    server.cuts = [1000] * module.ATTEMPTS
    with pytest.raises(UserError, match="broke after 3,000 of 256,000 bytes"):
        download(server.url, tmp_path / "other.bin")
    assert names(tmp_path) == ["file.bin"]


def test_another_beginning_of_the_sum(server, tmp_path):
    with pytest.raises(UserError, match=r"another file: its SHA-256 is \w+, expected 01234567\.\.\."):
        download(server.url, tmp_path / "file.bin", sha256="01234567")
    assert names(tmp_path) == []


@pytest.mark.parametrize("text", ["<!DOCTYPE html>\n<p>", "\n <HTML>", "PK\3\4"])
def test_web_pages_are_known(tmp_path, text):
    (tmp_path / "file").write_text(text)
    assert module.is_web_page(tmp_path / "file") == ("PK" not in text)
