"""The switch: two renames in one transaction, with every session on both databases ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
from psycopg import sql

from archon_ops.errors import LockedError, OpsError
from archon_ops.postgres.databases import MAINTENANCE
from archon_ops.postgres.kept import Kept, mark
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection, scalar, set_local

# A session that starts while we switch waits for our lock; nobody shall wait longer than this.
_LOCK_SECONDS = 2.0
_TRIES = 10
_POLL_SECONDS = 0.02


def switch(
    server: Server, incoming: str, kept: Kept, *, comment: str | None, outgoing_exists: bool
) -> None:
    """Bring a database into service under `kept.database`; what bore that name becomes `kept`.

    Sessions of both are ended: those that come back meanwhile wait, for 2 s at most, for our lock.

    Args:
        server: where.
        incoming: name of the database that comes into service.
        kept: description of the one that leaves; its snapshot is taken here.
        comment: what the one that comes is commented with in service.
        outgoing_exists: whether there is one that leaves.

    Raises:
        LockedError: sessions stayed or kept coming back; nothing was changed.
    """
    with server.connect(MAINTENANCE) as connection:
        for _ in range(_TRIES):
            try:
                with (
                    _ending_sessions(server, (kept.database, incoming)) as stubborn,
                    connection.transaction(),
                ):
                    set_local(connection, "lock_timeout", f"{_LOCK_SECONDS:.0f}s")
                    snapshot = scalar(connection, "SELECT pg_current_snapshot()::text")
                    whole = replace(kept, snapshot=str(snapshot))
                    _rename(connection, incoming, whole, comment, outgoing_exists)
            except (psycopg.errors.ObjectInUse, psycopg.errors.LockNotAvailable):
                if stubborn:
                    break
                time.sleep(0.1)
            else:
                return
    raise _busy(kept.database, stubborn)


def _busy(database: str, stubborn: set[str]) -> LockedError:
    if stubborn:
        return LockedError(
            f"sessions on {database} cannot be ended by this role: {', '.join(sorted(stubborn))}",
            "let them end, or use a role that may end them (pg_signal_backend, a superuser)",
        )
    return LockedError(
        f"sessions on {database} come back faster than they can be ended",
        "stop the services that use it, then run the command again",
    )


def _rename(
    connection: Connection, incoming: str, kept: Kept, comment: str | None, outgoing_exists: bool
) -> None:
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    say = sql.SQL("COMMENT ON DATABASE {} IS {}")
    if outgoing_exists:
        connection.execute(rename.format(*map(sql.Identifier, (kept.database, kept.name))))
        connection.execute(say.format(sql.Identifier(kept.name), sql.Literal(mark(kept))))
    connection.execute(rename.format(*map(sql.Identifier, (incoming, kept.database))))
    # The one that comes may bear the mark of having been kept; in service it has its own comment.
    connection.execute(say.format(sql.Identifier(kept.database), sql.Literal(comment)))


@contextmanager
def _ending_sessions(server: Server, databases: tuple[str, ...]) -> Iterator[set[str]]:
    """While the block renames, end every session on these databases, again and again.

    RENAME first locks the database against new sessions and then waits up to 5 s for the old ones
    to be gone: they must be ended while it waits, which takes a second session.

    Yields:
        The sessions that this role may not end, as they are found.
    """
    over = threading.Event()
    stubborn: set[str] = set()

    def end() -> None:
        try:
            with server.connect(MAINTENANCE) as connection:
                while not over.is_set():
                    stubborn.update(_end_sessions(connection, databases))
                    over.wait(_POLL_SECONDS)
        except (psycopg.Error, OpsError):
            pass  # what became of the server, the renaming session is told as well

    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    try:
        yield stubborn
    finally:
        over.set()
        thread.join(10)


def _end_sessions(connection: Connection, databases: tuple[str, ...]) -> Iterator[str]:
    rows = connection.execute(
        """SELECT pid, usename FROM pg_catalog.pg_stat_activity
           WHERE datname = ANY (%s) AND pid <> pg_backend_pid()
             AND backend_type IS DISTINCT FROM 'autovacuum worker'""",
        [list(databases)],
    ).fetchall()
    for pid, user in rows:
        try:
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        except psycopg.errors.InsufficientPrivilege:
            yield f"pid {pid} ({user})"
