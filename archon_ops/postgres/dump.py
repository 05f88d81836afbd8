"""pg_dump on an exported snapshot, as a stream of bytes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from archon_ops.errors import OpsError
from archon_ops.hosts.process import Finished
from archon_ops.postgres.facts import lock_tables
from archon_ops.postgres.messages import complaints, failure
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection, scalar

# What zstd leaves of text and vectors takes a sixth of gzip's time; level 1 of both is enough,
# because embeddings do not compress.
PORTABLE = "gzip:1"
# The second is how versions before 18 say it, the third that of a server that was restarted.
_SNAPSHOT_GONE = re.compile(
    r'snapshot "\S+" does not exist|invalid snapshot identifier|could not import the requested snap'
)


@dataclass(frozen=True)
class Snapshot:
    """An exported snapshot.

    Attributes:
        name: what pg_dump and other sessions import it by.
        text: its text form, xmin:xmax:xip; tells later rows from these.
    """

    name: str
    text: str


def choose_codec(server: Server, *, portable: bool) -> str:
    """The compression for a new dump: the fastest that the tools have, or the one all can read."""
    return PORTABLE if portable else server.programs.best_codec


@contextlib.contextmanager
def exported_snapshot(server: Server, database: str, tables: tuple[str, ...]) -> Iterator[Snapshot]:
    """Hold a snapshot of a database open, with Archon's tables locked against migrations.

    The locks come first: a migration that was in the middle is over when the snapshot is taken.

    Args:
        server: where.
        database: which.
        tables: names in schema public to lock.

    Raises:
        LockedError: somebody holds a table exclusively; names table and session.
    """
    with _reading(server, database) as connection:
        lock_tables(connection, tables)
        name = scalar(connection, "SELECT pg_catalog.pg_export_snapshot()")
        text = scalar(connection, "SELECT pg_catalog.pg_current_snapshot()::text")
        yield Snapshot(str(name), str(text))


@contextlib.contextmanager
def on_snapshot(server: Server, database: str, snapshot: Snapshot) -> Iterator[Connection]:
    """A read-only session that sees exactly what the snapshot holds."""
    with _reading(server, database) as connection:
        connection.execute(
            psycopg.sql.SQL("SET TRANSACTION SNAPSHOT {}").format(
                psycopg.sql.Literal(snapshot.name)
            )
        )
        yield connection


@contextlib.contextmanager
def _reading(server: Server, database: str) -> Iterator[Connection]:
    """A session in one read-only transaction.

    After an error nothing is rolled back by name: closing the session does it, and waits for no
    server that has stopped answering.
    """
    with server.connect(database) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield connection
        connection.execute("COMMIT")


@contextlib.contextmanager
def dumping(
    server: Server,
    database: str,
    snapshot: Snapshot,
    scope: Scope,
    *,
    codec: str,
    stall_seconds: float,
) -> Iterator[Iterator[bytes]]:
    """Run pg_dump; gives its output in blocks, to be read to the end.

    Args:
        server: where.
        database: which.
        snapshot: what it shall hold.
        scope: what is left out.
        codec: compression, as `choose_codec` answers.
        stall_seconds: how long the next byte may take.

    Raises:
        OpsError: pg_dump failed, stalled, or said something that is not known to be harmless.
        LockedError: it waited too long for a lock; names table and session.
    """
    with server.spawn(
        "pg_dump",
        "--format=custom",
        f"--snapshot={snapshot.name}",
        server.programs.compress_argument(codec),
        f"--lock-wait-timeout={round(server.lock_seconds * 1000)}",
        *scope.dump_arguments,
        database=database,
        pipe=True,
    ) as child:
        yield child.blocks(stall_seconds)
        done = child.wait(stall_seconds)
        if done.returncode != 0:
            raise _failed(server, database, done)
        if lines := complaints(done.stderr):
            raise OpsError(
                f"pg_dump said something unexpected: {lines[0]}",
                "the backup was not kept; report the message if it is harmless",
            )


def _failed(server: Server, database: str, done: Finished) -> OpsError:
    """Why pg_dump failed."""
    # The limit on its locks is a statement timeout: nothing else of pg_dump has one.
    if "statement timeout" in done.stderr:
        return server.lock_error(database)
    if _SNAPSHOT_GONE.search(done.stderr):
        return OpsError(
            f"the connection to PostgreSQL was lost: the snapshot of database {database} ended "
            "before pg_dump could read it",
            "was the server restarted, or the session ended? Then run the command again",
        )
    return failure(done, f"pg_dump of database {database}")
