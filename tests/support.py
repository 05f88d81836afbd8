"""What tests share: a whole installation in a folder of its own, used as people use it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from archon_ops.actions import backup
from archon_ops.actions.reading import found
from archon_ops.model.proof import Found
from archon_ops.model.report import Report, Silent
from archon_ops.postgres import databases
from archon_ops.postgres.postmaster import Address
from archon_ops.postgres.programs import LocalPrograms
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.postgres.tools import Tools
from archon_ops.rig import sample
from archon_ops.settings import load
from archon_ops.site import Site, make_site

CHECKOUT = Path(__file__).parent.parent
KEY = "an encryption key of these tests"
MB = 1 << 20
_MEMORY = Path("/dev/shm")  # noqa: S108 - all that is made in it has random names, and is 0700
_ENOUGH = 8 << 30


def _temporary() -> str:
    """In memory where that has room: half of the time went into waiting for the disk.

    Either way the path is short, as a socket's has to be.
    """
    roomy = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH
    return str(_MEMORY) if roomy and _available() > _ENOUGH else tempfile.gettempdir()


def _available() -> int:
    """Bytes of memory that are to be had: a file system in memory may be larger than that."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(found.split()[1]) << 10
    return 0


# Workers have that of whoever started them (conftest.py): what is free changes meanwhile.
TMP = os.environ.get("PYTEST_DEBUG_TEMPROOT") or _temporary()

# What a person's shell may hold, and no test may depend on.
_NOT_OURS = ("ARCHON_", "PG", "ENCRYPTION_KEY", "SUPABASE_SERVICE_KEY", "NO_COLOR")
_POLL_SECONDS = 0.02
# A program whose parent was killed ends by itself, and not at once.
_ENDING_SECONDS = 10
_FIRST_PORT, _PORTS, _WORKERS = 12_000, 200, 100
_given: set[int] = set()
# Limits are for what never comes; on a machine that does much else at once, all takes longer.
_SLACK = 3


def require(condition: object, what: str) -> None:
    """Skip the test visibly where something is missing; in CI nothing may be missing: fail."""
    if not condition:
        _lacking(what)


def _lacking(what: str) -> NoReturn:
    if os.environ.get("CI", "") not in ("", "0", "false"):
        pytest.fail(f"missing in CI: {what}")
    pytest.skip(f"missing: {what}")


def wait_until(holds: Callable[[], object], timeout: float, what: str) -> None:
    """Poll until something comes true; fail with `what` after `timeout` seconds."""
    end = time.monotonic() + timeout * _SLACK
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f"did not come true within {timeout:.0f} s: {what}")
        time.sleep(_POLL_SECONDS)


def free_port() -> int:
    """A TCP port of this machine that nobody listens on, and that nobody is given meanwhile.

    Who asks the system for any port is given one from 32768 on: ours lie below, and each worker
    has some of its own.
    """
    first = _FIRST_PORT + _PORTS * (_worker() % _WORKERS)
    while True:
        port = random.randrange(first, first + _PORTS)  # noqa: S311 - no secret
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            if port not in _given:
                _given.add(port)
                return port


def _worker() -> int:
    """Number of this worker of pytest's; 0 where there are none."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw") or 0)


def answers(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def dsn(address: Address, database: str) -> str:
    """The connection string of a database on a server that only has a socket."""
    return f"host={address.host} port={address.port} user={address.user} dbname={database}"


def server_at(address: Address, tools: Tools) -> Server:
    """A running server as the package sees it."""
    where = {"host": address.host, "port": address.port, "user": address.user}
    return Server(
        kind="direct",
        host=address.host,
        address=where,
        programs=LocalPrograms(tools, where),
        run_id="test",
        connect_seconds=10.0,
    )


@contextlib.contextmanager
def new_database(server: Server, name: str = "test") -> Iterator[Connection]:
    """A session on a new database, which is gone after the block."""
    with server.connect(databases.MAINTENANCE) as admin:
        databases.create(admin, name, None)
        try:
            with server.connect(name) as connection:
                yield connection
        finally:
            databases.drop(admin, name)


def is_ours(path: Path) -> bool:
    """Whether a temporary file is not one with which Python tries a folder out.

    `tempfile` writes "blat" under a bare random name before it uses a folder for the first time,
    and whoever is killed right then leaves it.
    """
    probe = re.fullmatch("[a-z0-9_]{8}", path.name) and path.is_file()
    return not (probe and path.stat().st_size <= len("blat"))


@dataclass(frozen=True)
class Completed:
    """A command that ended."""

    args: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.stdout)

    def ok(self) -> Completed:
        """Itself, when it ended with 0; fails with all that it said otherwise."""
        return self.ended(0)

    def ended(self, code: int) -> Completed:
        """Itself, when it ended with `code`; fails with all that it said otherwise."""
        assert self.returncode == code, f"{self}"
        return self

    def __str__(self) -> str:
        return f"{' '.join(self.args)} -> {self.returncode}\n{self.stdout}\n{self.stderr}"


class Spawned:
    """A command in the background; what it says goes to files, so that it never waits for us."""

    def __init__(self, args: tuple[str, ...], popen: subprocess.Popen[bytes], said: Path) -> None:
        self.args = args
        self.popen = popen
        self._said = said

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def stdout(self) -> str:
        return (self._said / "stdout").read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return (self._said / "stderr").read_text(errors="replace")

    def running(self) -> bool:
        return self.popen.poll() is None

    def wait_for(self, text: str, timeout: float = 60) -> None:
        """Wait until it has written `text` to standard error."""
        wait_until(
            lambda: text in self.stderr or not self.running(), timeout, f"{text!r}: {self.stderr}"
        )
        assert text in self.stderr, f"it ended before it said {text!r}: {self.finish()}"

    def wait_paused(self, phase: str, timeout: float = 60) -> None:
        """Wait until it holds at the phase that ARCHON_OPS_PAUSE_AT names."""
        self.wait_for(f"paused at {phase}", timeout)

    def go_on(self) -> None:
        """Let it leave the pause point."""
        self.send(signal.SIGUSR1)

    def send(self, how: signal.Signals) -> None:
        self.popen.send_signal(how)

    def finish(self, timeout: float = 120) -> Completed:
        """Wait for its end."""
        code = self.popen.wait(timeout * _SLACK)
        return Completed(self.args, code, self.stdout, self.stderr)

    def kill(self) -> Completed:
        """End it with SIGKILL, if it has not ended."""
        if self.running():
            self.send(signal.SIGKILL)
        return self.finish()


class Installation:
    """A root folder with tasks.py and a state of its own; source `demo` unless told otherwise.

    Attributes:
        root: the folder. Its path is short, because sockets lie below it.
        temporary: folder for temporary files of its commands; empty when nothing runs.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.temporary = root / "t"
        self._spawned: list[Spawned] = []

    @classmethod
    def make(cls) -> Installation:
        """A root folder and nothing else."""
        root = Path(tempfile.mkdtemp(prefix="ao-", dir=TMP))
        shutil.copy(CHECKOUT / "tasks.py", root)
        (root / "t").mkdir()
        return cls(root)

    def copy(self) -> Installation:
        """Another one with the same content; only while nothing runs in this one."""
        root = Path(tempfile.mkdtemp(prefix="ao-", dir=TMP))
        shutil.copytree(self.root, root, dirs_exist_ok=True, symlinks=True)
        return Installation(root)

    def make_demo(self, size_bytes: int = 1, *, vectors: bool = True) -> None:
        """Make the demo's database and one backup of it."""
        site = self.site()
        home = site.settings.home(site.name)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / ".env").write_text(f'ENCRYPTION_KEY="{KEY}"\n')
        with self.server(create=True) as server:
            with server.connect(site.database) as connection:
                sample.create(connection, size_bytes, Silent(), encryption_key=KEY, vectors=vectors)
            backup.backup(site, backup.Request())

    def environment(self, more: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """What its commands are given; a value of None takes a variable away."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_OURS)}
        ours: dict[str, str | None] = {
            **kept,
            "PYTHONPATH": str(CHECKOUT),
            "TMPDIR": str(self.temporary),
            "ARCHON_SOURCE": "demo",
            "LC_ALL": "C.UTF-8",
            **(more or {}),
        }
        return {key: value for key, value in ours.items() if value is not None}

    def run(
        self,
        *args: str,
        env: Mapping[str, str | None] | None = None,
        timeout: float = 120,
        input: str | None = None,
    ) -> Completed:
        """Run `inv ARGS` to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "invoke", *args],
            cwd=self.root,
            env=self.environment(env),
            input=input if input is not None else "",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout * _SLACK,
            check=False,
        )
        return Completed(args, done.returncode, done.stdout, done.stderr)

    def inherit(self, *args: str, fd: int) -> Completed:
        """Run `inv ARGS --passphrase-fd FD` with that file open in it."""
        command = [sys.executable, "-m", "invoke", *args, "--passphrase-fd", str(fd)]
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120 * _SLACK,
            check=False,
            pass_fds=[fd],
        )
        return Completed(args, done.returncode, done.stdout, done.stderr)

    def spawn(
        self,
        *args: str,
        env: Mapping[str, str | None] | None = None,
        pause_at: str | None = None,
    ) -> Spawned:
        """Start `inv ARGS`; `teardown` ends it at the latest."""
        said = Path(tempfile.mkdtemp(prefix="said-", dir=self.root))
        pause = {"ARCHON_OPS_PAUSE_AT": pause_at} if pause_at else {}
        with (said / "stdout").open("wb") as out, (said / "stderr").open("wb") as err:
            popen = subprocess.Popen(
                [sys.executable, "-m", "invoke", *args],
                cwd=self.root,
                env=self.environment({**pause, **(env or {})}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        spawned = Spawned(args, popen, said)
        self._spawned.append(spawned)
        return spawned

    def site(self, report: Report | None = None, **flags: Any) -> Site:
        """The site of its source, to use the package in this process."""
        settings = load(self.root, **{"source": "demo", **flags})
        return make_site(settings, report or Silent())

    @contextlib.contextmanager
    def server(self, *, create: bool = False) -> Iterator[Server]:
        """The demo's server, which runs at least as long as the block."""
        with self._temporary_here(), self.site().server(create=create) as server:
            yield server

    @contextlib.contextmanager
    def connect(self, database: str | None = None) -> Iterator[Connection]:
        """A session on the production database, or on another one of its server."""
        with self.server() as server, server.connect(database or self.site().database) as session:
            yield session

    def psql(self, query: str, database: str | None = None) -> str:
        """What the query answers: a line for each row, columns joined by "|", NULL empty."""
        with self.connect(database) as connection:
            cursor = connection.execute(query.encode())
            if cursor.description is None:
                return ""
            rows = cursor.fetchall()
        return "\n".join(
            "|".join("" if value is None else str(value) for value in row) for row in rows
        )

    def databases(self) -> tuple[str, ...]:
        """Names of all databases but the templates."""
        query = "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1"
        return tuple(self.psql(query, "template1").splitlines())

    def content(self, database: str | None = None) -> Found:
        """All rows, sequences, objects and attributes of a database, to compare with later."""
        site = self.site()
        name = database or site.database
        with self.server() as server:
            return found(server, name, site.settings.deadlines, attributes_of=name)

    @property
    def backups(self) -> Path:
        """The backup directory."""
        return self.site().directory.path

    def dumps(self) -> tuple[Path, ...]:
        """All dumps in the backup directory, oldest name first."""
        return tuple(sorted(self.backups.glob("*.dump")))

    def latest_dump(self) -> Path:
        """The newest dump by its name."""
        return self.dumps()[-1]

    def files(self) -> dict[str, bytes]:
        """Every file in the backup directory but the run records and locks, with its content."""
        folder = self.backups
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and ".ops" not in path.relative_to(folder).parts
        }

    def teardown(self) -> None:
        """End and remove everything; fails if something was left running, or lying about."""
        for name in ("archon.toml", ".env"):  # a test may have left a malformed one
            (self.root / name).unlink(missing_ok=True)
        killed = [one for one in self._spawned if one.kill().returncode == -signal.SIGKILL]
        with self._temporary_here():
            self.site().cluster.remove()
        end = time.monotonic() + (_ENDING_SECONDS if killed else 0)
        while self._processes() and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
        left = [*self._processes(), *map(str, filter(is_ours, self.temporary.iterdir()))]
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.root)
        assert left == [], f"left behind in {self.root}: {left}"

    def _processes(self) -> dict[int, str]:
        """Processes that work in the root folder or name it."""
        found: dict[int, str] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                said = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                words = said.decode(errors="replace").strip()
                where = (folder / "cwd").readlink()
                if str(self.root) in words or where.is_relative_to(self.root):
                    found[int(folder.name)] = words
        return {pid: words for pid, words in found.items() if pid != os.getpid()}

    @contextlib.contextmanager
    def _temporary_here(self) -> Iterator[None]:
        """Let this process make temporary files where the installation's commands do."""
        before, tempfile.tempdir = tempfile.tempdir, str(self.temporary)
        try:
            yield
        finally:
            tempfile.tempdir = before
