"""A small web server of these tests' own, which remembers what it was asked."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """What a path answers.

    Attributes:
        body: content.
        status: HTTP status.
        kind: media type.
        headers: more of them.
        drip: seconds between two bytes of the body.
    """

    body: bytes = b"OK"
    status: int = 200
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    drip: float = 0.0


@dataclass
class Web:
    """A running server.

    Attributes:
        url: where it answers.
        answers: by path, without query; others answer 200.
        asked: method, path with query, and body of every request, in order.
        headers: of every request.
    """

    url: str
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def paths(self) -> list[str]:
        """The paths that were asked for, without query."""
        return [path.partition("?")[0] for _, path, _ in self.asked]


@contextlib.contextmanager
def web() -> Iterator[Web]:
    """A server for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            running.asked.append((self.command, self.path, self.rfile.read(length).decode()))
            running.headers.append(dict(self.headers))
            answer = running.answers.get(self.path.partition("?")[0], Answer())
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # the other side may have given up
                self._send(answer)

        do_POST = do_GET  # noqa: N815 - the library calls it

        def _send(self, answer: Answer) -> None:
            if not answer.drip:
                self.wfile.write(answer.body)
                return
            for byte in answer.body:
                self.wfile.write(bytes([byte]))
                time.sleep(answer.drip)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    running = Web(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
