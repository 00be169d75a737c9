"""The requests that the demo's server answers; all others are refused before they reach gradio.

An ASGI middleware (https://asgi.readthedocs.io, HTTP 2.x). It checks the address that the browser believes to talk to
(against DNS rebinding and requests of other pages), the route, the size, and that files belong to the visitor.
"""

import ipaddress
import json
import re
import socket
import uuid
from collections.abc import Iterable, Iterator
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from powerqe.inference.demo.visitors import Visitors

API = "/gradio_api"
_PAGES = {"/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt"}
_READ = {f"{API}/{name}" for name in ("info", "startup-events", "queue/data", "upload_progress", "app_id")}
_READ_BELOW = ("/assets/", "/static/", "/svelte/", f"{API}/heartbeat/")
_FILE = f"{API}/file="
_UPLOAD = f"{API}/upload"
_WRITE = {_UPLOAD, *(f"{API}/{name}" for name in ("queue/join", "run/predict", "reset", "cancel"))}
_COOKIE = "powerqe-visitor"
_LARGEST_EVENT = 100_000
"""Bytes of the values of all controls."""


class Guard:
    """Answers what the page needs, to the visitors for whom it is meant.

    Args:
        app: the ASGI application behind it.
        visitors: the files.
        hosts: names under which the server may be addressed, besides localhost and IP addresses.
        max_upload: largest upload, in bytes.
    """

    def __init__(self, app: Any, visitors: Visitors, hosts: Iterable[str], max_upload: int) -> None:
        self._app, self._visitors, self._max_upload = app, visitors, max_upload
        self._hosts = {name.lower() for name in hosts} | {"localhost"}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path, method = scope["path"], scope["method"]
        host = headers.get("host", "")
        if not self._is_known(host):
            return await _refuse(send, 421, "unknown host; start the demo with --allowed-host NAME to allow it")
        if "origin" in headers and urlsplit(headers["origin"]).netloc != host:
            return await _refuse(send, 403, "a request of another page")
        if not _is_needed(method, path):
            return await _refuse(send, 404, "not found")
        visitor, is_new = _visitor(headers.get("cookie", ""))
        answer = _with_cookie(send, visitor) if is_new else send
        if path.startswith(_FILE) and not self._visitors.may_read(visitor, path.removeprefix(_FILE)):
            return await _refuse(answer, 404, "not found")
        if path == _UPLOAD:
            return await self._upload(scope, receive, answer, headers, visitor)
        if method == "POST":
            return await self._event(scope, receive, answer, host, visitor)
        return await self._app(scope, receive, answer)

    async def _upload(self, scope: Any, receive: Any, send: Any, headers: dict[str, str], visitor: str) -> None:
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return await _refuse(send, 411, "the size of an upload must be stated")
        if int(length) > self._max_upload:
            return await _refuse(send, 413, "the file is too large")
        with self._visitors.room_for(int(length)) as has_room:
            if not has_room:
                return await _refuse(send, 507, "the server is full; try again later")
            return await self._app(scope, receive, self._noting(send, visitor))

    def _noting(self, send: Any, visitor: str) -> Any:
        """`send` of an upload, which also notes the paths in the answer as the visitor's own."""
        body: list[bytes] = []

        async def note(message: Any) -> None:
            body.append(message.get("body", b""))
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self._visitors.add(visitor, _paths_of_upload(b"".join(body)))
            await send(message)

        return note

    async def _event(self, scope: Any, receive: Any, send: Any, host: str, visitor: str) -> None:
        body = await _body(receive)
        if body is None:
            return await _refuse(send, 413, "the request is too large")
        try:
            data = json.loads(body or b"null")
            files, links = list(_values(data, "path")), list(_values(data, "url"))
        except (ValueError, RecursionError):
            return await _refuse(send, 400, "not JSON")
        own = all(isinstance(path, str) and self._visitors.may_enhance(visitor, path) for path in files)
        if not own or not all(isinstance(link, str) and urlsplit(link).netloc in ("", host) for link in links):
            return await _refuse(send, 403, "not an uploaded file")

        async def replay() -> Any:
            nonlocal body
            if body is None:
                return await receive()
            message, body = {"type": "http.request", "body": body, "more_body": False}, None
            return message

        return await self._app(scope, replay, send)

    def _is_known(self, host: str) -> bool:
        """Whether a Host header names this server. Addresses do, for DNS rebinding needs a name."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self._hosts or bool(ipaddress.ip_address(name))
        except ValueError:
            return False


def own_names(host: str) -> set[str]:
    """Names of a server that listens at `host`: those of this machine if it does at all of its addresses."""
    return {socket.gethostname(), socket.getfqdn()} if host in ("0.0.0.0", "::") else {host}


def _is_needed(method: str, path: str) -> bool:
    if method == "POST":
        return path in _WRITE
    return method in ("GET", "HEAD") and (path in _PAGES | _READ or path.startswith((*_READ_BELOW, _FILE)))


def _visitor(cookies: str) -> tuple[str, bool]:
    """The secret name of a visitor, and whether it is new."""
    try:
        found = SimpleCookie(cookies).get(_COOKIE)
    except CookieError:
        found = None
    if found and re.fullmatch("[0-9a-f]{32}", found.value):
        return found.value, False
    return uuid.uuid4().hex, True


def _with_cookie(send: Any, visitor: str) -> Any:
    async def answer(message: Any) -> None:
        if message["type"] == "http.response.start":
            cookie = f"{_COOKIE}={visitor}; Path=/; HttpOnly; SameSite=Strict".encode()
            message = {**message, "headers": [*message.get("headers", []), (b"set-cookie", cookie)]}
        await send(message)

    return answer


def _paths_of_upload(body: bytes) -> list[str]:
    """The paths in gradio's answer to an upload; none in that of a failed one."""
    try:
        data = json.loads(body)
    except ValueError:
        return []
    return [path for path in data if isinstance(path, str)] if isinstance(data, list) else []


def _values(data: Any, key: str) -> Iterator[Any]:
    """Every value of a key that is not null, at any depth."""
    if isinstance(data, dict):
        if data.get(key) is not None:
            yield data[key]
        data = list(data.values())
    if isinstance(data, list):
        for each in data:
            yield from _values(each, key)


async def _body(receive: Any) -> bytes | None:
    """The body of a request; None if it is too large."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > _LARGEST_EVENT:
            return None
    return body


async def _refuse(send: Any, status: int, reason: str) -> None:
    body = json.dumps({"detail": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
