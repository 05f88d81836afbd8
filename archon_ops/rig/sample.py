"""A realistic Archon database of any size: schema, rows, indexes, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import psycopg

from archon_ops.errors import OpsError
from archon_ops.model.report import Report
from archon_ops.postgres.session import Connection, deadline
from archon_ops.rig import crawl, projects, records, schema, sizing
from archon_ops.rig.table import Row, Table

# How often a listener hears of the rows: after this many.
_REPORT_ROWS = 16
# Several GB with their vector indexes, on a slow disk.
_MOST_SECONDS = 6 * 3600.0
# An ivfflat index over 1536 dimensions is trained on 10,000 rows, which takes 65 MB.
_SESSION = """
SET LOCAL maintenance_work_mem = '256MB';
SET LOCAL synchronous_commit = off;
SET LOCAL statement_timeout = 0;
"""


@dataclass(frozen=True)
class Summary:
    """What was made.

    Attributes:
        rows: table -> number of its rows, neighbours included.
        bytes: size of Archon's tables with their indexes and TOAST.
    """

    rows: dict[str, int]
    bytes: int

    @property
    def archon_rows(self) -> int:
        """Rows in Archon's own tables together."""
        return sum(self.rows[name] for name in schema.ARCHON_TABLES)


def create(
    connection: Connection,
    size_bytes: int,
    report: Report,
    *,
    encryption_key: str,
    seed: int = 0,
    vectors: bool = True,
    trigrams: bool = True,
    extension_schema: str = "public",
) -> Summary:
    """Make the sample in the database of the connection; on any failure it is as it was.

    Args:
        connection: of a role that may create schemas, roles and extensions.
        size_bytes: wanted size of Archon's tables with everything that belongs to them. Below
            about 12 MB the empty indexes alone are larger, and the smallest sample is made.
        report: is told of phases and bytes.
        encryption_key: Archon's ENCRYPTION_KEY; the one credential is encrypted under it.
        seed: from 0; decides on vectors and UUIDs. One seed on one Python always gives the same
            rows.
        vectors: False leaves the embeddings out, for a server without pgvector.
        trigrams: False leaves the indexes over trigrams out, for a server without pg_trgm.
        extension_schema: where missing extensions are installed ("extensions" as on Supabase).

    Raises:
        PreconditionError: Archon's tables exist already, or the server lacks an extension.
        OpsError: PostgreSQL refused.
    """
    rows = sizing.rows_for(size_bytes, vectors=vectors)
    try:
        with deadline(connection, _MOST_SECONDS, "making it"), connection.transaction():
            report.step("sample.schema", "Creating the schema")
            connection.execute(_SESSION, prepare=False)
            schema.create_objects(
                connection, extension_schema=extension_schema, vectors=vectors, trigrams=trigrams
            )
            summary = load(
                connection,
                size_bytes,
                report,
                encryption_key=encryption_key,
                seed=seed,
                vectors=vectors,
            )
            report.step("sample.indexes", "Building the indexes")
            expected = sizing.index_bytes(rows, vectors=vectors)
            schema.create_indexes(
                connection, report, vectors=vectors, trigrams=trigrams, expected_bytes=expected
            )
            connection.execute(f"ANALYZE {', '.join(summary.rows)}")
            return replace(summary, bytes=_archon_bytes(connection))
    except psycopg.Error as error:
        why = str(error).partition("\n")[0]
        raise OpsError(f"the sample database could not be made: {why}") from error


def load(
    connection: Connection,
    size_bytes: int,
    report: Report,
    *,
    encryption_key: str,
    seed: int = 0,
    vectors: bool = True,
) -> Summary:
    """Fill the empty tables; arguments and errors as for `create`.

    Rows are made while they are loaded, so memory does not grow with the size.
    """
    report.step("sample.rows", "Loading the rows")
    rows = sizing.rows_for(size_bytes, vectors=vectors)
    counts: dict[str, int] = {}
    with connection.transaction():
        schema.set_search_path(connection)
        loaded = _progress(report, sizing.payload_bytes(rows, vectors=vectors))
        for table in _tables(connection, rows, seed, encryption_key, vectors):
            counts[table.name] = table.copy_into(connection, loaded)
        _advance_sequences(connection)
        return Summary(counts, _archon_bytes(connection))


def _tables(
    connection: Connection, rows: int, seed: int, encryption_key: str, vectors: bool
) -> Iterator[Table]:
    yield crawl.sources(rows, rows)
    yield crawl.page_metadata(rows, seed)
    yield crawl.crawled_pages(rows, seed, with_vectors=vectors)
    yield crawl.code_examples(rows, seed, with_vectors=vectors)
    found = connection.execute(
        'SELECT source_id FROM archon_sources ORDER BY source_id COLLATE "C"'
    ).fetchall()
    yield from projects.tables(seed, tuple(name for (name,) in found))
    yield from records.tables(seed, encryption_key)


def _progress(report: Report, expected: int) -> Callable[[Row], None]:
    """A listener of rows that adds up their bytes."""
    done = seen = 0

    def loaded(row: Row) -> None:
        nonlocal done, seen
        done += sum(len(value) for value in row if isinstance(value, str | bytes))
        seen += 1
        if seen % _REPORT_ROWS == 0:
            report.progress("rows", done, max(done, expected))

    return loaded


def _advance_sequences(connection: Connection) -> None:
    """Rows came with their numbers; the next insert goes on from there."""
    for table in ("archon_crawled_pages", "archon_code_examples", "n8n.workflow_entity"):
        connection.execute(
            f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
        )


def _archon_bytes(connection: Connection) -> int:
    row = connection.execute(
        "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) name",
        [list(schema.ARCHON_TABLES)],
    ).fetchone()
    return int(row[0]) if row else 0
