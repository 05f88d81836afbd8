"""Keys by which what is kept refers to neighbours: they would go on binding the neighbours' rows.

A row that a kept table refers to could not be deleted, or deleting it would delete in what is kept.
So the keys are dropped once their tables have left service, each in a transaction of its own that
waits for nobody; the mark remembers them, and they are made again before the tables come back.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from archon_ops.postgres.archon.objects import printed
from archon_ops.postgres.kept import ForeignKey, Kept
from archon_ops.postgres.session import Connection, scalar, set_local

_LOCK = "1s"


def outgoing(connection: Connection, schema: str) -> tuple[ForeignKey, ...]:
    """Keys of a schema's tables to tables outside of it."""
    columns = """ARRAY(SELECT a.attname::text FROM unnest(k.{0}key) WITH ORDINALITY AS u (n, i)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.{0}relid AND a.attnum = u.n ORDER BY i)"""
    rows = connection.execute(
        f"""SELECT c.relname, k.conname, pg_get_constraintdef(k.oid),
                   {columns.format("con")}, m.nspname, r.relname, {columns.format("conf")}
            FROM pg_catalog.pg_constraint k
            JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_class r ON r.oid = k.confrelid
            JOIN pg_catalog.pg_namespace m ON m.oid = r.relnamespace
            WHERE k.contype = 'f' AND k.conparentid = 0 AND n.nspname = %s
              AND m.oid <> n.oid ORDER BY 1, 2""".encode(),
        [schema],
    ).fetchall()
    return tuple(
        ForeignKey(table, name, text, tuple(of), there, other, tuple(to))
        for table, name, text, of, there, other, to in rows
    )


def let_go(connection: Connection, kept: Kept) -> tuple[str, ...]:
    """Drop the keys that a kept schema's mark remembers; answers those that resist, described."""
    resisting = []
    remembered = {(key.table, key.name) for key in kept.keys}
    for key in outgoing(connection, kept.name):
        if (key.table, key.name) not in remembered:
            continue
        drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
            sql.Identifier(kept.name, key.table), sql.Identifier(key.name)
        )
        try:
            with connection.transaction():
                set_local(connection, "lock_timeout", _LOCK)
                connection.execute(drop)
        except (
            psycopg.errors.LockNotAvailable,
            psycopg.errors.DeadlockDetected,
            psycopg.errors.InsufficientPrivilege,
        ) as error:
            resisting.append(f"{key.text} ({error.diag.message_primary})")
    return tuple(resisting)


def orphans(connection: Connection, kept: Kept) -> tuple[str, ...]:
    """Keys that cannot come back as they were, with the reason, described; nothing is locked."""
    told = []
    for key in kept.keys:
        if why := _missing(connection, key):
            told.append(f"{key.text} does not come back: {why}")
        elif rows := _orphans(connection, kept.name, key):
            told.append(
                f"{key.text} comes back for new rows alone: {rows} of the old ones refer to rows "
                f"of {key.schema}.{key.other} that are gone"
            )
    return tuple(told)


def bring_back(connection: Connection, kept: Kept) -> None:
    """Make the keys of a kept schema again; one that rows contradict holds for new rows alone."""
    there = {(key.table, key.name) for key in outgoing(connection, kept.name)}
    for key in kept.keys:
        if (key.table, key.name) not in there and not _missing(connection, key):
            _make(connection, kept.name, key)


def _make(connection: Connection, schema: str, key: ForeignKey) -> None:
    add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
        sql.Identifier(schema, key.table), sql.Identifier(key.name), printed(key.definition)
    )
    try:
        with connection.transaction():
            set_local(connection, "lock_timeout", _LOCK)
            connection.execute(add)
    except psycopg.errors.ForeignKeyViolation:
        with connection.transaction():
            set_local(connection, "lock_timeout", _LOCK)
            connection.execute(add + sql.SQL(" NOT VALID"))


def _missing(connection: Connection, key: ForeignKey) -> str:
    """Why a key has nothing to refer to any more; empty where it has."""
    table = sql.Identifier(key.schema, key.other).as_string(None)
    if scalar(connection, "SELECT to_regclass(%s) IS NULL", table):
        return f"there is no table {key.schema}.{key.other} any more"
    query = """SELECT count(*) FROM pg_catalog.pg_attribute
               WHERE attrelid = to_regclass(%s) AND attname = ANY (%s) AND NOT attisdropped"""
    if scalar(connection, query, table, list(key.others)) != len(key.others):
        return f"{key.schema}.{key.other} has not its columns any more"
    return ""


def _orphans(connection: Connection, schema: str, key: ForeignKey) -> int:
    """Rows that refer to what is not there."""
    pairs = [
        (sql.Identifier("k", column), sql.Identifier("o", other))
        for column, other in zip(key.columns, key.others, strict=True)
    ]
    query = sql.SQL(
        "SELECT count(*) FROM {} AS k WHERE {} AND NOT EXISTS (SELECT FROM {} AS o WHERE {})"
    ).format(
        sql.Identifier(schema, key.table),
        sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(mine) for mine, _ in pairs),
        sql.Identifier(key.schema, key.other),
        sql.SQL(" AND ").join(sql.SQL("{} = {}").format(*pair) for pair in pairs),
    )
    return int(scalar(connection, query))
