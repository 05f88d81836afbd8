"""A server of the S3 protocol as a process of its own, and a proxy before it that misbehaves."""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.support import answers, free_port, wait_until

KEY, SECRET = "cana-ry-KEYID", "cana-ry-SECRET"
NOBODY = "http://127.0.0.1:9"


@dataclass(frozen=True)
class S3Server:
    """moto's server.

    Attributes:
        url: where it listens.
    """

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """What makes the package use it: the usual AWS variables, and nothing of the machine's."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    @functools.cache  # noqa: B019 - there is one server, and making a client takes a while
    def client(self) -> Any:
        """A client of the server."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def bucket(self, name: str, *, locking: bool = False, versions: bool = False) -> str:
        """Make a bucket; its name."""
        client = self.client()
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locking)
        if versions and not locking:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def at(self, bucket: str, prefix: str = "copies", endpoint: str | None = None) -> str:
        """The URL by which the package is told of a place in it."""
        return f"s3://{bucket}/{prefix}?endpoint={endpoint or self.url}&path_style=true"

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Every object that is current, with its content."""
        client = self.client()
        found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {
            item["Key"]: client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            for item in found
        }


@contextlib.contextmanager
def running() -> Iterator[S3Server]:
    """The server, for the length of the block."""
    port = free_port()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=said,
            stderr=said,
            env={"PATH": os.environ["PATH"], "MOTO_S3_CUSTOM_ENDPOINTS": ""},
        )
        try:
            wait_until(lambda: answers(port), 60, "the S3 server answers")
            yield S3Server(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(60)


@dataclass(frozen=True)
class Refuse:
    """Answer in the server's place."""

    status: int
    code: str


@dataclass(frozen=True)
class Cut:
    """Break the connection: of an upload at its end, of an answer after so many bytes."""

    after: int = 0


Misbehave = Callable[[str, str], Refuse | Cut | None]
Translate = Callable[[str, str, dict[str, str]], Refuse | None]


class Proxy:
    """Passes requests on to a server, but for those that `misbehave` picks by method and path.

    Attributes:
        misbehave: may be exchanged at any time.
        seen: method and path of every request.
        translate: changes the headers of a request, and may refuse it.
    """

    def __init__(self, target: str) -> None:
        self.misbehave: Misbehave = lambda _method, _path: None
        self.translate: Translate = lambda _method, _path, _headers: None
        self.seen: list[tuple[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                outer.seen.append((self.command, self.path))
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                what = outer.misbehave(self.command, self.path)
                headers = dict(self.headers)
                what = what or outer.translate(self.command, self.path, headers)
                if isinstance(what, Refuse):
                    return self.answer_error(what)
                if isinstance(what, Cut) and self.command != "GET":
                    return self.cut()
                address = target.removeprefix("http://")
                with contextlib.closing(http.client.HTTPConnection(address, timeout=60)) as behind:
                    behind.request(self.command, self.path, body, headers)
                    answer = behind.getresponse()
                    data = answer.read()
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") or str(len(data))
                self.send_header("Content-Length", length)
                self.end_headers()
                if isinstance(what, Cut):
                    self.wfile.write(data[: what.after])
                    return self.cut()
                if self.command != "HEAD":
                    self.wfile.write(data)
                return None

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815

            def answer_error(self, what: Refuse) -> None:
                body = f"<Error><Code>{what.code}</Code><Message>no</Message></Error>".encode()
                self.send_response_only(what.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def cut(self) -> None:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def proxied(server: S3Server) -> Iterator[Proxy]:
    """A proxy before a server, for the length of the block."""
    proxy = Proxy(server.url)
    try:
        yield proxy
    finally:
        proxy.close()


def age_key(folder: Path) -> tuple[Path, str]:
    """A new age key: its file, and the public key."""
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    path = folder / "key.txt"
    path.write_text(f"# a key of these tests\n{identity}\n")
    path.chmod(0o600)
    return path, str(identity.to_public())
