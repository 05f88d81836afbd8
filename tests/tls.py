"""TLS before a server that speaks plain HTTP: nginx, with a certificate made for a test."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support import TMP, answers, free_port, require, wait_until

_CONFIG = """\
user root;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {port} ssl;
        ssl_certificate {folder}/server.crt;
        ssl_certificate_key {folder}/server.key;
        # Whoever is cut off behind it is cut off before it as well: 444 closes without an answer.
        error_page 502 504 = @cut;
        location @cut {{ return 444; }}
        location / {{
            proxy_pass {behind};
            proxy_http_version 1.1;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Tls:
    """What listens.

    Attributes:
        host: the name that its certificate is for.
        port: where it listens, on all addresses.
        ca: file with the authority's certificate.
    """

    host: str
    port: int
    ca: Path


@contextlib.contextmanager
def before(behind: str, host: str) -> Iterator[Tls]:
    """nginx before a server, for the length of the block.

    Args:
        behind: URL of the server that speaks plain HTTP.
        host: name for the certificate.
    """
    program = shutil.which("nginx")
    require(program, "the program nginx")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="tls-", dir=TMP) as made:
        folder = Path(made)
        _certificates(folder, host)
        config = folder / "nginx.conf"
        config.write_text(_CONFIG.format(folder=folder, port=port, behind=behind))
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(
                [str(program), "-c", str(config), "-p", str(folder), "-g", "daemon off;"],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
            try:
                wait_until(lambda: answers(port), 30, "nginx answers")
                yield Tls(host, port, folder / "ca.crt")
            finally:
                process.terminate()
                process.wait(60)


def _certificates(folder: Path, host: str) -> None:
    """An authority, and the certificate that it gives to the server."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _name("authority of these tests")
    ca = _signed(issuer, issuer, ca_key.public_key(), ca_key, is_ca=True, host="")
    own = _signed(_name(host), issuer, key.public_key(), ca_key, is_ca=False, host=host)
    for name, certificate in (("ca.crt", ca), ("server.crt", own)):
        (folder / name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    *,
    is_ca: bool,
    host: str,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if host:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False
        )
    return builder.sign(signer, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
