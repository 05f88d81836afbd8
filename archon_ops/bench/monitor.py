"""The monitoring API over a thousand backups: how fast, how much of it, how large."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from archon_ops.bench.ratio import Ratio
from archon_ops.errors import OpsError
from archon_ops.hosts.process import environment
from archon_ops.model.backup import Manifest, ServerFacts
from archon_ops.model.dump_names import dump_name
from archon_ops.model.fingerprint import TableFingerprint
from archon_ops.storage import manifest as manifests
from archon_ops.storage.directory import Directory
from archon_ops.storage.names import manifest_path

BACKUPS = 1000
# Of a database with Supabase's schemas beside Archon's.
_TABLES, _OBJECTS = 60, 800
_PATH = "/api/backup/status"
_START_SECONDS = 60.0
_CLIENTS = 4
# In these the kernel counts; less than one is told as none.
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_LIMIT_MS, _LIMIT_RATE, _LIMIT_BYTES = 10.0, 500.0, 120 << 20
_MAIN = "from archon_ops.cli.program import main; main()"


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        backups: number of backups in the directory.
        first_seconds: the first answer, for which every manifest is read.
        median_ms: one request after the other.
        slowest_ms: of those.
        per_second: requests answered a second by the clock, several clients at once.
        per_core_second: the same by the time that the service had a core, whoever else wants it.
        peak_bytes: largest resident size of the service.
    """

    backups: int
    first_seconds: float
    median_ms: float
    slowest_ms: float
    per_second: float
    per_core_second: float
    peak_bytes: int

    @property
    def ratios(self) -> tuple[Ratio, ...]:
        """The same beside its limits."""
        megabytes = self.peak_bytes / (1 << 20)
        return (
            Ratio(
                "median of a status",
                f"{self.median_ms:.2f} ms",
                "-",
                None,
                f"< {_LIMIT_MS:g} ms",
                self.median_ms < _LIMIT_MS,
            ),
            Ratio(
                "requests on one core",
                f"{self.per_core_second:.0f}/s",
                "-",
                None,
                f">= {_LIMIT_RATE:g}/s",
                self.per_core_second >= _LIMIT_RATE,
            ),
            Ratio(
                "memory",
                f"{megabytes:.0f} MB",
                "-",
                None,
                f"< {_LIMIT_BYTES >> 20} MB",
                self.peak_bytes < _LIMIT_BYTES,
            ),
        )


def benchmark(parent: Path, seconds: float, backups: int = BACKUPS) -> Measured:
    """Measure the service as a process of its own on one core.

    Args:
        parent: folder in which backups are laid out, and removed again.
        seconds: for which requests are sustained.
        backups: how many.

    Raises:
        OpsError: the service does not start, or answers something else than 200.
    """
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=parent) as folder:
        directory = Directory(Path(folder) / "backups")
        directory.prepare()
        lay_out(directory, backups)
        with _serving(Path(folder), directory) as (pid, port):
            first = _asked(port, 1)[0]
            one = _asked(port, 300)
            before = _core_seconds(pid)
            answered, took = _sustained(port, seconds)
            busy = max(_core_seconds(pid) - before, _TICK_SECONDS)
            return Measured(
                backups=backups,
                first_seconds=round(first, 3),
                median_ms=1000 * statistics.median(one),
                slowest_ms=1000 * max(one),
                per_second=answered / took,
                per_core_second=answered / busy,
                peak_bytes=_peak_bytes(pid),
            )


def lay_out(directory: Directory, backups: int) -> None:
    """Lay backups with manifests of a usual length into a directory; the dumps are tiny."""
    now, content = datetime.now(UTC), b"PGDMP"
    inventory = {f"function public.f{n}(uuid, text)": f"{n:064x}" for n in range(_OBJECTS)}
    tables = tuple(
        TableFingerprint(
            "public", f"archon_t{n}", n, ":".join(["18446744073709551615"] * 4), None, ("id",) * 12
        )
        for n in range(_TABLES)
    )
    for number in range(backups):
        at = now - timedelta(hours=number)
        dump = directory.path / dump_name(at)
        dump.write_bytes(content)
        data = manifests.encode(_manifest(dump.name, at, content, inventory, tables))
        manifest_path(dump).write_bytes(data)


def _manifest(
    name: str,
    at: datetime,
    content: bytes,
    inventory: dict[str, str],
    tables: tuple[TableFingerprint, ...],
) -> Manifest:
    server = ServerFacts(
        "embedded", "local", "18.1", 18, "7301234567890123456", "postgres", 5, "UTF8", "C", "C"
    )
    return Manifest(
        name=name,
        source="archon",
        display_name="Archon Knowledge Base",
        label=None,
        snapshot_at=at,
        finished_at=at,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        codec="gzip:1",
        pg_dump="18.1",
        toc_entries=_OBJECTS,
        server=server,
        snapshot="1:1:",
        tables=tables,
        sequences=(),
        inventory=inventory,
        attributes={},
        extensions=(),
        roles=(),
        sizes=(),
        database_bytes=1,
        migration_head=None,
        key=None,
        not_covered=(),
        tool="0",
    )


@contextlib.contextmanager
def _serving(root: Path, directory: Directory) -> Iterator[tuple[int, int]]:
    """The service on one core; its process and port."""
    argv = [sys.executable, "-c", _MAIN, "serve", "--port", "0", "--source", "archon"]
    said = root / "said"
    with said.open("wb") as file:
        popen = subprocess.Popen(
            [*argv, "--backup-dir", str(directory.path)],
            cwd=root,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
        )
    try:
        os.sched_setaffinity(popen.pid, {min(os.sched_getaffinity(0))})
        yield popen.pid, _port(said, popen)
    finally:
        popen.terminate()
        try:
            popen.wait(10)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()


def _port(said: Path, popen: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and popen.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", said.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise OpsError(f"the service did not start: {said.read_text()[-300:].strip()}")


def _asked(port: int, times: int) -> list[float]:
    """Ask one request after the other on one connection; seconds of each."""
    taken = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        for _ in range(times):
            began = time.perf_counter()
            _one(connection)
            taken.append(time.perf_counter() - began)
    return taken


def _one(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", _PATH)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise OpsError(f"the service answers {answer.status}")


def _sustained(port: int, seconds: float) -> tuple[int, float]:
    """How many requests several clients get answered, and in how many seconds."""
    counts: list[int] = []
    end = time.monotonic() + seconds

    def client() -> None:
        count = 0
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with contextlib.closing(connection):
            while time.monotonic() < end:
                _one(connection)
                count += 1
        counts.append(count)

    clients = [threading.Thread(target=client) for _ in range(_CLIENTS)]
    began = time.monotonic()
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    if len(counts) < len(clients):
        raise OpsError("the service did not answer all of its clients")
    return sum(counts), time.monotonic() - began


def _core_seconds(pid: int) -> float:
    """Seconds for which a process had a core so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


def _peak_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else 0
