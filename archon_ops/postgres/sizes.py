"""How much room everything takes, from the catalogue, the statistics, and a few pages.

No query reads a table whole but `counted`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from archon_ops.model.audit import (
    ELEMENT_BYTES,
    UNKNOWN,
    Basis,
    Count,
    Index,
    Orphans,
    VectorColumn,
    rows_estimate,
)
from archon_ops.model.backup import TableSize
from archon_ops.postgres.facts import ARCHON_TABLES
from archon_ops.postgres.scope import (
    KEPT_PREFIX,
    STAGING_PREFIX,
    Scope,
    relation_condition,
)
from archon_ops.postgres.session import Connection, scalar

PAGE_BYTES = 8192
# Pages of a table that a sample may read: 2.4 MB. Never more than half of them.
_SAMPLE_PAGES = 300
_FORKS = ("main", "fsm", "vm", "init")


@dataclass(frozen=True)
class Stored:
    """A table as it lies on disk; its indexes are counted apart.

    Attributes:
        oid: its OID.
        schema, table: its name.
        heap_bytes, toast_bytes: main file with its maps, and TOAST with its index.
        pages: pages of the main file.
        rows: living rows.
        dead_rows: by the counters of activity.
        readable: whether the role may see every row.
    """

    oid: int
    schema: str
    table: str
    heap_bytes: int
    toast_bytes: int
    pages: int
    rows: Count
    dead_rows: int
    readable: bool

    @property
    def identifier(self) -> sql.Identifier:
        """Its name, quoted."""
        return sql.Identifier(self.schema, self.table)

    def size(self, indexes: Sequence[Index]) -> TableSize:
        """All its parts with their sum."""
        index_bytes = sum(index.bytes for index in indexes)
        total = self.heap_bytes + index_bytes + self.toast_bytes
        return TableSize(
            self.schema, self.table, self.heap_bytes, index_bytes, self.toast_bytes, total
        )


def stored_tables(connection: Connection, scope: Scope) -> tuple[Stored, ...]:
    """Archon's tables and materialized views, in whatever schema, by name."""
    heap = " + ".join(f"coalesce(pg_relation_size(c.oid, '{fork}'), 0)" for fork in _FORKS)
    rows = connection.execute(
        f"""
        SELECT c.oid::bigint, n.nspname, c.relname, {heap},
               coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0),
               coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::bigint,
               c.reltuples, c.relpages, coalesce(s.n_live_tup, 0), coalesce(s.n_dead_tup, 0),
               has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
                 AND NOT (c.relkind = 'r' AND row_security_active(c.oid))
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
        WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND c.relname LIKE %(archon)s
          AND {relation_condition()}
        ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
        """,
        {**scope.parameters, "archon": ARCHON_TABLES},
    ).fetchall()
    return tuple(
        Stored(oid, schema, name, heap, toast, now, rows_estimate(tuples, then, now, live), *rest)
        for oid, schema, name, heap, toast, now, tuples, then, live, *rest in rows
    )


def indexes(connection: Connection, tables: Sequence[Stored]) -> dict[int, tuple[Index, ...]]:
    """The indexes of these tables, largest first, by the table's OID."""
    last = "s.last_idx_scan" if connection.info.server_version >= 160000 else "NULL::timestamptz"
    rows = connection.execute(
        f"""
        SELECT i.indrelid::bigint, c.relname, m.amname, coalesce(pg_table_size(c.oid), 0),
               coalesce(s.idx_scan, 0), {last},
               i.indisunique OR i.indisreplident OR EXISTS (
                 SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = c.oid), i.indisvalid
        FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        JOIN pg_catalog.pg_am m ON m.oid = c.relam
        LEFT JOIN pg_catalog.pg_stat_all_indexes s ON s.indexrelid = c.oid
        WHERE i.indrelid = ANY (%s::bigint[]) ORDER BY 4 DESC, c.relname COLLATE "C"
        """,
        [[table.oid for table in tables]],
    ).fetchall()
    found: dict[int, tuple[Index, ...]] = {}
    for oid, *index in rows:
        found[oid] = (*found.get(oid, ()), Index(*index))
    return found


def vector_columns(
    connection: Connection, tables: Sequence[Stored]
) -> dict[int, tuple[VectorColumn, ...]]:
    """The columns of embeddings; how many are filled is taken from the statistics."""
    rows = connection.execute(
        """
        SELECT a.attrelid::bigint, a.attname, t.typname, nullif(a.atttypmod, -1), s.null_frac
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_stats s ON (s.schemaname, s.tablename, s.attname, s.inherited)
          = (n.nspname, c.relname, a.attname, false)
        WHERE a.attrelid = ANY (%s::bigint[]) AND NOT a.attisdropped
          AND t.typname = ANY (%s) ORDER BY a.attnum
        """,
        [[table.oid for table in tables], list(ELEMENT_BYTES)],
    ).fetchall()
    rows_of = {table.oid: table.rows for table in tables}
    found: dict[int, tuple[VectorColumn, ...]] = {}
    for oid, column, kind, dimension, nulls in rows:
        filled = _filled(rows_of[oid], nulls)
        found[oid] = (*found.get(oid, ()), VectorColumn(column, kind, dimension, filled))
    return found


def _filled(rows: Count, nulls: float | None) -> Count:
    if rows.value == 0:
        return rows
    if rows.value is None or nulls is None:
        return UNKNOWN
    return Count(round(rows.value * (1 - nulls)), Basis.STATISTICS)


@dataclass(frozen=True)
class Looked:
    """What a look into a table found, for all of it.

    Attributes:
        rows: how many.
        filled: for each column of embeddings, in their order.
        surplus_bytes: what embeddings take beyond the largest of each row.
    """

    rows: Count
    filled: tuple[Count, ...]
    surplus_bytes: int


def looked(
    connection: Connection, table: Stored, columns: Sequence[VectorColumn], *, whole: bool
) -> Looked | None:
    """Look into the rows of a table: which embeddings are filled, and how many together.

    No embedding is read for it. None where a sample hit no row.

    Args:
        connection: session on the database.
        table: one that the role may read.
        columns: its columns of embeddings.
        whole: read all of it; otherwise a few pages.
    """
    share = 100.0 if whole else min(50.0, 100 * _SAMPLE_PAGES / max(table.pages, 1))
    sample = sql.SQL("" if whole else " TABLESAMPLE SYSTEM ({}) REPEATABLE (0)").format(share)
    query = sql.SQL("SELECT count(*), {}, {} FROM ONLY {}{}").format(
        _surplus(columns), _counts(columns), table.identifier, sample
    )
    row = connection.execute(query).fetchone() or (0, 0)
    seen, surplus, *filled = row
    if whole:
        return Looked(
            Count(seen, Basis.COUNTED),
            tuple(Count(n, Basis.COUNTED) for n in filled[: len(columns)]),
            int(surplus),
        )
    if not seen:
        return None
    rows = table.rows if table.rows.value else Count(round(seen * 100 / share), Basis.SAMPLE)
    factor = (rows.value or 0) / seen
    counts = tuple(Count(round(n * factor), Basis.SAMPLE) for n in filled[: len(columns)])
    return Looked(rows, counts, round(int(surplus) * factor))


def _counts(columns: Sequence[VectorColumn]) -> sql.Composable:
    counts = [sql.SQL("count({})").format(sql.Identifier(c.column)) for c in columns]
    return sql.SQL(", ").join(counts) if counts else sql.SQL("0")


def _surplus(columns: Sequence[VectorColumn]) -> sql.Composable:
    """Bytes of all embeddings of a row but the largest, summed."""
    if len(columns) < 2:
        return sql.SQL("0")
    sizes = [
        sql.SQL("CASE WHEN {c} IS NULL THEN 0 ELSE {size} END").format(
            c=sql.Identifier(column.column),
            size=sql.Literal(column.value_bytes)
            if column.value_bytes
            else sql.SQL("pg_column_size({})").format(sql.Identifier(column.column)),
        )
        for column in columns
    ]
    return sql.SQL("coalesce(sum({} - greatest({})), 0)::bigint").format(
        sql.SQL(" + ").join(sizes), sql.SQL(", ").join(sizes)
    )


def orphans(
    connection: Connection, table: Stored, sources: Stored, *, whole: bool
) -> Orphans | None:
    """Rows whose source is not in the table of sources; None where that cannot be, or is unknown.

    Args:
        connection: session on the database.
        table: one that may have a column source_id.
        sources: the table of sources, readable.
        whole: read the table; otherwise its statistics' list of the most common sources.
    """
    ids = {"t": table.oid, "s": sources.oid}
    if connection.execute(_MAY_BE_ORPHANED, ids).fetchone() != (True,):
        return None
    if whole:
        query = sql.SQL(
            "SELECT count(*), count(DISTINCT t.source_id) FROM ONLY {} t WHERE source_id IS NOT "
            "NULL AND NOT EXISTS (SELECT FROM {} s WHERE s.source_id = t.source_id)"
        ).format(table.identifier, sources.identifier)
        rows, names = connection.execute(query).fetchone() or (0, 0)
        return Orphans(Count(rows, Basis.COUNTED), names)
    query = sql.SQL(
        "SELECT coalesce(sum(x.f), 0)::float8, count(*) FROM pg_catalog.pg_stats p, "
        "unnest(p.most_common_vals::text::text[], p.most_common_freqs) AS x (v, f) "
        "WHERE p.schemaname = %s AND p.tablename = %s AND p.attname = 'source_id' "
        "AND NOT EXISTS (SELECT FROM {} s WHERE s.source_id = x.v)"
    ).format(sources.identifier)
    share, names = connection.execute(query, [table.schema, table.table]).fetchone() or (0, 0)
    if table.rows.value is None:
        return None
    return Orphans(Count(round(share * table.rows.value), Basis.STATISTICS), names)


# A key that was checked leaves no orphans; a column of another type is something else.
_MAY_BE_ORPHANED = """
    SELECT %(t)s <> %(s)s AND 2 = (
        SELECT count(*) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid IN (%(t)s, %(s)s) AND a.attname = 'source_id' AND NOT a.attisdropped
          AND a.atttypid = 'pg_catalog.text'::pg_catalog.regtype)
      AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = %(t)s AND k.confrelid = %(s)s
          AND k.contype = 'f' AND k.convalidated)
"""


@dataclass(frozen=True)
class Rest:
    """What of a database is not Archon's.

    Attributes:
        neighbours: schema -> bytes, Archon's tables and the catalogue left out.
        kept_bytes: in schemas that restores keep or stage.
    """

    neighbours: dict[str, int]
    kept_bytes: int


def rest(connection: Connection, archon: Sequence[Stored]) -> Rest:
    """Bytes of every schema's relations that are not Archon's; the catalogue is left out."""
    rows: list[Any] = connection.execute(
        f"""
        SELECT n.nspname, starts_with(n.nspname, '{KEPT_PREFIX}')
                          OR starts_with(n.nspname, '{STAGING_PREFIX}'),
               coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'm', 'S') AND n.nspname !~ '^pg_'
          AND n.nspname <> 'information_schema' AND c.oid <> ALL (%s::bigint[]::oid[])
        GROUP BY 1 ORDER BY 3 DESC, 1
        """,
        [[table.oid for table in archon]],
    ).fetchall()
    return Rest(
        {schema: size for schema, kept, size in rows if not kept and size},
        sum(size for _, kept, size in rows if kept),
    )


def counted_since(connection: Connection) -> datetime | None:
    """UTC time at which the counters of this database last began; None if never reset."""
    query = """SELECT stats_reset FROM pg_catalog.pg_stat_database
               WHERE datname = current_database()"""
    found: datetime | None = scalar(connection, query)
    return found


def role(connection: Connection) -> str:
    """The role as whom the session looks."""
    return str(scalar(connection, "SELECT current_user"))
