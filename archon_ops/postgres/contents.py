"""What is in Archon's tables, by the bytes that it takes on disk: columns, sources, largest rows.

Values are measured as they are stored, which reads no TOAST, in a few pages of a table unless all
of it is asked for. Of the content itself nothing leaves the server but keys and names of sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from archon_ops.postgres.session import Connection
from archon_ops.postgres.sizes import Stored

# Pages of a table that are looked at: 8 MB.
_PAGES = 1000


@dataclass(frozen=True)
class LargeRow:
    """A row that takes much room.

    Attributes:
        table: schema and table.
        key: its primary key, or its place where it has none.
        bytes: what its values take, TOAST included.
        column: the largest of its columns.
        column_bytes: what that one takes.
    """

    table: str
    key: str
    bytes: int
    column: str
    column_bytes: int


@dataclass(frozen=True)
class Contents:
    """What a table holds.

    Attributes:
        table: schema and table.
        whole: whether all of it was looked at; else the rest is inferred.
        columns: column -> bytes of its values, for the whole table.
        sources: source -> bytes of its rows' values, for the whole table; empty without sources.
        largest: the largest rows among those looked at, the largest first.
    """

    table: str
    whole: bool
    columns: dict[str, int]
    sources: dict[str, int]
    largest: tuple[LargeRow, ...]


def contents(connection: Connection, table: Stored, *, largest: int, whole: bool) -> Contents:
    """Look into a table that the role may read.

    Args:
        connection: session on the database.
        table: the table.
        largest: how many of the largest rows are named.
        whole: look at all of its rows.
    """
    names = _columns(connection, table)
    share = 100.0 if whole else min(100.0, 100 * _PAGES / max(table.pages, 1))
    name = f"{table.schema}.{table.table}"
    if not names or table.rows.value == 0:
        return Contents(name, True, {}, {}, ())
    source = "source_id" in names
    columns = _column_bytes(connection, table, names, share)
    sources = _source_bytes(connection, table, names, share) if source else {}
    rows = _largest(connection, table, names, share, largest)
    return Contents(name, share >= 100, columns, sources, rows)


def _columns(connection: Connection, table: Stored) -> tuple[str, ...]:
    rows = connection.execute(
        """SELECT attname FROM pg_catalog.pg_attribute
           WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum""",
        [table.oid],
    ).fetchall()
    return tuple(name for (name,) in rows)


def _size(column: str) -> sql.Composed:
    return sql.SQL("coalesce(pg_column_size({}), 0)").format(sql.Identifier(column))


def _from(table: Stored, share: float) -> sql.Composed:
    if share >= 100:
        return sql.SQL("FROM ONLY {}").format(table.identifier)
    return sql.SQL("FROM ONLY {} TABLESAMPLE SYSTEM ({}) REPEATABLE (0)").format(
        table.identifier, share
    )


def _column_bytes(
    connection: Connection, table: Stored, names: Sequence[str], share: float
) -> dict[str, int]:
    sums = sql.SQL(", ").join(sql.SQL("sum({})::bigint").format(_size(name)) for name in names)
    query = sql.SQL("SELECT {} {}").format(sums, _from(table, share))
    row = connection.execute(query).fetchone() or ()
    return {n: round((v or 0) * 100 / share) for n, v in zip(names, row, strict=False)}


def _source_bytes(
    connection: Connection, table: Stored, names: Sequence[str], share: float
) -> dict[str, int]:
    whole = sql.SQL(" + ").join(map(_size, names))
    query = sql.SQL(
        "SELECT coalesce(source_id::text, '-'), sum({})::bigint {} GROUP BY 1 ORDER BY 2 DESC, 1"
    ).format(whole, _from(table, share))
    return {s: round(v * 100 / share) for s, v in connection.execute(query).fetchall()}


def _largest(
    connection: Connection, table: Stored, names: Sequence[str], share: float, count: int
) -> tuple[LargeRow, ...]:
    sizes = [_size(name) for name in names]
    query = sql.SQL("SELECT {}, {} {} ORDER BY {} DESC LIMIT {}").format(
        _key(connection, table),
        sql.SQL(", ").join(sizes),
        _from(table, share),
        sql.SQL(" + ").join(sizes),
        count,
    )
    found = []
    for key, *values in connection.execute(query).fetchall():
        most = max(range(len(values)), key=values.__getitem__)
        name = f"{table.schema}.{table.table}"
        found.append(LargeRow(name, str(key), sum(values), names[most], values[most]))
    return tuple(found)


def _key(connection: Connection, table: Stored) -> sql.Composable:
    """The primary key as text, or where the row lies."""
    rows = connection.execute(
        """SELECT a.attname FROM pg_catalog.pg_index i
           JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
           WHERE i.indrelid = %s AND i.indisprimary ORDER BY a.attnum""",
        [table.oid],
    ).fetchall()
    names: list[sql.Composable] = [
        sql.SQL("{}::text").format(sql.Identifier(name)) for (name,) in rows
    ]
    return sql.SQL("concat_ws('/', {})").format(
        sql.SQL(", ").join(names or [sql.SQL("ctid::text")])
    )
