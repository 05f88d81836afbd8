"""Servers that stand for Google's and Azure's stores.

Google's XML protocol is S3's but for three headers: a proxy before the S3 server translates them.
Azure's is azurite's, Microsoft's own emulator, where it is installed: npm install --global azurite.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import hashlib
import hmac
import http.client
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.s3 import Proxy, Refuse, S3Server, proxied
from tests.support import answers, free_port, wait_until

# Known to everybody: the account of every emulator.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
# Somebody, for a server that believes every signature.
_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, "
    "Signature=x"
)


@contextlib.contextmanager
def google(server: S3Server) -> Iterator[Proxy]:
    """A server of Google's protocol before one of S3's, for the length of the block."""

    def translate(method: str, path: str, headers: dict[str, str]) -> Refuse | None:
        given = {name.lower(): name for name in headers}
        headers[given.get("authorization", "Authorization")] = _SIGNED
        source = headers.pop(given.get("x-goog-copy-source", ""), None)
        if source is not None:
            headers["x-amz-copy-source"] = source
        if headers.pop(given.get("x-goog-if-generation-match", ""), None) == "0":
            address = server.url.removeprefix("http://")
            with contextlib.closing(http.client.HTTPConnection(address, timeout=60)) as behind:
                behind.request("HEAD", path, headers={"Authorization": _SIGNED})
                status = behind.getresponse().status
            return Refuse(412, "PreconditionFailed") if status == http.client.OK else None
        return None

    with proxied(server) as proxy:
        proxy.translate = translate
        yield proxy


def google_key(folder: Path, url: str) -> Path:
    """A key file that names this server, and wants no token of it."""
    path = folder / "google.json"
    nobody = {"client_email": "", "private_key": "", "private_key_id": "", "disable_oauth": True}
    path.write_text(json.dumps({"gcs_base_url": url, **nobody}))
    return path


@dataclass(frozen=True)
class Azurite:
    """Microsoft's emulator.

    Attributes:
        url: where it listens, with the account's name.
    """

    url: str

    def container(self, name: str) -> str:
        """Make a container; its name."""
        date = email.utils.formatdate(usegmt=True)
        lines = [f"x-ms-date:{date}", "x-ms-version:2021-08-06", f"/{ACCOUNT}/{ACCOUNT}/{name}"]
        signed = "PUT" + "\n" * 12 + "\n".join((*lines, "restype:container"))
        key = base64.b64decode(ACCOUNT_KEY)
        word = base64.b64encode(hmac.digest(key, signed.encode(), hashlib.sha256)).decode()
        address = self.url.removeprefix("http://").partition("/")[0]
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request(
            "PUT",
            f"/{ACCOUNT}/{name}?restype=container",
            headers={
                "x-ms-date": date,
                "x-ms-version": "2021-08-06",
                "Authorization": f"SharedKey {ACCOUNT}:{word}",
                "Content-Length": "0",
            },
        )
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        assert answer.status == http.client.CREATED, said
        return name


@contextlib.contextmanager
def azurite(program: str) -> Iterator[Azurite]:
    """The emulator in memory, for the length of the block."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="azurite-") as folder, tempfile.TemporaryFile() as said:
        argv = [program, "--blobHost", "127.0.0.1", "--blobPort", str(port)]
        flags = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
        process = subprocess.Popen(
            [*argv, *flags],
            cwd=folder,
            stdout=said,
            stderr=said,
            env={"PATH": os.environ["PATH"], "HOME": folder},
        )
        try:
            wait_until(lambda: answers(port), 60, "azurite answers")
            yield Azurite(f"http://127.0.0.1:{port}/{ACCOUNT}")
        finally:
            process.terminate()
            process.wait(60)
