"""The door to other HTTP servers: always a deadline and a limit, and no redirect is followed."""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from archon_ops.errors import OpsError, UsageError

LIMIT = 4 << 20


@dataclass(frozen=True)
class Reply:
    """What a server answered.

    Attributes:
        status: HTTP status.
        kind: media type, without parameters.
        location: where it redirects to; empty where it does not.
        body: its content.
    """

    status: int
    kind: str
    location: str
    body: bytes


def request(method: str, url: str, *, seconds: float, body: bytes = b"") -> Reply:
    """Ask a server once.

    Args:
        method: GET or POST.
        url: http or https; a user and password in it become basic authentication.
        seconds: for all of it.
        body: what is sent.

    Raises:
        UsageError: the URL is malformed.
        OpsError: there is no answer, none in time, or one that is too long. Messages name the
            server only: a path or query may be a secret.
    """
    parts, port = _parsed(url)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "", port, timeout=seconds)
    cut = threading.Event()
    try:
        connection.connect()
        with _cut_off(connection.sock, seconds, cut):
            reply = _asked(connection, method, parts, body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if cut.is_set() or isinstance(error, TimeoutError):
            raise OpsError(f"{origin(url)} did not answer within {seconds:g} s") from error
        raise OpsError(f"{origin(url)}: {_said(error)}") from error
    finally:
        connection.close()
    if cut.is_set():  # what was read until then is not the whole
        raise OpsError(f"{origin(url)} did not answer within {seconds:g} s")
    return reply


def origin(url: str) -> str:
    """The server of a URL, for messages: no user, path or query."""
    parts, port = _parsed(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}"


def _parsed(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError("a URL is malformed", "write it like http://host:8182/path") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("a URL is not one of http or https", "write it like http://host:8182/path")
    return parts, port


def _asked(
    connection: http.client.HTTPConnection, method: str, parts: SplitResult, body: bytes
) -> Reply:
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    headers = {"User-Agent": "archon-ops", "Connection": "close", **_authentication(parts)}
    connection.request(method, path, body=body or None, headers=headers)
    answer = connection.getresponse()
    content = answer.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise ValueError("the answer is too long")
    kind = (answer.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    return Reply(answer.status, kind, answer.headers.get("Location") or "", content)


def _authentication(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}


@contextlib.contextmanager
def _cut_off(sock: socket.socket, seconds: float, cut: threading.Event) -> Iterator[None]:
    """End a conversation that takes too long as a whole: a timeout covers each wait alone."""

    def end() -> None:
        cut.set()
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
