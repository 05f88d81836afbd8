"""A named point in the WAL whose content is known exactly.

For a moment nobody may write to Archon's tables: a snapshot is taken and a restore point is made in
between. What a session sees in that snapshot is what a recovery to that point brings back, row by
row. Then writers go on, and the content is fingerprinted in the snapshot, however long that takes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from archon_ops.actions.pitr.examine import asked
from archon_ops.actions.pitr.reach import Reached
from archon_ops.errors import LockedError, OpsError
from archon_ops.postgres import facts
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection, scalar

PREFIX = "archon_ops-"
# Less than PostgreSQL's deadlock_timeout: a writer that waits for us is never taken for one of
# two in a deadlock and cancelled; it is us who give up.
_LOCK_MILLISECONDS = 700
_TRIES = 6
_PAUSE_SECONDS = 1.0
_ARCHIVED_SECONDS = 120.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Point:
    """A point in the WAL.

    Attributes:
        name: of the restore point, for `--name`.
        lsn: where it is.
        at: UTC time.
        snapshot: text of the snapshot that sees the same.
    """

    name: str
    lsn: str
    at: datetime
    snapshot: str


def point_name(label: str) -> str:
    """The point that belongs to a label."""
    return f"{PREFIX}{label}"


@contextlib.contextmanager
def made_point(
    at: Reached, database: str, name: str, tables: tuple[str, ...]
) -> Iterator[tuple[Point, Connection]]:
    """Make a restore point; gives it with a session that sees exactly what is there at it.

    Args:
        at: the server.
        database: that holds the tables.
        name: of the point.
        tables: Archon's, in schema public.

    Raises:
        LockedError: writers hold the tables all the time; names one.
        OpsError: the server refused the point.
    """
    with at.server.connect(database) as reader:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # Before the snapshot, so that no table can be emptied or altered while it is read.
        facts.lock_tables(reader, tables)
        with _nobody_writes(at.server, database, tables):
            # The first query, so the snapshot is of now.
            row = reader.execute(
                "SELECT pg_catalog.pg_current_snapshot()::text, clock_timestamp()"
            ).fetchone()
            lsn = asked(at).ask(f"SELECT pg_catalog.pg_create_restore_point('{name}')")
        assert row is not None  # noqa: S101 - it has no FROM
        yield Point(name, lsn, row[1], row[0]), reader
        reader.execute("COMMIT")


@contextlib.contextmanager
def _nobody_writes(server: Server, database: str, tables: tuple[str, ...]) -> Iterator[None]:
    """Nobody has written to the tables and not committed, nor does while the block runs."""
    names = sql.SQL(", ").join(sql.Identifier("public", table) for table in sorted(tables))
    with server.connect(database) as connection:
        for attempt in range(1, _TRIES + 1):
            connection.execute("BEGIN")
            connection.execute(f"SET LOCAL statement_timeout = {_LOCK_MILLISECONDS}")
            try:
                connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(names))
            except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable) as error:
                connection.execute("ROLLBACK")
                if attempt == _TRIES:
                    raise LockedError(
                        f"writers held Archon's tables {_TRIES} times for longer than "
                        f"{_LOCK_MILLISECONDS} ms: {facts.holders(connection) or 'unknown'}",
                        "the backup itself is there; take another one when it is quieter",
                    ) from error
                time.sleep(_PAUSE_SECONDS)
            else:
                break
        connection.execute("SET LOCAL statement_timeout = 0")
        yield
        connection.execute("COMMIT")


def archived(at: Reached, database: str, point: Point, wait: Callable[[], None]) -> None:
    """Bring the point's WAL into the repositories, and wait until it is there.

    Args:
        at: the server.
        database: to connect to.
        point: whose WAL.
        wait: called each time before it is looked again.

    Raises:
        OpsError: it did not come in time.
    """
    asked(at).ask("SELECT pg_catalog.pg_switch_wal()")
    end = time.monotonic() + _ARCHIVED_SECONDS
    with at.server.connect(database) as connection:
        while not scalar(
            connection,
            # Behind the timeline's eight digits, segments have the order of their names.
            """SELECT coalesce(substr(last_archived_wal, 9, 16)
                      >= substr(pg_catalog.pg_walfile_name(%s::pg_lsn), 9), false)
               FROM pg_catalog.pg_stat_archiver""",
            point.lsn,
        ):
            if time.monotonic() > end:
                raise OpsError(
                    f"the WAL of {point.name} is not archived after {_ARCHIVED_SECONDS:.0f} s",
                    "inv alert says what is wrong with archiving",
                )
            wait()
            time.sleep(_POLL_SECONDS)
