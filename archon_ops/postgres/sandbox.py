"""A throwaway server of the source's own kind, to restore into and look at."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from archon_ops.errors import PreconditionError
from archon_ops.hosts import flock
from archon_ops.model.backup import ServerFacts
from archon_ops.postgres import databases, embedded
from archon_ops.postgres.cluster import Cluster
from archon_ops.postgres.pitr import elsewhere
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.postgres.tools import SERVER_PROGRAMS, Tools, local_tools, wheel_tools

PREFIX = "archon_sandbox-"
_GATE = "gate.lock"
_ALIVE = "alive.lock"
_GATE_SECONDS = 60.0
# In a sandbox nothing of the source's may run by itself.
QUIET = {"archive_mode": "off", "max_logical_replication_workers": "0"}


def sandbox_tools(kind: str, major: int) -> Tools:
    """Programs that can run a server like the source's.

    Raises:
        PreconditionError: only client programs of that major version are installed.
    """
    tools = wheel_tools() if kind == "embedded" else local_tools(major)
    if not all(map(tools.has, SERVER_PROGRAMS)):
        raise PreconditionError(
            f"no server programs of PostgreSQL {major} in {tools.folder} to prove a restore with",
            f"install the package postgresql-{major}",
        )
    return tools


@contextlib.contextmanager
def sandbox(tools: Tools, folder: Path, *, run_id: str, connect_seconds: float) -> Iterator[Server]:
    """A cluster that exists for the length of the block, and leaves nothing.

    Args:
        tools: programs with initdb among them.
        folder: where its files may lie; made if missing.
        run_id: names every session and the folder.
        connect_seconds: how long a connection may take.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with placed(folder, run_id) as place:
        cluster = Cluster(tools, place / "cluster", durable=False, settings=QUIET)
        try:
            cluster.create()
            with embedded.opened(
                cluster, "sandbox", run_id=run_id, connect_seconds=connect_seconds
            ) as server:
                yield server
        finally:
            cluster.remove()


@contextlib.contextmanager
def placed(folder: Path, run_id: str) -> Iterator[Path]:
    """A folder of one's own for the length of the block; a lock tells sweepers that its run lives.

    Args:
        folder: where it is made; exists.
        run_id: part of its name.
    """
    with flock.held(folder / _GATE, timeout=_GATE_SECONDS):
        place = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{run_id}-", dir=folder))
        alive = flock.open_lock(place / _ALIVE)
        flock.take(alive)
    try:
        yield place
    finally:
        with flock.held(folder / _GATE, timeout=_GATE_SECONDS):
            shutil.rmtree(place)
        os.close(alive)


def sweep(folder: Path) -> tuple[str, ...]:
    """Stop and remove the sandboxes whose run is dead, however it died.

    Args:
        folder: where sandboxes lie; nothing happens where it does not exist.

    Returns:
        Names of those that were removed.
    """
    if not any(folder.glob(f"{PREFIX}*")):
        return ()
    with flock.held(folder / _GATE, timeout=_GATE_SECONDS) as ours:
        places = sorted(folder.glob(f"{PREFIX}*")) if ours else []
        return tuple(place.name for place in places if _removed(place))


def _removed(place: Path) -> bool:
    """Remove one sandbox, if no run holds its lock."""
    alive = flock.open_lock(place / _ALIVE)
    try:
        if not flock.take(alive):
            return False
        elsewhere.sweep(place)
        Cluster(wheel_tools(), place / "cluster").remove()  # stopping takes no programs
        shutil.rmtree(place)
        return True
    finally:
        os.close(alive)


def make_roles(connection: Connection, roles: tuple[str, ...]) -> None:
    """Create roles that a dump names and the server lacks; nobody can log in as them."""
    for role in roles:
        known = connection.execute(
            "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = %s", [role]
        )
        if known.fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))


def make_superusers(connection: Connection, roles: tuple[str, ...]) -> None:
    """Give roles of a sandbox all rights: who owns an event trigger had them."""
    for role in roles:
        connection.execute(sql.SQL("ALTER ROLE {} SUPERUSER").format(sql.Identifier(role)))


def missing_roles(connection: Connection, roles: tuple[str, ...]) -> tuple[str, ...]:
    """Roles of these that the server does not have."""
    known = {name for (name,) in connection.execute("SELECT rolname FROM pg_catalog.pg_roles")}
    return tuple(role for role in roles if role not in known)


def missing_extensions(connection: Connection, extensions: tuple[str, ...]) -> tuple[str, ...]:
    """Extensions of these that the server does not offer."""
    offered = {
        name
        for (name,) in connection.execute("SELECT name FROM pg_catalog.pg_available_extensions")
    }
    return tuple(name for name in extensions if name not in offered)


def require_extensions(server: Server, extensions: tuple[str, ...]) -> None:
    """Make sure that a sandbox offers what a backup needs: none is ever skipped.

    Raises:
        PreconditionError: it lacks one; names it.
    """
    with server.connect(databases.MAINTENANCE) as connection:
        lacking = missing_extensions(connection, extensions)
    if lacking:
        raise PreconditionError(
            f"the sandbox's PostgreSQL {server.programs.version} lacks {', '.join(lacking)}",
            "install the extension's package for that PostgreSQL",
        )


def create_like(server: Server, database: str, facts: ServerFacts) -> None:
    """Make a database with a backup's locale, or with C where this machine lacks that."""
    with server.connect(databases.MAINTENANCE) as connection:
        try:
            locale = databases.Locale(facts.encoding, facts.collate, facts.ctype, "c", None)
            databases.create(connection, database, locale)
        except psycopg.errors.WrongObjectType:  # "invalid LC_COLLATE locale name"
            plain = databases.Locale(facts.encoding, "C", "C", "c", None)
            databases.create(connection, database, plain)
