"""Point-in-time recovery of a server behind a DSN that runs on this machine, as Debian has it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from archon_ops.errors import PreconditionError
from archon_ops.postgres.server import Server
from archon_ops.postgres.tools import SERVER_PROGRAMS, Tools, local_tools
from tests.direct import DATABASE, SCHEMA, SOURCE, error_of
from tests.disks import small_disk
from tests.support import TMP, Completed, Installation, Spawned, require

pytestmark = pytest.mark.slow

PASSPHRASE = "a passphrase of these tests, for repositories"  # noqa: S105
SECRET = f"ARCHON_SOURCES__{SOURCE.upper()}__PITR__REPO1__CIPHER_PASS"
PORT = 5432
# Whatever the environment's locale: `inv test` sets C, which is no UTF-8.
INITDB = ("--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8", "--no-locale")


class Debian:
    """A PostgreSQL 15 of Debian's, run by the user whom Debian made for it where we are root.

    Attributes:
        folder: that user's; all that the server and pgBackRest have is in it.
        user: its name.
        stanza: a name of its own, because pgBackRest's locks are the machine's.
        installation: the root folder, into which that user has no way.
    """

    def __init__(self, tools: Tools, folder: Path, user: str) -> None:
        self.folder = folder
        self.user = user
        self.stanza = f"t{uuid.uuid4().hex[:10]}"
        self.installation = Installation.make()
        self._tools = tools
        for name in ("sockets", "scratch", "spool"):
            self.as_user("mkdir", "-m", "0700", str(folder / name))
        where = f"--pgdata={self.data}"
        self.program("initdb", where, *INITDB)
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(
                f"listen_addresses = ''\nunix_socket_directories = '{self.sockets}'\n"
                "fsync = off\nmax_connections = 150\n"
            )
        self.pg_ctl("start")

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def sockets(self) -> Path:
        return self.folder / "sockets"

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"

    @property
    def pid_file(self) -> Path:
        return self.folder / "pid"

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@/{DATABASE}?host={self.sockets}"

    def as_user(self, *argv: str) -> str:
        """What a program prints that runs as the server's user; it has to end well."""
        stepped = ("setpriv", "--reuid", self.user, "--regid", self.user, "--init-groups", "--")
        words = (*stepped, *argv) if os.geteuid() == 0 else argv
        done = subprocess.run(
            words, cwd="/", capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done
        return done.stdout

    def program(self, name: str, *args: str) -> str:
        return self.as_user(str(self._tools.folder / name), *args)

    def pg_ctl(self, command: str) -> None:
        log = () if command == "stop" else (f"--log={self.folder / 'log'}",)
        self.program("pg_ctl", command, f"--pgdata={self.data}", "--mode=fast", "--wait", *log)

    def connect(self, database: str = DATABASE) -> psycopg.Connection[Any]:
        return self.connect_to(self.sockets, database)

    def connect_to(self, sockets: Path, database: str = DATABASE) -> psycopg.Connection[Any]:
        """A session on a server of this user's, whichever."""
        return psycopg.connect(host=str(sockets), user="postgres", dbname=database, autocommit=True)

    def sql(self, query: str, database: str = DATABASE) -> list[tuple[Any, ...]]:
        with self.connect(database) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def configure(self, dsn: str = "", **pitr: str) -> None:
        """Write archon.toml."""
        told = {
            "stanza": self.stanza,
            "user": self.user,
            "config": str(self.folder / "etc" / "pgbackrest.conf"),
            "spool": str(self.folder / "spool"),
            "scratch": str(self.scratch),
            **pitr,
        }
        (self.installation.root / "archon.toml").write_text(
            f'[sources.{SOURCE}]\nkind = "direct"\ndsn = "{dsn or self.dsn}"\n'
            f'backup_dir = "backups"\n[sources.{SOURCE}.pitr]\n'
            + "".join(f'{name} = "{value}"\n' for name, value in told.items())
            + f'[sources.{SOURCE}.pitr.repo1]\nurl = "{self.folder / "repo"}"\n'
        )
        (self.installation.root / ".env").write_text(f"{SECRET}={PASSPHRASE}\n")

    @contextlib.contextmanager
    def configured(self, dsn: str = "", **pitr: str) -> Iterator[None]:
        """Something else stands in archon.toml, for the length of the block."""
        self.configure(dsn, **pitr)
        try:
            yield
        finally:
            self.configure()

    def run(self, *args: str, env: Mapping[str, str] | None = None) -> Completed:
        return self.installation.run(*args, env={"ARCHON_SOURCE": SOURCE, **(env or {})})

    def spawn(self, *args: str, pause_at: str) -> Spawned:
        return self.installation.spawn(*args, env={"ARCHON_SOURCE": SOURCE}, pause_at=pause_at)

    def set_up(self) -> None:
        """As a user does it, who follows what each command says."""
        refused = error_of(self.run("pitr.setup", "--yes"), 3)
        assert f"there is no folder {self.folder / 'etc'} on this machine" in refused
        assert f"install -d -m 0750 -o {self.user} {self.folder / 'etc'}" in refused
        for name in ("etc", "repo"):
            self.as_user("install", "-d", "-m", "0750", str(self.folder / name))
        refused = error_of(self.run("pitr.setup", "--yes"), 3)
        assert "has to be restarted" in refused
        # A server that reads it, and is not this one, would write over that file.
        self.sql(f"ALTER SYSTEM SET external_pid_file = '{self.pid_file}'")
        self.pg_ctl("restart")
        plan = self.run("pitr.setup", "--yes", "--json").ok().json["plan"]
        assert (plan["settings"], plan["restart"]) == ([], False)
        version = tuple(map(int, plan["pgbackrest_version"].split(".")[:2]))
        told = any("changed blocks alone are known to 2.46" in note for note in plan["notes"])
        assert told == (version < (2, 46))

    def dumps(self) -> list[str]:
        return sorted(p.name for p in (self.installation.root / "backups").glob("*.dump"))

    def repository(self) -> dict[str, tuple[int, int]]:
        """Every file of the repository: its size, and when it was last written."""
        files = [p for p in (self.folder / "repo").rglob("*") if p.is_file()]
        return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in files}

    @contextlib.contextmanager
    def damaged(self) -> Iterator[str]:
        """A file that every restore reads is not what it was; gives its label."""
        (path,) = (self.folder / "repo" / "backup" / self.stanza).glob("*F/bundle/1")
        was = path.read_bytes()
        with path.open("r+b") as file:
            file.seek(20_000)
            file.write(bytes(64))
        try:
            yield path.parent.parent.name
        finally:
            path.write_bytes(was)

    def servers(self) -> list[str]:
        """Command lines of the servers that run in sandboxes of ours."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        return [line for line in found if f"{self.scratch}/" in line]

    def check_nothing_left(self) -> None:
        assert list(self.scratch.iterdir()) == []
        places = self.installation.root / ".archon" / "sandboxes"
        assert [p.name for p in places.iterdir()] in ([], ["gate.lock"])
        assert self.servers() == []

    def close(self) -> None:
        with contextlib.suppress(AssertionError):
            self.pg_ctl("stop")
        self.installation.teardown()


@dataclass(frozen=True)
class Past:
    """What happened to a table.

    Attributes:
        point: the restore point of the backup before all of it.
        ticks: right after each row was committed, one after the other.
        deleted: right after they were all deleted.
        transaction: that deleted them.
    """

    point: str
    ticks: tuple[datetime, ...]
    deleted: datetime
    transaction: int


@pytest.fixture(scope="module")
def debian() -> Iterator[Debian]:
    try:
        tools = local_tools(15)
    except PreconditionError:
        require(False, "the package postgresql-15")
        raise
    require(all(map(tools.has, SERVER_PROGRAMS)), "the package postgresql-15")
    require(shutil.which("pgbackrest"), "the package pgbackrest")
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    with tempfile.TemporaryDirectory(prefix="pg-", dir=TMP) as folder:
        shutil.chown(folder, user, user)
        made = Debian(tools, Path(folder), user)
        try:
            made.sql(f"CREATE DATABASE {DATABASE}", "postgres")
            made.sql(SCHEMA)
            made.configure()
            made.set_up()
            yield made
        finally:
            made.close()


@pytest.fixture(scope="module")
def past(debian: Debian) -> Past:
    """One full backup; then rows, one by one; then none of them, and a neighbour's."""
    debian.sql("CREATE TABLE archon_clock (i serial PRIMARY KEY)")
    point = debian.run("pitr.backup", "--type", "full", "--json").ok().json["point"]
    with debian.connect() as connection:

        def said(query: str) -> Any:
            return connection.execute(query.encode()).fetchall()[0][0]

        ticks = []
        for _ in range(5):
            connection.execute("INSERT INTO archon_clock DEFAULT VALUES")
            ticks.append(said("SELECT clock_timestamp()"))
        gone = "WITH gone AS (DELETE FROM archon_clock RETURNING 1)"
        who = said(f"{gone} SELECT pg_current_xact_id()::text::int")
        deleted = said("SELECT clock_timestamp()")
        connection.execute("CREATE TABLE neighbour AS SELECT 'later' AS said")
    return Past(point, tuple(ticks), deleted, who)


def test_the_deletion_is_found_and_its_rows_come_back(debian: Debian, past: Past) -> None:
    since = past.ticks[-1].isoformat()
    found = debian.run("pitr.find", "--table", "archon_clock", "--since", since, "--json").ok().json
    assert found["transaction"] == past.transaction
    assert past.ticks[-1] < datetime.fromisoformat(found["at"]) + timedelta(milliseconds=1)
    assert datetime.fromisoformat(found["at"]) <= past.deleted
    assert (found["rows_before"], found["rows_after"]) == (5, 0)
    arguments = ("--time", found["before"], "--rescue", "--table", "archon_clock", "--yes")
    brought = debian.run("pitr.restore", *arguments, "--json").ok().json
    assert numbers(debian) == [1, 2, 3, 4, 5]
    assert debian.sql("SELECT said FROM neighbour") == [("later",)]
    assert brought["proof"]["equal"] is True
    assert brought["proof"]["not_proven"] == []
    assert debian.dumps() == [brought["backup"]]
    debian.check_nothing_left()


def test_all_of_archon_is_as_of_then_and_the_repository_is_only_read(
    debian: Debian, past: Past
) -> None:
    before = debian.repository()
    debian.run(
        "pitr.restore", "--time", past.ticks[2].isoformat(), "--scope", "archon", "--yes"
    ).ok()
    assert numbers(debian) == [1, 2, 3]
    assert debian.sql("SELECT said FROM neighbour") == [("later",)]
    after = debian.repository()
    assert {path: after.get(path) for path in before} == before
    assert all("/archive/" in path for path in after.keys() - before.keys())  # the server's own
    debian.check_nothing_left()


def test_a_killed_recovery_is_swept_with_its_server(debian: Debian, past: Past) -> None:
    """Until then nobody else gets to that server, and nothing of the source's runs in it."""
    pid = debian.pid_file.read_text()
    killed = debian.spawn(*("pitr.restore", "--name", past.point), pause_at="backup.prerequisites")
    killed.wait_paused("backup.prerequisites", 60)
    (room,) = debian.scratch.iterdir()
    assert (room.stat().st_mode & 0o777, room.owner()) == (0o700, debian.user)
    with debian.connect_to(room / "s") as connection:
        told = {
            name: connection.execute(f"SHOW {name}").fetchall()[0][0]
            for name in ("listen_addresses", "archive_mode", "external_pid_file")
        }
        assert told == {"listen_addresses": "", "archive_mode": "off", "external_pid_file": ""}
        assert connection.execute("SELECT count(*) FROM archon_clock").fetchall() == [(0,)]
    killed.kill()
    assert len(debian.servers()) == 1
    with debian.damaged() as label:
        done = debian.run("pitr.verify").ended(4)
    assert "removed what a killed run left: sandbox" in done.stderr
    assert f"invalid checksum: {label}/pg_data/" in done.stderr
    debian.check_nothing_left()
    assert debian.pid_file.read_text() == pid
    debian.run("pitr.verify").ok()


def test_a_point_is_proven_though_the_server_is_gone(debian: Debian, past: Past) -> None:
    debian.pg_ctl("stop")
    try:
        brought = debian.run("pitr.restore", "--name", past.point, "--json").ok()
    finally:
        debian.pg_ctl("start")
    assert "the live server is not asked" in brought.stderr
    assert brought.json["proof"]["equal"] is True
    assert brought.json["proof"]["not_proven"] == []
    debian.check_nothing_left()


def test_a_recovery_that_is_told_to_end_leaves_nothing(debian: Debian, past: Past) -> None:
    dumps = debian.dumps()
    told = debian.spawn("pitr.restore", "--name", past.point, pause_at="pitr.recover")
    told.wait_paused("pitr.recover", 60)
    assert list(debian.scratch.iterdir()) != []
    told.send(signal.SIGTERM)
    told.finish().ended(143)
    debian.check_nothing_left()
    assert debian.dumps() == dumps


@pytest.mark.parametrize("command", ["setup", "restore"])
def test_another_machines_server_is_refused_with_what_to_do(debian: Debian, command: str) -> None:
    """Nobody is asked: this address belongs to no machine at all."""
    more = ("--time", "latest") if command == "restore" else ()
    with debian.configured(f"postgresql://postgres@240.0.0.1/{DATABASE}"):
        told = error_of(debian.run(f"pitr.{command}", *more), 3)
    assert "is on 240.0.0.1, and pgBackRest has to run where the data directory is" in told
    assert "run inv on 240.0.0.1" in told


def test_a_server_that_only_seems_to_be_here_is_refused(
    debian: Debian, postgres_15: Server
) -> None:
    """A published port, or a tunnel's near end, is an address of this machine."""
    other = f"host={postgres_15.address['host']} user={postgres_15.address['user']} dbname=postgres"
    with debian.configured(other, socket_folder=str(debian.sockets)):
        told = error_of(debian.run("pitr.setup"), 3)
    assert "that is another one" in told
    assert 'kind = "container"' in told
    with debian.configured(socket_folder=str(debian.folder)):
        told = error_of(debian.run("pitr.list"), 3)
    assert f"there is no socket {debian.folder}/.s.PGSQL.5432" in told


def test_a_sandbox_that_cannot_be_made_is_refused(debian: Debian, past: Past) -> None:
    require(os.geteuid() == 0, "root, whose folders are closed to others")
    restore = ("pitr.restore", "--time", past.ticks[0].isoformat())
    closed = debian.installation.root
    with debian.configured(scratch=str(closed)):
        told = error_of(debian.run(*restore), 3)
    assert f"who runs PostgreSQL, does not get into {closed}" in told
    assert "set pitr.scratch" in told
    with small_disk(debian.folder / "small", 8) as small, debian.configured(scratch=str(small)):
        shutil.chown(small, debian.user)
        told = error_of(debian.run(*restore), 3)
        assert list(small.iterdir()) == []
    assert f"not enough room for a sandbox in {small}" in told
    debian.check_nothing_left()


def test_without_pgbackrest_it_is_said_how_it_gets_here(
    debian: Debian, past: Past, tmp_path: Path
) -> None:
    for name in ("setpriv", "test", "cat", "install", "df", "env"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    path = {"PATH": str(tmp_path)}
    told = error_of(debian.run("pitr.setup", "--yes", env=path), 3)
    assert "pgbackrest is not installed on this machine" in told
    assert "apt-get install pgbackrest" in told
    told = error_of(debian.run("pitr.restore", "--name", past.point, env=path), 3)
    assert "there is no pgbackrest on this machine" in told
    assert "inv pitr.setup" in told
    debian.check_nothing_left()


def numbers(debian: Debian) -> list[int]:
    return [i for (i,) in debian.sql("SELECT i FROM archon_clock ORDER BY i")]
