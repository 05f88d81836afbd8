"""Locks on Archon's tables: taken for a moment, given up soon, and who else holds them.

Whoever waits for one holds up everybody who comes later, so it is given up after a moment; then
others go on, and we try again. They are taken in the order of names; but whoever holds the table
that we wait for may wait for one that we hold: the table that did not come is the first one to be
taken the next time, as it is for them.
"""

from __future__ import annotations

import time

import psycopg
from psycopg import sql

from archon_ops.postgres.archon.objects import Things
from archon_ops.postgres.session import Connection

# All locks together: shorter than deadlock_timeout (1 s), for which whoever holds what we want may
# have waited for us since the first of them; so it is ours that gives way, and nobody's query ends.
ALL_LOCKS_SECONDS = 0.8
# Nothing comes between the locks but the server itself.
_LOCK = """DECLARE
    began timestamptz := clock_timestamp();
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY {tables}::text[] LOOP
        PERFORM set_config('lock_timeout', greatest(1, round(
            {milliseconds} - 1000 * extract(epoch FROM clock_timestamp() - began)
        )::int) || 'ms', true);
        EXECUTE 'LOCK TABLE ' || wanted || ' IN ACCESS EXCLUSIVE MODE';
    END LOOP;
EXCEPTION WHEN lock_not_available THEN
    RAISE lock_not_available USING MESSAGE = SQLERRM, TABLE = wanted;
END"""


class Held(Exception):  # noqa: N818 - no error: the next attempt learns from it
    """A table's lock did not come in time."""

    def __init__(self, table: str) -> None:
        super().__init__(table)
        self.table = table


def lock_all(connection: Connection, leaving: Things, first: tuple[str, ...]) -> float:
    """Lock every table that leaves; nobody knows those that come.

    Returns:
        When the first lock was held.
    """
    began = time.monotonic()
    names = [relation.name for relation in leaving.relations if relation.kind == "TABLE"]
    order = [*(n for n in first if n in names), *(n for n in names if n not in first)]
    schema = sql.Identifier(leaving.schema).as_string(None)
    # NAME is as the server prints it, with quotes where it takes them.
    tables = {f"{schema}.{name}": name for name in order}
    locks = sql.SQL(_LOCK).format(
        tables=sql.Literal(list(tables)), milliseconds=sql.Literal(round(1000 * ALL_LOCKS_SECONDS))
    )
    # A literal as well: no name of a table can end it.
    lock = sql.SQL("DO {}").format(sql.Literal(locks.as_string(connection)))
    try:
        connection.execute(lock)
    except psycopg.errors.LockNotAvailable as error:
        raise Held(tables[str(error.diag.table_name)]) from error
    return began


def touched(connection: Connection, ours: list[int]) -> tuple[str, ...]:
    """Relations besides ours that this transaction has written to or changed.

    Whoever does so holds a lock until the end: look at our own.
    """
    rows = connection.execute(
        """SELECT DISTINCT l.relation::regclass::text FROM pg_catalog.pg_locks l
           JOIN pg_catalog.pg_class c ON c.oid = l.relation
           WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.relation >= 16384
             AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
             AND c.oid <> ALL (%(ours)s) AND c.oid NOT IN (
               SELECT indexrelid FROM pg_catalog.pg_index WHERE indrelid = ANY (%(ours)s)
               UNION SELECT reltoastrelid FROM pg_catalog.pg_class WHERE oid = ANY (%(ours)s)
               UNION SELECT i.indexrelid FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class t
                 ON t.reltoastrelid = i.indrelid WHERE t.oid = ANY (%(ours)s))""",
        {"ours": ours},
    ).fetchall()
    return tuple(name for (name,) in rows)


def holders(connection: Connection, things: Things) -> str:
    """Which sessions hold a lock on one of these relations, on one line."""
    rows = connection.execute(
        """SELECT a.pid, coalesce(a.usename, '?'), coalesce(a.application_name, ''), a.state,
                  coalesce(date_trunc('second', now() - a.xact_start)::text, '?'),
                  min(l.relation::regclass::text)
           FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
           WHERE l.relation = ANY (%s) AND l.granted AND a.pid <> pg_backend_pid()
             AND l.database = (SELECT oid FROM pg_catalog.pg_database
                               WHERE datname = current_database())
           GROUP BY 1, 2, 3, 4, 5 ORDER BY 5 DESC, 1 LIMIT 5""",
        [[relation.oid for relation in things.relations]],
    ).fetchall()
    return "; ".join(
        f"{table} is held by pid {pid} ({user}{f' {program}' if program else ''}, "
        f"{state or 'unknown'} for {age})"
        for pid, user, program, state, age, table in rows
    )
