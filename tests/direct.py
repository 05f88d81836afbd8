"""A source behind a DSN, its server in the test's hand: restart it, cut it off, freeze it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from archon_ops.postgres.cluster import Cluster
from archon_ops.postgres.postmaster import Address
from archon_ops.postgres.tools import Tools
from archon_ops.storage.files import sha256_of
from tests.support import TMP, Completed, Installation, Spawned, wait_until

SOURCE = "live"
DATABASE = "archon"
TEMPLATE = "archon_template"
SCHEMA = """
CREATE TABLE archon_sources (source_id text PRIMARY KEY, title text);
CREATE TABLE archon_tasks (id bigserial PRIMARY KEY, source_id text REFERENCES archon_sources,
    title text);
CREATE TABLE archon_migrations (version text, migration_name text,
    applied_at timestamptz DEFAULT now());
CREATE SCHEMA n8n;
CREATE TABLE n8n.workflow (id int PRIMARY KEY, name text);
INSERT INTO archon_sources SELECT 's' || i, 'source ' || i FROM generate_series(1, 20) i;
INSERT INTO archon_tasks (source_id, title)
    SELECT 's' || 1 + i % 20, md5(i::text) FROM generate_series(1, 500) i;
INSERT INTO archon_migrations VALUES ('0.1', 'first', '2025-01-01');
INSERT INTO n8n.workflow SELECT i, md5(i::text) FROM generate_series(1, 200) i;
"""


class Proxy:
    """A TCP port that leads to a server's socket, until it is told to close or to freeze."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._frozen = threading.Event()
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._forward, daemon=True)
        self._thread.start()

    def freeze(self) -> None:
        """Forward nothing more, and keep every connection."""
        self._frozen.set()

    def cut(self) -> None:
        """Close every connection; new ones are taken again."""
        with self._lock:
            for one in self._pairs:
                _close(*one)
            self._pairs.clear()

    def thaw(self) -> None:
        """Close what was frozen, and forward again."""
        self.cut()
        self._frozen.clear()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(10)
        self.cut()
        self._listener.close()

    def _forward(self) -> None:
        while not self._stopped.is_set():
            if self._frozen.is_set():
                time.sleep(0.02)
                continue
            with self._lock:
                ends = {a: b for pair in self._pairs for a, b in (pair, pair[::-1])}
            try:
                ready, _, _ = select.select([self._listener, *ends], [], [], 0.02)
            except (OSError, ValueError):
                continue  # one was closed meanwhile
            for end in ready:
                if end is self._listener:
                    self._accept()
                else:
                    self._pass(end, ends[end])

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self.target)
        except OSError:
            _close(client, server)
            return
        with self._lock:
            self._pairs.append((client, server))

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        try:
            data = source.recv(1 << 16)
            if data and not self._frozen.is_set():
                target.sendall(data)
        except OSError:
            data = b""
        if not data:
            with self._lock:
                self._pairs = [p for p in self._pairs if source not in p]
            _close(source, target)


def _close(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


class Host:
    """A server of one's own, reached through a proxy, with a template of a small Archon.

    Attributes:
        cluster: its files.
        owner: role that owns the database.
        address: its socket.
        proxy: the TCP port that leads there.
    """

    def __init__(
        self, cluster: Cluster, stack: contextlib.ExitStack, roles: str, owner: str
    ) -> None:
        self.cluster = cluster
        self.owner = owner
        self._stack = stack
        self.address: Address = stack.enter_context(cluster.running())
        self.proxy = Proxy(self._socket)
        stack.callback(self.proxy.stop)
        if roles:
            self.execute(roles, "template1")
        self.execute(f"CREATE DATABASE {TEMPLATE} OWNER {owner}", "template1")
        self.execute(f"SET SESSION AUTHORIZATION {owner}; {SCHEMA}", TEMPLATE)

    @property
    def _socket(self) -> str:
        return f"{self.address.host}/.s.PGSQL.{self.address.port}"

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.proxy.port}/{DATABASE}"

    def reset(self, database: str = DATABASE) -> None:
        """Make the database what it was in the beginning."""
        self.proxy.thaw()
        with self.connect("template1") as connection:
            for (name,) in connection.execute(
                "SELECT datname FROM pg_database WHERE datname !~ '^(postgres|template.|"
                f"{TEMPLATE})$'"
            ).fetchall():
                connection.execute(
                    sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
                )
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                    *map(sql.Identifier, (database, TEMPLATE, self.owner))
                )
            )

    def connect(self, database: str = DATABASE, **more: Any) -> psycopg.Connection[Any]:
        """An autocommit session of the superuser, past the proxy."""
        given = {
            "host": self.address.host,
            "port": self.address.port,
            "user": self.address.user,
            "dbname": database,
            **more,
        }
        return psycopg.connect(**given, autocommit=True, connect_timeout=10)

    def execute(self, query: str, database: str = DATABASE) -> list[tuple[Any, ...]]:
        with self.connect(database) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def sessions(self) -> list[tuple[Any, ...]]:
        """What of ours is connected: application, state and query."""
        return self.execute(
            "SELECT pid, application_name, state, query FROM pg_stat_activity"
            " WHERE application_name LIKE 'archon_ops%'",
            "template1",
        )

    def content(self, database: str = DATABASE) -> dict[str, str]:
        """A digest of every table, and the names of all databases."""
        query = "SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {} AS t"
        with self.connect(database) as connection:
            tables = connection.execute(
                "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n"
                " ON n.oid = c.relnamespace WHERE c.relkind = 'r'"
                " AND n.nspname !~ '^(pg_|information_schema)'"
            ).fetchall()
            found = {
                ".".join(name): str(
                    connection.execute(
                        sql.SQL(query).format(sql.Identifier(*name))  # type: ignore[arg-type]
                    ).fetchone()
                )
                for name in tables
            }
            names = connection.execute("SELECT array_agg(datname ORDER BY 1) FROM pg_database")
            return {**found, "databases": str(names.fetchone())}

    @contextlib.contextmanager
    def locking(self, table: str, database: str = DATABASE) -> Iterator[int]:
        """Hold a table exclusively in a session of another program; gives its pid."""
        with (
            self.connect(database, application_name="the blocker") as connection,
            connection.transaction(force_rollback=True),
        ):
            connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            yield connection.info.backend_pid

    def restart(self) -> None:
        """End the server as a power failure does, and start it again."""
        pid = int((self.cluster.data_folder / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), 30, "the server's end")
        self.address = self._stack.enter_context(self.cluster.running())
        self.proxy.target = self._socket


@contextlib.contextmanager
def hosting(
    tools: Tools,
    files: Mapping[str, str] | None = None,
    *,
    roles: str = "",
    owner: str = "postgres",
) -> Iterator[Host]:
    """A server of one's own for the length of the block.

    Args:
        tools: its programs.
        files: content of files in its data directory (pg_hba.conf ...).
        roles: statements that make roles.
        owner: role that owns the database.
    """
    with tempfile.TemporaryDirectory(prefix="pg-", dir=TMP) as folder:
        cluster = Cluster(tools, Path(folder) / "cluster", durable=False)
        cluster.create()
        for name, text in (files or {}).items():
            (cluster.data_folder / name).write_text(text)
        try:
            with contextlib.ExitStack() as stack:
                yield Host(cluster, stack, roles, owner)
        finally:
            cluster.remove()


class Direct:
    """An installation whose source is a database behind a DSN.

    Attributes:
        host: the server.
        installation: the root folder.
    """

    def __init__(self, host: Host, installation: Installation) -> None:
        self.host = host
        self.installation = installation

    def configure(self, dsn: str | None = None, **fields: str) -> None:
        """Write archon.toml; short deadlines, so that no test waits for long."""
        lines = [f'{key} = "{value}"' for key, value in fields.items()]
        text = "\n".join(
            [
                "[deadlines]",
                "connect = 10",
                "lock = 2",
                "stall = 20",
                f"[sources.{SOURCE}]",
                'kind = "direct"',
                f'dsn = "{dsn or self.host.dsn}"',
                'backup_dir = "backups"',
                *lines,
            ]
        )
        (self.installation.root / "archon.toml").write_text(text)

    @property
    def backups(self) -> Path:
        return self.installation.root / "backups"

    def run(self, *args: str, env: Mapping[str, str | None] | None = None) -> Completed:
        return self.installation.run(*args, env={"ARCHON_SOURCE": SOURCE, **(env or {})})

    def spawn(
        self,
        *args: str,
        pause_at: str | None = None,
        env: Mapping[str, str | None] | None = None,
    ) -> Spawned:
        given = {"ARCHON_SOURCE": SOURCE, **(env or {})}
        return self.installation.spawn(*args, pause_at=pause_at, env=given)

    def files(self) -> dict[str, bytes]:
        """Every file in the backup directory but the run records and the lock."""
        return {
            str(path.relative_to(self.backups)): path.read_bytes()
            for path in sorted(self.backups.rglob("*"))
            if path.is_file() and ".ops" not in path.relative_to(self.backups).parts
        }

    def temporary_files(self) -> list[Path]:
        """What a run forgot: half-written files, and files for passwords."""
        return [*self.backups.rglob(".tmp-*"), *self.installation.temporary.iterdir()]

    def lock_is_free(self) -> bool:
        with (self.backups / ".ops" / "lock").open("rb+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def records(self) -> list[Path]:
        """The run records, oldest first."""
        return sorted((self.backups / ".ops" / "runs").glob("*.json"))

    def assert_all_sound(self, *, orphans: bool = False) -> None:
        """Everything that bears a backup's name is one: all of its bytes are those written.

        Args:
            orphans: whether a manifest may lie there without its dump: that is no backup, and the
                next run removes it.
        """
        site = self.installation.site(source=SOURCE)
        listing = site.directory.scan()
        assert listing.oddities == ()
        for backup in listing.backups:
            assert backup.manifest is not None, backup
            assert sha256_of(site.directory.path_of(backup)) == (
                backup.manifest.sha256,
                backup.manifest.size_bytes,
            )
        dumps = {b.name.removesuffix(".dump") for b in listing.backups}
        known = {"RESTORE.txt"} | {
            f"{n}{end}" for n in dumps for end in (".dump", ".json", ".verify.json")
        }
        files = {name.removeprefix("safety/") for name in self.files()}
        there = {name for name in files if not name.startswith(".tmp-")}
        strange = there - known
        assert not strange or (orphans and all(name.endswith(".json") for name in strange))

    @contextlib.contextmanager
    def unharmed(self) -> Iterator[None]:
        """Whatever happens in the block, it leaves no trace but its run record."""
        content, files = self.host.content(), self.files()
        yield
        assert self.files() == files
        assert self.temporary_files() == []
        assert self.lock_is_free()
        wait_until(lambda: not self.host.sessions(), 20, f"no session left: {self.host.sessions()}")
        assert self.host.content() == content


def error_of(done: Completed, code: int) -> str:
    """The message and hint of a command that failed: at most three lines, and a next command."""
    done.ended(code)
    lines = done.stderr.splitlines()
    start = max(i for i, line in enumerate(lines) if line.startswith("error: "))
    told = lines[start:]
    assert len(told) <= 3, done
    assert "Traceback" not in done.stderr
    assert told[-1].startswith("hint: "), done
    return "\n".join(told)


def prepared(host: Host) -> Direct:
    """An installation with one backup of the small Archon, to be copied."""
    host.reset()
    made = Direct(host, Installation.make())
    made.configure()
    made.run("backup").ok()
    return made


@contextlib.contextmanager
def copied(made: Direct) -> Iterator[Direct]:
    """A copy of an installation, and the database as it was in the beginning."""
    made.host.reset()
    direct = Direct(made.host, made.installation.copy())
    try:
        yield direct
    finally:
        made.host.proxy.thaw()
        direct.installation.teardown()
