"""What a restore would take out of service: rows that came, or changed, after the backup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from archon_ops.postgres.fingerprint import Table, tables
from archon_ops.postgres.relations import Name, qualified
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.session import Connection, deadline

_EVERY = sql.SQL("true")


@dataclass(frozen=True)
class Newer:
    """Rows of one live table, seen from a backup.

    Attributes:
        schema, table: which table.
        rows: live rows; None when the table cannot be read.
        newer: how many of them were inserted or changed later; None when that cannot be told.
        problem: why it cannot be read.
    """

    schema: str
    table: str
    rows: int | None
    newer: int | None
    problem: str = ""


def since_snapshot(
    connection: Connection, scope: Scope, snapshot: str, *, timeout: float
) -> tuple[Newer, ...]:
    """Count exactly, by transaction ids: rows whose writer was not yet visible in a snapshot.

    Only for the very database that the snapshot was taken in: elsewhere the ids mean nothing.

    Args:
        connection: session on the live database.
        scope: what the backup covers.
        snapshot: its text form.
        timeout: seconds for any one table.
    """
    names = tuple((table.schema, table.name) for table in tables(connection, scope))
    return of_relations(connection, names, snapshot, timeout=timeout)


def of_relations(
    connection: Connection,
    names: Iterable[Name],
    snapshot: str,
    *,
    timeout: float,
    only: Mapping[Name, sql.SQL] | None = None,
) -> tuple[Newer, ...]:
    """The same of tables that are named, catalogs among them; (schema, name) each.

    Args:
        connection: session on the live database.
        names: of the tables.
        snapshot: its text form.
        timeout: seconds for any one table.
        only: condition that a row has to meet to be looked at, of some tables.
    """
    # A row holds 32 bits of its writer's id; the rest is that of the newest id below.
    newer = sql.SQL(
        """count(*) FILTER (WHERE x >= 3 AND NOT pg_visible_in_snapshot(
               (CASE WHEN x > (now_id & 4294967295)
                     THEN now_id - (now_id & 4294967295) - 4294967296 + x
                     ELSE now_id - (now_id & 4294967295) + x END)::text::xid8, {}::pg_snapshot))"""
    ).format(sql.Literal(snapshot))
    source = sql.SQL(
        """(SELECT xmin::text::bigint AS x FROM ONLY {table} WHERE {only}) AS r,
           (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS now_id) AS n"""
    )
    chosen = only or {}
    return tuple(
        _count(connection, name, newer, source, timeout, chosen.get(name, _EVERY)) for name in names
    )


def since_time(
    connection: Connection, scope: Scope, moment: str, *, timeout: float
) -> tuple[Newer, ...]:
    """Count by the tables' own time columns (…_at): a lower bound, None for tables without one."""
    return tuple(
        _count(
            connection,
            (table.schema, table.name),
            _newer_by_time(stamps, moment),
            sql.SQL("ONLY {table}"),
            timeout,
        )
        for table, stamps in _with_time_columns(connection, scope)
    )


def _newer_by_time(stamps: tuple[str, ...], moment: str) -> sql.Composable:
    if not stamps:
        return sql.SQL("NULL::bigint")
    latest = sql.SQL(", ").join(map(sql.Identifier, stamps))
    return sql.SQL("count(*) FILTER (WHERE greatest({}) > {}::timestamptz)").format(
        latest, sql.Literal(moment)
    )


def _with_time_columns(
    connection: Connection, scope: Scope
) -> Iterable[tuple[Table, tuple[str, ...]]]:
    for table in tables(connection, scope):
        rows = connection.execute(
            """SELECT attname FROM pg_catalog.pg_attribute
               WHERE attrelid = format('%%I.%%I', %s::text, %s::text)::regclass AND attnum > 0
                 AND NOT attisdropped AND atttypid = 'timestamptz'::regtype
                 AND attname LIKE '%%\\_at'
               ORDER BY 1""",
            [table.schema, table.name],
        ).fetchall()
        yield table, tuple(name for (name,) in rows)


def _count(
    connection: Connection,
    name: Name,
    newer: sql.Composable,
    source: sql.SQL,
    timeout: float,
    only: sql.SQL = _EVERY,
) -> Newer:
    where = source.format(table=sql.Identifier(*name), only=only)
    query = sql.SQL("SELECT count(*), {} FROM {}").format(newer, where)
    try:
        with deadline(connection, timeout, f"counting {qualified(name)}"):
            row = connection.execute(query).fetchone()
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        return Newer(*name, None, None, str(error).splitlines()[0])
    return Newer(*name, *(row or (None, None)))
