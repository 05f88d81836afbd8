"""A push to a local S3 server against `rclone copy` to the same, and with age against without."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from archon_ops.bench.backup import command_line
from archon_ops.bench.measure import Figures, measured, median
from archon_ops.bench.ratio import Benchmark, Ratio
from archon_ops.errors import OpsError, PreconditionError
from archon_ops.hosts import process
from archon_ops.model.copies import without_content
from archon_ops.model.dump_names import dump_name
from archon_ops.model.report import Report
from archon_ops.storage import manifest as manifests
from archon_ops.storage.files import sha256_of

_MEGABYTE = 1 << 20
_RATE_LIMIT = 1 / 0.8
_AGE_LIMIT = 1.3
_MEMORY_LIMIT = 200 * _MEGABYTE
_START_SECONDS = 60.0
_BUCKET = "bench"
_CONFIG = """
[sources.bench]
kind = "direct"
dsn = "host=nowhere"
backup_dir = "backups"
"""
# What a server on this machine takes for credentials.
_KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}


def benchmark(parent: Path, size_bytes: int, runs: int, report: Report) -> Benchmark:
    """Measure all three in turn, after one unmeasured run of each.

    Args:
        parent: where all of it is made, and removed again.
        size_bytes: length of the dump; it is random, as one is that is compressed.
        runs: how many measured runs of each.
        report: who listens.

    Raises:
        PreconditionError: the S3 server of the tests, or rclone, is not installed.
    """
    _require_programs()
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    found: dict[str, list[Figures]] = {"rclone": [], "plain": [], "age": []}
    try:
        dump, recipient = _prepared(root, size_bytes)
        for number in range(runs + 1):
            report.info(f"run {number} of {runs}" if number else "warming up")
            for way, measured_so_far in found.items():
                with _server() as url:
                    figures = _way(way, root, dump, url, recipient)
                if number:
                    measured_so_far.append(figures)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    spread = {w: (min(map(_wall, f)), max(map(_wall, f))) for w, f in found.items()}
    return Benchmark(size_bytes, "random bytes", runs, _compared(found), spread)


def _way(way: str, root: Path, dump: Path, url: str, recipient: str) -> Figures:
    if way == "rclone":
        return measured(
            ("rclone", "copy", str(dump), f"bench:{_BUCKET}/rclone"), cwd=root, env=_rclone(url)
        )
    to = f"s3://{_BUCKET}/{way}?endpoint={url}&path_style=true"
    encrypted = ("--recipient", recipient) if way == "age" else ()
    args = ("offsite.push", "--source", "bench", "--quiet", "--to", to, *encrypted)
    return measured(command_line(*args), cwd=root, env=_KEYS)


def _compared(found: Mapping[str, list[Figures]]) -> tuple[Ratio, ...]:
    walls = {way: median([f.wall_seconds for f in figures]) for way, figures in found.items()}
    memory = max(f.peak_bytes for way in ("plain", "age") for f in found[way])
    return (
        _ratio("push / rclone copy", walls["plain"], walls["rclone"], _RATE_LIMIT),
        _ratio("push with age / without", walls["age"], walls["plain"], _AGE_LIMIT),
        Ratio(
            "peak memory of a push",
            f"{memory / _MEGABYTE:.1f} MB",
            "-",
            None,
            f"{_MEMORY_LIMIT / _MEGABYTE:.0f} MB",
            memory < _MEMORY_LIMIT,
        ),
    )


def _ratio(what: str, ours: float, theirs: float, limit: float) -> Ratio:
    ratio = ours / theirs
    return Ratio(what, f"{ours:.2f} s", f"{theirs:.2f} s", ratio, f"{limit:.2f}", ratio <= limit)


def _prepared(root: Path, size_bytes: int) -> tuple[Path, str]:
    """A root folder with a backup of random bytes, and a new age key's public part."""
    import pyrage

    (root / "archon.toml").write_text(_CONFIG, encoding="utf-8")
    folder = root / "backups"
    folder.mkdir(mode=0o700)
    now = datetime.now(UTC)
    dump = folder / dump_name(now)
    with dump.open("wb") as file:
        for start in range(0, size_bytes, _MEGABYTE):
            file.write(os.urandom(min(_MEGABYTE, size_bytes - start)))
    sha256, size = sha256_of(dump)
    manifest = replace(without_content(dump.name, "bench", now), size_bytes=size, sha256=sha256)
    manifests.write(dump, manifest, "bench")
    return dump, str(pyrage.x25519.Identity.generate().to_public())


@contextlib.contextmanager
def _server() -> Iterator[str]:
    """A server with an empty bucket, in a process of its own; its URL."""
    import boto3

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with process.spawn(
        (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
    ) as child:
        end = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if time.monotonic() > end or not child.running():
                raise OpsError(f"the S3 server does not answer: {child.said()[-200:]}")
            child.pause(0.1)
        client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="bench",
            aws_secret_access_key="bench",  # noqa: S106 - of a server that lives for this run
        )
        client.create_bucket(Bucket=_BUCKET)
        yield url


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _rclone(url: str) -> dict[str, str]:
    """A remote by variables: no configuration of the user is read or written."""
    return {
        "RCLONE_CONFIG": os.devnull,
        "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
        "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID": "bench",
        "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": "bench",
        "RCLONE_CONFIG_BENCH_ENDPOINT": url,
        "AWS_CA_BUNDLE": "",
    }


def _wall(figures: Figures) -> float:
    return figures.wall_seconds


def _require_programs() -> None:
    if importlib.util.find_spec("moto") is None:
        raise PreconditionError(
            "the S3 server that it is measured against is not installed",
            "pip install 'archon-ops[test]'",
        )
    if shutil.which("rclone") is None:
        raise PreconditionError("rclone is not installed", "install the package rclone")
