"""What a table looks like from outside: columns, indexes, and how long its values are.

Of the values themselves nothing is read but their lengths, and those of a few pages only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from archon_ops.postgres.session import Connection
from archon_ops.postgres.sizes import Stored

# Rows whose lengths are looked at, and pages that they come from.
_ROWS, _PAGES = 400, 300
# Types of text, of JSON, and those whose values have one length.
TEXT = frozenset({"text", "varchar", "bpchar", "name", "citext"})
JSON = frozenset({"jsonb", "json"})
VECTORS = frozenset({"vector", "halfvec"})
FIXED = frozenset(
    [
        *("bool", "int2", "int4", "int8", "float4", "float8", "numeric"),
        *("uuid", "date", "timestamp", "timestamptz"),
    ]
)

Lengths = tuple[int | None, ...]


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: its name.
        type: name of its type, as the catalogue has it; "text" for an enum.
        declared: the type as it is declared.
        distinct: how many values it has (negative: a share of the rows, 0: not known).
        generated: expression of a stored generated column, else None.
    """

    name: str
    type: str
    declared: str
    distinct: float
    generated: str | None

    @property
    def known(self) -> bool:
        """Whether values of its type can be made."""
        return self.type in TEXT | JSON | VECTORS | FIXED | {"bytea"}


@dataclass(frozen=True)
class Shape:
    """A table's shape.

    Attributes:
        schema, table: its name.
        rows: about how many.
        columns: in their order.
        lengths: for some of its rows, the length of each column's value in bytes (vectors: 1);
            None for NULL.
        indexes: definitions of its indexes, none of them unique.
    """

    schema: str
    table: str
    rows: int
    columns: tuple[Column, ...]
    lengths: tuple[Lengths, ...]
    indexes: tuple[str, ...]


def shape(connection: Connection, table: Stored) -> Shape:
    """The shape of a table that the role may read."""
    columns = _columns(connection, table)
    lengths = _lengths(connection, table, columns)
    return Shape(
        table.schema,
        table.table,
        table.rows.value or 0,
        columns,
        lengths,
        _indexes(connection, table),
    )


def _columns(connection: Connection, table: Stored) -> tuple[Column, ...]:
    rows = connection.execute(
        """
        SELECT a.attname,
               CASE WHEN t.typtype = 'e' THEN 'text' WHEN t.typtype = 'd' THEN b.typname
                    ELSE t.typname END,
               CASE WHEN t.typtype = 'e' THEN 'text'
                    WHEN t.typtype = 'd' THEN format_type(b.oid, t.typtypmod)
                    ELSE format_type(t.oid, a.atttypmod) END,
               coalesce(s.n_distinct, 0)::float8,
               CASE WHEN a.attgenerated = 's' THEN pg_get_expr(d.adbin, d.adrelid) END
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        LEFT JOIN pg_catalog.pg_stats s ON (s.schemaname, s.tablename, s.attname, s.inherited)
          = (%s, %s, a.attname, false)
        WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
        """,
        [table.schema, table.table, table.oid],
    ).fetchall()
    return tuple(Column(*row) for row in rows)


def _lengths(
    connection: Connection, table: Stored, columns: Sequence[Column]
) -> tuple[Lengths, ...]:
    share = min(100.0, 100 * _PAGES / max(table.pages, 1))
    query = sql.SQL("SELECT {} FROM ONLY {} TABLESAMPLE SYSTEM ({}) REPEATABLE (0) LIMIT {}")
    measured = sql.SQL(", ").join(map(_length, columns)) if columns else sql.SQL("1")
    rows = connection.execute(
        query.format(measured, table.identifier, share, _ROWS)  # LIMIT: samples are in order
    ).fetchall()
    return tuple(rows)


def _length(column: Column) -> sql.Composable:
    name = sql.Identifier(column.name)
    if column.type == "bytea":
        return sql.SQL("octet_length({})").format(name)
    if column.type in TEXT | JSON:  # an enum's label too
        return sql.SQL("octet_length({}::text)").format(name)
    return sql.SQL("CASE WHEN {} IS NOT NULL THEN 1 END").format(name)


def _indexes(connection: Connection, table: Stored) -> tuple[str, ...]:
    rows = connection.execute(
        """SELECT pg_get_indexdef(indexrelid) FROM pg_catalog.pg_index
           WHERE indrelid = %s AND indisvalid ORDER BY indexrelid""",
        [table.oid],
    ).fetchall()
    return tuple(text.replace("CREATE UNIQUE INDEX", "CREATE INDEX", 1) for (text,) in rows)


def create(connection: Connection, shape: Shape) -> None:
    """Make an empty table of this shape, without its indexes."""
    columns = []
    for column in shape.columns:
        # Of a type that is not made here nothing but NULL is stored, whatever it is called.
        keeps = column.known or column.generated is not None
        text = sql.SQL(column.declared if keeps else "text")
        parts = [sql.Identifier(column.name), text]
        if column.generated is not None:
            made = sql.SQL(column.generated)
            parts.append(sql.SQL("GENERATED ALWAYS AS ({}) STORED").format(made))
        columns.append(sql.SQL(" ").join(parts))
    connection.execute(
        sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(shape.schema))
    )
    connection.execute(
        sql.SQL("CREATE TABLE {} ({})").format(
            sql.Identifier(shape.schema, shape.table), sql.SQL(", ").join(columns)
        )
    )
