"""The API as a service of its own."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from archon_ops.errors import PreconditionError, UsageError

_BACKLOG = 128
# Whoever is still being answered when the service is stopped.
_GRACE_SECONDS = 3


def serve(app: FastAPI, host: str, port: int, ready: Callable[[str, int], None]) -> None:
    """Serve until a signal asks to stop.

    Args:
        app: the application.
        host: address to listen on.
        port: TCP port; 0 takes a free one.
        ready: called with address and port once connections are accepted.

    Raises:
        UsageError: no such address or port.
        PreconditionError: the port is taken, or may not be used.
    """
    with listening(host, port) as listener:
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        ready(*listener.getsockname()[:2])
        uvicorn.Server(config).run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
    """A socket that accepts connections.

    Raises:
        UsageError: no such address or port.
        PreconditionError: the port is taken, or may not be used.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"{port} is not a TCP port", "use 1 to 65535, as --port 8182")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{host!r} is not an address of this machine: {error}") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise PreconditionError(
            f"cannot listen on {host} port {port}: {error.strerror}",
            "choose another: inv serve --port N",
        ) from error
    return listener
