"""Reduce the content of every table to a fingerprint, on the server, in one snapshot.

Columns enter in the order of their names and in their binary form (`typsend`), which no session
setting changes. Some enter as text instead, and the session pins every setting that text depends
on: arrays, composites and regclass, whose binary form holds object ids, other in every database;
floating point, where NaN has many binary forms and a dump knows one; what has no binary form.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from archon_ops.errors import OpsError
from archon_ops.model.fingerprint import SequencePosition, TableFingerprint
from archon_ops.postgres.scope import Scope, relation_condition
from archon_ops.postgres.session import Connection, deadline, scalar

LARGE_OBJECTS = ("pg_catalog", "pg_largeobject")

# Of type `t`, with `b` behind a domain: whether its binary form is the same in a restored copy.
_BINARY = """(t.typtype IN ('b', 'e', 'd') AND b.typtype IN ('b', 'e') AND b.typcategory <> 'A'
    AND b.typsend <> 0 AND NOT (b.typnamespace = 'pg_catalog'::pg_catalog.regnamespace
        AND (b.typname LIKE 'reg%%' OR b.typname LIKE 'float_' OR b.typcategory = 'G')))"""


@dataclass(frozen=True)
class Column:
    """A column as the fingerprint reads it.

    Attributes:
        name: its name.
        send: schema and name of its type's binary output function; None: read it as text.
        generated: whether it is computed from others and stored.
    """

    name: str
    send: tuple[str, str] | None
    generated: bool


@dataclass(frozen=True)
class Table:
    """A table that holds rows, with its columns in the order of their names."""

    schema: str
    name: str
    columns: tuple[Column, ...]


def tables(connection: Connection, scope: Scope) -> tuple[Table, ...]:
    """Every table whose rows a backup holds, by name.

    Partitioned tables hold none themselves, foreign tables' rows stay where they are.
    """
    rows = connection.execute(
        f"""
        SELECT n.nspname, c.relname, a.attname, a.attgenerated <> '',
               CASE WHEN {_BINARY} THEN sn.nspname END, CASE WHEN {_BINARY} THEN s.proname END
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_attribute a
          ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'
        LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_catalog.pg_type b
          ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
        LEFT JOIN pg_catalog.pg_proc s ON s.oid = b.typsend
        LEFT JOIN pg_catalog.pg_namespace sn ON sn.oid = s.pronamespace
        WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {relation_condition()}
        ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C", a.attname COLLATE "C"
        """,
        scope.parameters,
    ).fetchall()
    grouped: dict[tuple[str, str], list[Column]] = defaultdict(list)
    for schema, table, column, generated, send_schema, send in rows:
        columns = grouped[schema, table]
        if column is not None:
            columns.append(Column(column, (send_schema, send) if send else None, generated))
    return tuple(Table(s, t, tuple(columns)) for (s, t), columns in grouped.items())


def fingerprint(
    connection: Connection,
    scope: Scope,
    *,
    timeout: float,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> tuple[TableFingerprint, ...]:
    """The content of all tables that `scope` covers, as the session's transaction sees it.

    Args:
        connection: session on the database, in the transaction whose snapshot counts.
        scope: what is left out.
        timeout: seconds for any one table.
        progress: told each table's name, its number and how many there are.

    Raises:
        OpsError: a table cannot be read; names it.
    """
    every = tables(connection, scope)
    found = []
    for number, table in enumerate(every, 1):
        progress(f"{table.schema}.{table.name}", number, len(every))
        found.append(one(connection, table, timeout=timeout))
    return (*found, *_large_objects(connection, timeout))


def one(connection: Connection, table: Table, *, timeout: float) -> TableFingerprint:
    """The content of one table.

    Raises:
        OpsError: it cannot be read.
    """
    name = f"{table.schema}.{table.name}"
    stored = tuple(c for c in table.columns if not c.generated)
    computed = tuple(c for c in table.columns if c.generated)
    source = sql.SQL("ONLY {}").format(sql.Identifier(table.schema, table.name))
    with deadline(connection, timeout, f"reading table {name}"):
        try:
            rows, content = _digest(connection, source, stored)
            generated = _digest(connection, source, computed)[1] if computed else None
        except psycopg.Error as error:
            if isinstance(error, psycopg.OperationalError):
                raise
            raise OpsError(f"table {name} cannot be read: {_first_line(error)}") from error
    return TableFingerprint(
        table.schema, table.name, rows, content, generated, tuple(c.name for c in stored)
    )


def _digest(
    connection: Connection, source: sql.Composed, columns: tuple[Column, ...]
) -> tuple[int, str]:
    """Count the rows and add their digests up."""
    sums = sql.SQL(", ").join(
        sql.SQL("sum(('x' || encode(substr(d, {}, 8), 'hex'))::bit(64)::bigint)").format(
            sql.Literal(start)
        )
        for start in (1, 9, 17, 25)
    )
    query = sql.SQL(
        "SELECT count(*), {sums} FROM (SELECT {digest} AS d"
        " FROM (SELECT {values} FROM {source} OFFSET 0) AS v OFFSET 0) AS r"
    ).format(sums=sums, digest=row_digest(columns), values=row_values(columns), source=source)
    # Rolled back, the table's lock is let go: a lock on each of thousands fills the server's table.
    with connection.transaction(force_rollback=True):
        # Only names of pg_catalog are left unqualified in this query.
        row = connection.execute(query).fetchone()
    assert row is not None  # noqa: S101 - an aggregate always answers one row
    return int(row[0]), ":".join(str(value or 0) for value in row[1:])


def row_values(columns: tuple[Column, ...]) -> sql.Composable:
    """What an inner SELECT answers so that `row_digest` can read it: c0, c1, and so on.

    Give the inner SELECT an OFFSET 0: it keeps the planner from computing a value once for its
    length and again for itself.
    """
    if not columns:
        return sql.SQL("1")
    return sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(_binary(c), sql.Identifier(f"c{i}"))
        for i, c in enumerate(columns)
    )


def row_digest(columns: tuple[Column, ...]) -> sql.Composable:
    """SHA-256 of a row, over `row_values`.

    Each value stands behind a mark for NULL and its length, so that no two rows read alike.
    """
    if not columns:
        return sql.SQL("sha256(''::bytea)")
    framed = sql.SQL(" || ").join(
        sql.SQL("coalesce(int4send(octet_length({0})) || {0}, '\\xffffffff'::bytea)").format(
            sql.Identifier(f"c{i}")
        )
        for i in range(len(columns))
    )
    return sql.SQL("sha256({})").format(framed)


def _binary(column: Column) -> sql.Composed:
    name = sql.Identifier(column.name)
    if column.send is None:
        return sql.SQL("textsend({}::text)").format(name)
    return sql.SQL("{}({})").format(sql.Identifier(*column.send), name)


def _large_objects(connection: Connection, timeout: float) -> Iterator[TableFingerprint]:
    """Large objects, as one more table; none at all when the database has none."""
    if not scalar(connection, "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata"):
        return
    source = sql.SQL("(SELECT oid, lo_get(oid) AS data FROM pg_largeobject_metadata) AS lo")
    columns = (
        Column("data", ("pg_catalog", "byteasend"), generated=False),
        Column("oid", ("pg_catalog", "oidsend"), generated=False),
    )
    with deadline(connection, timeout, "reading large objects"):
        rows, content = _digest(connection, sql.Composed([source]), columns)
    yield TableFingerprint(*LARGE_OBJECTS, rows, content, None, ("data", "oid"))


def sequences(
    connection: Connection, scope: Scope, *, timeout: float
) -> tuple[SequencePosition, ...]:
    """Where every sequence stands, and the furthest value in the column that it feeds."""
    rows = connection.execute(
        f"""
        SELECT n.nspname, c.relname, pg_catalog.pg_sequence_last_value(c.oid),
               CASE WHEN q.seqcycle THEN 0 WHEN q.seqincrement < 0 THEN -1 ELSE 1 END,
               tn.nspname, t.relname, a.attname
        FROM pg_catalog.pg_sequence q
        JOIN pg_catalog.pg_class c ON c.oid = q.seqrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_depend d
          ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
         AND d.refclassid = d.classid AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
        LEFT JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
        LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
        WHERE {relation_condition()}
        ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
        """,
        scope.parameters,
    ).fetchall()
    with deadline(connection, timeout, "reading sequences"):
        return tuple(
            SequencePosition(schema, name, last, _furthest(connection, way, *owner), way)
            for schema, name, last, way, *owner in rows
        )


def _furthest(
    connection: Connection, way: int, schema: str | None, table: str | None, column: str | None
) -> int | None:
    if way == 0 or schema is None or table is None or column is None:
        return None
    query = sql.SQL("SELECT {}({}) FROM {}").format(
        sql.SQL("min" if way < 0 else "max"), sql.Identifier(column), sql.Identifier(schema, table)
    )
    with connection.transaction(force_rollback=True):  # lets the lock go, as above
        value = scalar(connection, query)
    return None if value is None else int(value)


def _first_line(error: psycopg.Error) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
