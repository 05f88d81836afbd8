"""Look at what takes how much room, without reading any table whole unless that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from archon_ops.actions.past import read_history
from archon_ops.actions.status import require_made
from archon_ops.errors import PreconditionError
from archon_ops.model.audit import UNKNOWN, Audit, Basis, Index, Table, VectorColumn
from archon_ops.model.backup import Backup
from archon_ops.model.history import Change, History, changes
from archon_ops.model.runs import Result
from archon_ops.postgres import facts, sizes
from archon_ops.postgres.scope import resolve
from archon_ops.postgres.session import Connection, deadline
from archon_ops.site import Site
from archon_ops.storage import points
from archon_ops.storage.lock import Lock


@dataclass(frozen=True)
class Audited:
    """An audit with what the backups add to it.

    Attributes:
        audit: the sizes.
        changes: since the last point, and over 7 and 30 days.
        history: all earlier points.
        backup: the newest backup with a manifest, None without one.
    """

    audit: Audit
    changes: tuple[Change, ...]
    history: History
    backup: Backup | None

    @property
    def ratio(self) -> float | None:
        """Size of the newest backup over that of its database at that time."""
        manifest = self.backup.manifest if self.backup else None
        if manifest is None or not manifest.database_bytes:
            return None
        return manifest.size_bytes / manifest.database_bytes


def audit(site: Site, *, exact: bool = False, save: bool = False) -> Audited:
    """Audit the source's database.

    Args:
        site: the source.
        exact: count rows instead of estimating them; reads Archon's tables whole.
        save: keep the sizes as a point of the history.

    Raises:
        PreconditionError: the database cannot be reached, or has no Archon tables.
    """
    require_made(site)
    with site.server() as server, server.connect(site.database) as connection:
        found = _audit(site, connection, exact)
    if save:
        site.directory.prepare()
    past = read_history(site, (found.system_identifier, found.database))
    if save:
        with Lock(site.directory, "size-audit", site.settings.deadlines.lock):
            points.append(site.directory, found.point)
    latest = site.directory.catalog().latest()
    return Audited(found, changes(past, found.point), past, latest)


def _audit(site: Site, connection: Connection, exact: bool) -> Audit:
    source = site.source
    scope = resolve(connection, source.exclude_schemas, source.exclude_tables)
    stored = sizes.stored_tables(connection, scope)
    if not stored:
        raise PreconditionError(
            f"database {site.database} of source {site.name} has no tables archon_*",
            "is it the right database? inv psql --command '\\dt *.archon_*'",
        )
    tables = _tables(site, connection, stored, exact)
    whole, rest = facts.database_bytes(connection), sizes.rest(connection, stored)
    archon = sum(table.size.total_bytes for table in tables)
    return Audit(
        at=site.clock(),
        system_identifier=facts.system_identifier(connection),
        database=site.database,
        database_bytes=whole,
        tables=tuple(sorted(tables, key=lambda t: (-t.size.total_bytes, t.name))),
        neighbours=rest.neighbours,
        catalogue_bytes=max(whole - archon - sum(rest.neighbours.values()) - rest.kept_bytes, 0),
        kept_bytes=rest.kept_bytes,
        counted_since=_counted_since(site, connection),
        notes=tuple(_notes(tables, sizes.role(connection), exact=exact)),
    )


def _tables(
    site: Site, connection: Connection, stored: Sequence[sizes.Stored], exact: bool
) -> list[Table]:
    indexes = sizes.indexes(connection, stored)
    columns = sizes.vector_columns(connection, stored)
    limits = site.settings.deadlines
    tables = []
    for table in stored:
        own = columns.get(table.oid, ())
        with deadline(
            connection, limits.proof if exact else limits.stall, f"reading {table.table}"
        ):
            tables.append(_table(connection, table, stored, indexes.get(table.oid, ()), own, exact))
    return tables


def _table(
    connection: Connection,
    stored: sizes.Stored,
    every: Sequence[sizes.Stored],
    indexes: Sequence[Index],
    columns: tuple[VectorColumn, ...],
    exact: bool,
) -> Table:
    table = Table(
        stored.size(indexes),
        stored.rows,
        stored.dead_rows,
        stored.readable,
        columns,
        tuple(indexes),
    )
    if not stored.readable:
        return table
    unknown = any(column.filled == UNKNOWN for column in columns)
    if exact or len(columns) > 1 or unknown:
        table = _looked_into(connection, table, stored, exact)
    source = next((s for s in every if _is_source_of(s, stored)), None)
    if source is None:
        return table
    return replace(table, orphans=sizes.orphans(connection, stored, source, whole=exact))


def _looked_into(connection: Connection, table: Table, stored: sizes.Stored, exact: bool) -> Table:
    """The table with what its rows, or a few pages of them, tell."""
    found = sizes.looked(connection, stored, table.vectors, whole=exact)
    if found is None:
        return table
    columns = tuple(
        replace(column, filled=filled) if exact or column.filled == UNKNOWN else column
        for column, filled in zip(table.vectors, found.filled, strict=True)
    )
    rows = found.rows if exact or table.rows == UNKNOWN else table.rows
    return replace(table, rows=rows, vectors=columns, surplus_bytes=found.surplus_bytes)


def _is_source_of(source: sizes.Stored, table: sizes.Stored) -> bool:
    return source.table == "archon_sources" and source.schema == table.schema and source.readable


def _counted_since(site: Site, connection: Connection) -> datetime | None:
    """Counters begin when they are reset, and with a database that a restore brought."""
    brought = (
        record.finished_at
        for record in site.journal.records()
        if record.action in ("restore", "undo") and record.result is Result.DONE
    )
    times = (sizes.counted_since(connection), next(brought, None))
    return max((at for at in times if at is not None), default=None)


def _notes(tables: Sequence[Table], role: str, *, exact: bool) -> Iterator[str]:
    hidden = [table.name for table in tables if not table.readable]
    if hidden:
        yield (
            f"role {role} may not read every row of {', '.join(hidden)}: their sizes are known, "
            "their embeddings are not" + (", their rows are estimated" if exact else "")
        )
    bare = [t.name for t in tables if t.rows.basis in (Basis.ACTIVITY, Basis.UNKNOWN, Basis.SAMPLE)]
    if bare:
        yield (
            f"statistics were never gathered for {', '.join(bare)}: "
            "inv psql --command ANALYZE, or count with --exact"
        )
