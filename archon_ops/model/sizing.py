"""The answer of `inv size-audit`, for programs and for tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from archon_ops.model.audit import Audit, Index, Saving, Table, VectorColumn, savings
from archon_ops.model.backup import Backup
from archon_ops.model.history import Change
from archon_ops.model.units import human_size, zulu

Document = dict[str, object]
Row = tuple[object, ...]

TABLE_COLUMNS = ("table", "rows", "heap", "indexes", "TOAST", "total", "share", "dead rows")
CSV_COLUMNS = (
    "schema",
    "table",
    "rows",
    "rows_basis",
    "heap_bytes",
    "index_bytes",
    "toast_bytes",
    "total_bytes",
    "dead_rows",
    "share_percent",
)
# A finding below this share of Archon's bytes is summed up with its like.
_SMALL = 0.005


def audit_document(
    source: str,
    audit: Audit,
    changes: Sequence[Change],
    backup: Backup | None,
    notes: Sequence[str],
) -> Document:
    """All of an audit, bytes as integers."""
    manifest = backup.manifest if backup else None
    ratio = (
        manifest.size_bytes / manifest.database_bytes
        if manifest and manifest.database_bytes
        else None
    )
    return {
        "source": source,
        "at": zulu(audit.at),
        "database": audit.database,
        "database_bytes": audit.database_bytes,
        "archon_bytes": audit.archon_bytes,
        "archon_share_percent": round(audit.share(audit.archon_bytes), 1),
        "neighbours_bytes": sum(audit.neighbours.values()),
        "neighbours": audit.neighbours,
        "catalogue_bytes": audit.catalogue_bytes,
        "kept_bytes": audit.kept_bytes,
        "vector_bytes": audit.vector_bytes,
        "tables": [_table_document(audit, table) for table in audit.tables],
        "backup": None
        if backup is None
        else {
            "filename": backup.name,
            "size_bytes": backup.size_bytes,
            "taken_at": zulu(backup.taken_at),
            "ratio": None if ratio is None else round(ratio, 4),
        },
        "changes": [_change_document(change) for change in changes],
        "savings": [vars(saving) for saving in savings(audit)],
        "counted_since": zulu(audit.counted_since) if audit.counted_since else None,
        "notes": [*audit.notes, *notes],
    }


def csv_rows(audit: Audit) -> list[Row]:
    """One row a table, columns as CSV_COLUMNS says."""
    documents = (_table_document(audit, table) for table in audit.tables)
    return [tuple(document[name] for name in CSV_COLUMNS) for document in documents]


def table_rows(audit: Audit) -> list[Row]:
    """One row a table and their sum, columns as TABLE_COLUMNS says."""
    rows = [_row(audit, table) for table in audit.tables]
    sizes = [table.size for table in audit.tables]
    parts = (
        sum(size.heap_bytes for size in sizes),
        sum(size.index_bytes for size in sizes),
        sum(size.toast_bytes for size in sizes),
        audit.archon_bytes,
    )
    dead = sum(table.dead_rows for table in audit.tables)
    share = f"{audit.share(audit.archon_bytes):.1f} %"
    return [*rows, ("all of Archon", None, *map(human_size, parts), share, dead)]


def vector_rows(audit: Audit) -> list[Row]:
    """Table and column, dimension, filled rows and bytes of every column of embeddings."""
    return [
        (
            f"{table.size.table}.{column.column}",
            column.dimension,
            column.filled.text,
            _size(column.bytes),
            column.filled.basis.value,
        )
        for table in audit.tables
        for column in table.vectors
    ]


def index_rows(audit: Audit, *, everything: bool) -> list[Row]:
    """Name, table, kind, size and use of the indexes; the small ones only with `everything`."""
    least = 0 if everything else audit.archon_bytes * _SMALL
    found = ((table, index) for table in audit.tables for index in table.indexes)
    ordered = sorted(found, key=lambda pair: (-pair[1].bytes, pair[1].name))
    return [
        (index.name, table.size.table, index.method, human_size(index.bytes), _use(index))
        for table, index in ordered
        if index.bytes >= least
    ]


def whole_rows(audit: Audit, backup: Backup | None, ratio: float | None) -> list[Row]:
    """What the database is made of, and its newest backup."""
    neighbours = ", ".join(f"{s} {human_size(b)}" for s, b in list(audit.neighbours.items())[:4])
    parts: list[tuple[str, int, str | None]] = [
        ("Archon", audit.archon_bytes, f"embeddings {human_size(audit.vector_bytes)}"),
        ("neighbours", sum(audit.neighbours.values()), neighbours or None),
        ("the server's catalogue", audit.catalogue_bytes, None),
    ]
    if audit.kept_bytes:
        parts.append(("kept for undo", audit.kept_bytes, "inv undo --list"))
    rows: list[Row] = [
        (what, human_size(size), f"{audit.share(size):.1f} %", note) for what, size, note in parts
    ]
    rows.append(("whole database", human_size(audit.database_bytes), "100.0 %", audit.database))
    if backup is None:
        rows.append(("newest backup", None, None, "none: inv backup"))
    else:
        of = None if ratio is None else f"{100 * ratio:.1f} %"
        rows.append(("newest backup", human_size(backup.size_bytes), of, backup.name))
    return rows


def since(audit: Audit) -> str:
    """Since when use is counted, as "since 2025-12-17 10:00 UTC"."""
    at = audit.counted_since
    return f"since {at:%Y-%m-%d %H:%M} UTC" if at else "since the counters began"


def change_rows(changes: Iterable[Change]) -> list[Row]:
    """Growth since each point, and which table grew most."""
    return [
        (
            change.since,
            zulu(change.at) if change.at else "the history begins later",
            signed(change.database_bytes),
            signed(change.archon_bytes),
            _most(change),
        )
        for change in changes
    ]


def saving_rows(audit: Audit) -> list[Row]:
    """What could be had back; small ones of one kind are summed up."""
    found = savings(audit)
    least = audit.archon_bytes * _SMALL
    rows: list[Row] = [(s.kind, s.what, _freed([s]), s.note) for s in found if s.bytes >= least]
    for kind in dict.fromkeys(s.kind for s in found):
        if small := [s for s in found if s.kind == kind and s.bytes < least]:
            rows.append((kind, f"{len(small)} small ones", _freed(small), "--json names them"))
    return rows


def _freed(found: Sequence[Saving]) -> str:
    mark = "~" if any(saving.estimated for saving in found) else ""
    return f"{mark}{human_size(sum(saving.bytes for saving in found))}"


def _table_document(audit: Audit, table: Table) -> Document:
    return {
        "schema": table.size.schema,
        "table": table.size.table,
        "rows": table.rows.value,
        "rows_basis": table.rows.basis.value,
        "heap_bytes": table.size.heap_bytes,
        "index_bytes": table.size.index_bytes,
        "toast_bytes": table.size.toast_bytes,
        "total_bytes": table.size.total_bytes,
        "dead_rows": table.dead_rows,
        "share_percent": round(audit.share(table.size.total_bytes), 1),
        "readable": table.readable,
        "vectors": [_vector_document(column) for column in table.vectors],
        "indexes": [_index_document(index) for index in table.indexes],
    }


def _index_document(index: Index) -> Document:
    return {**vars(index), "last_used": zulu(index.last_used) if index.last_used else None}


def _vector_document(column: VectorColumn) -> Document:
    return {
        "column": column.column,
        "type": column.kind,
        "dimension": column.dimension,
        "filled_rows": column.filled.value,
        "bytes": column.bytes,
        "basis": column.filled.basis.value,
    }


def _change_document(change: Change) -> Document:
    return {**vars(change), "at": zulu(change.at) if change.at else None}


def _row(audit: Audit, table: Table) -> Row:
    size = table.size
    name = size.table if size.schema == "public" else table.name
    parts = (size.heap_bytes, size.index_bytes, size.toast_bytes, size.total_bytes)
    share = f"{audit.share(size.total_bytes):.1f} %"
    return (name, table.rows.text or "?", *map(human_size, parts), share, table.dead_rows)


def _use(index: Index) -> str:
    if not index.valid:
        return "invalid: never used"
    last = f", last {zulu(index.last_used)}" if index.last_used else ""
    if index.scans:
        return f"{index.scans} times{last}"
    return "not used, but a key" if index.needed else "not used"


def _size(size: int | None) -> str | None:
    return None if size is None else f"~{human_size(size)}"


def signed(size: int | None) -> str | None:
    """A growth or a shrink, for people."""
    return None if size is None else f"{'+' if size >= 0 else '-'}{human_size(abs(size))}"


def _most(change: Change) -> str | None:
    if not change.tables:
        return None
    name, grown = max(change.tables.items(), key=lambda item: abs(item[1]))
    return f"{name} {signed(grown)}"
