"""A program that runs inside a container: what it says, and how it ends."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

from archon_ops.errors import OpsError
from archon_ops.hosts.docker_errors import told
from archon_ops.hosts.process import STDERR_LIMIT, Finished

_HEADER = struct.Struct(">BxxxL")
_STDERR_STREAM = 2
_POLL_SECONDS = 0.05


class Exec:
    """A program that runs inside a container.

    Args:
        state: asks the engine whether it still runs, and for its exit status when it does not.
        argv: the program and its arguments.
        stream: the connection to it, as the SDK hands it out.
    """

    def __init__(
        self, state: Callable[[], tuple[bool, int | None]], argv: tuple[str, ...], stream: Any
    ) -> None:
        self._state = state
        self._argv = argv
        self._stream = stream
        # The SDK hands out a reader; its socket is what can be given a deadline and be written to.
        self._socket: socket.socket = getattr(stream, "_sock", stream)
        self._early = _read_early(stream, self._socket)
        self._stderr = b""

    def blocks(self, seconds: float) -> Iterator[bytes]:
        """Standard output in blocks until it ends.

        Args:
            seconds: how long the next block may take.

        Raises:
            OpsError: nothing came for that long, or the engine went away.
        """
        while (frame := self._frame(seconds)) is not None:
            kind, data = frame
            if kind == _STDERR_STREAM:
                self._stderr = (self._stderr + data)[-STDERR_LIMIT:]
            else:
                yield data

    def send(self, data: bytes) -> None:
        """Write its whole standard input, and close that."""
        with told(f"writing to {self._argv[0]}"):
            self._socket.sendall(data)
            self._socket.shutdown(socket.SHUT_WR)

    @property
    def raw(self) -> socket.socket:
        """The connection itself: what is written is its standard input."""
        return self._socket

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._state()[0]

    def pause(self, seconds: float) -> None:
        """Sleep until it ends, at most `seconds`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.running():
            time.sleep(_POLL_SECONDS)

    def wait(self, timeout: float) -> Finished:
        """Wait for the end.

        Raises:
            OpsError: it did not end within `timeout` seconds.
        """
        until = time.monotonic() + timeout
        for _ in self.blocks(timeout):
            pass  # output that nobody asked for would stall it
        while time.monotonic() < until:
            running, code = self._state()
            if not running:
                return Finished(self._argv, -1 if code is None else code, "", self.said())
            time.sleep(_POLL_SECONDS)
        raise OpsError(f"{self._argv[0]} did not end within {timeout:.0f} s")

    def said(self) -> str:
        """The end of what it wrote to standard error so far."""
        return self._stderr.decode(errors="replace")

    def close(self) -> None:
        """Let go of its standard input and output."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._stream.close()

    def _frame(self, seconds: float) -> tuple[int, bytes] | None:
        """One piece of output: which stream, and bytes; None at the end."""
        header = self._exactly(_HEADER.size, seconds)
        if header is None:
            return None
        kind, size = _HEADER.unpack(header)
        return kind, self._exactly(size, seconds) or b""

    def _exactly(self, size: int, seconds: float) -> bytes | None:
        parts = bytearray(self._early[:size])
        self._early = self._early[size:]
        self._socket.settimeout(seconds)
        while len(parts) < size:
            try:
                data = self._socket.recv(size - len(parts))
            except TimeoutError as error:
                raise OpsError(
                    f"{self._argv[0]} in the container sent nothing for {seconds:.0f} s",
                    "look at the container's load and log",
                ) from error
            except OSError as error:
                raise OpsError(
                    f"the connection to {self._argv[0]} in the container broke: {error}",
                    "look at the container's log",
                ) from error
            if not data:
                return None
            parts += data
        return bytes(parts)


def _read_early(stream: Any, connection: socket.socket) -> bytes:
    """What a program said before the SDK handed its connection out.

    The SDK reads the answer's header through a buffer and then goes around it: what came in the
    same packet stays there, and the first bytes of a dump would be lost with it.
    """
    response = getattr(stream, "_response", None)
    if response is None:  # over ssh there is no such buffer
        return b""
    buffered = response.raw._fp.fp  # where the SDK itself takes the connection from
    before = connection.gettimeout()
    connection.setblocking(False)
    try:
        return bytes(buffered.read1(len(buffered.peek())) or b"")
    except ssl.SSLWantReadError:
        return b""
    finally:
        connection.settimeout(before)
