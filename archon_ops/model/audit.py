"""What takes how much room in a database, and what of it could be had back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from archon_ops.model.backup import TableSize
from archon_ops.model.history import Point

# Bytes of one element of a vector type; each value has 8 more for its head.
ELEMENT_BYTES = {"vector": 4, "halfvec": 2}
VECTOR_HEAD = 8
# An index that serves a weekly job shows no use before.
_FAIR_TRIAL = timedelta(days=8)


class Basis(StrEnum):
    """What a number rests on.

    counted: every row was looked at, or there is none.
    statistics: what ANALYZE gathered.
    activity: the server's counters of inserts and deletes; nobody ever gathered statistics.
    sample: a few pages of the table.
    unknown: nothing; the number is missing.
    """

    COUNTED = "counted"
    STATISTICS = "statistics"
    ACTIVITY = "activity"
    SAMPLE = "sample"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Count:
    """A number of rows, and what it rests on; None where nothing is known."""

    value: int | None
    basis: Basis

    @property
    def text(self) -> str | None:
        """For people: an estimate bears a mark."""
        if self.value is None:
            return None
        return str(self.value) if self.basis is Basis.COUNTED else f"~{self.value}"


UNKNOWN = Count(None, Basis.UNKNOWN)


@dataclass(frozen=True)
class VectorColumn:
    """A column of embeddings.

    Attributes:
        column: its name.
        kind: "vector" or "halfvec".
        dimension: as declared; None where it is not.
        filled: rows that hold one.
    """

    column: str
    kind: str
    dimension: int | None
    filled: Count

    @property
    def value_bytes(self) -> int | None:
        """Bytes of one value."""
        if self.dimension is None:
            return None
        return ELEMENT_BYTES[self.kind] * self.dimension + VECTOR_HEAD

    @property
    def bytes(self) -> int | None:
        """Bytes of all values, most of them in TOAST; None where something is not known."""
        if self.value_bytes is None or self.filled.value is None:
            return None
        return self.value_bytes * self.filled.value


@dataclass(frozen=True)
class Index:
    """An index.

    Attributes:
        name: its name.
        method: "btree", "gin", "ivfflat" …
        bytes: its size.
        scans: how often it was used since the counters began.
        last_used: UTC time of the last use, where the server keeps that (from version 16).
        needed: whether it serves a key or another constraint, used or not.
        valid: whether the server may use it at all.
    """

    name: str
    method: str
    bytes: int
    scans: int
    last_used: datetime | None
    needed: bool
    valid: bool


@dataclass(frozen=True)
class Orphans:
    """Rows whose source is gone."""

    rows: Count
    sources: int


@dataclass(frozen=True)
class Table:
    """One of Archon's tables.

    Attributes:
        size: heap (with its maps), indexes, TOAST; they add up to the total.
        rows: how many.
        dead_rows: rows that were deleted or replaced and still take room, by the counters.
        readable: whether the role may see every row.
        vectors: its columns of embeddings.
        indexes: its indexes.
        surplus_bytes: what embeddings take beyond the largest one of each row; None if unknown.
        orphans: rows of deleted sources; None where a key forbids them, or nothing is known.
    """

    size: TableSize
    rows: Count
    dead_rows: int
    readable: bool
    vectors: tuple[VectorColumn, ...] = ()
    indexes: tuple[Index, ...] = ()
    surplus_bytes: int | None = None
    orphans: Orphans | None = None

    @property
    def name(self) -> str:
        """Schema and table."""
        return f"{self.size.schema}.{self.size.table}"

    @property
    def row_bytes(self) -> float:
        """Bytes of heap and TOAST that a row takes on average, a dead one as much as a living."""
        rows = (self.rows.value or 0) + self.dead_rows
        return (self.size.heap_bytes + self.size.toast_bytes) / rows if rows else 0.0


@dataclass(frozen=True)
class Saving:
    """Something that could be had back; nothing here is ever done by itself.

    Attributes:
        kind: "unused index", "invalid index", "dead rows", "several embeddings", "orphans".
        what: the object.
        bytes: about how much it would free.
        note: what to know before.
    """

    kind: str
    what: str
    bytes: int
    note: str

    @property
    def estimated(self) -> bool:
        """Whether the bytes are a guess: an index has a size, rows have an average."""
        return not self.kind.endswith("index")


@dataclass(frozen=True)
class Audit:
    """A database's sizes at one time.

    Attributes:
        at: UTC time.
        system_identifier: the server's.
        database: its name.
        database_bytes: all of it.
        tables: Archon's, largest first.
        neighbours: schema -> bytes of everything in it that is not Archon's.
        catalogue_bytes: the server's own catalogue in this database, and what is in no schema.
        kept_bytes: what restores keep or stage beside; it belongs to nobody's share.
        counted_since: UTC time since which use of indexes is counted; None if never reset.
        notes: what could not be seen, one line each.
    """

    at: datetime
    system_identifier: str
    database: str
    database_bytes: int
    tables: tuple[Table, ...]
    neighbours: dict[str, int]
    catalogue_bytes: int
    kept_bytes: int
    counted_since: datetime | None
    notes: tuple[str, ...]

    @property
    def archon_bytes(self) -> int:
        """Archon's tables together."""
        return sum(table.size.total_bytes for table in self.tables)

    @property
    def vector_bytes(self) -> int:
        """All embeddings that are known of."""
        return sum(column.bytes or 0 for table in self.tables for column in table.vectors)

    @property
    def point(self) -> Point:
        """The same as a point of a history."""
        return Point(
            at=self.at,
            system_identifier=self.system_identifier,
            database=self.database,
            database_bytes=self.database_bytes,
            sizes=tuple(table.size for table in self.tables),
            rows={t.name: t.rows.value for t in self.tables if t.rows.value is not None},
        )

    def share(self, size: int) -> float:
        """A size as percentage of the whole database."""
        return 100 * size / self.database_bytes if self.database_bytes else 0.0


def rows_estimate(tuples: float, pages: int, pages_now: int, live: int) -> Count:
    """How many rows a table has, as the planner would guess.

    Args:
        tuples: rows when statistics were last gathered; -1 when they never were.
        pages: pages then; 0 when they never were, which versions before 14 tell only so.
        pages_now: pages of its main file now.
        live: living rows by the counters of activity.
    """
    if pages_now == 0:
        return Count(0, Basis.COUNTED)
    if tuples >= 0 and pages > 0:
        return Count(round(tuples / pages * pages_now), Basis.STATISTICS)
    return Count(live, Basis.ACTIVITY) if live > 0 else UNKNOWN


def savings(audit: Audit) -> tuple[Saving, ...]:
    """What could be had back, the largest first."""
    found = (saving for table in audit.tables for saving in _of_table(table, audit))
    return tuple(sorted(found, key=lambda s: (-s.bytes, s.what)))


def _of_table(table: Table, audit: Audit) -> Iterator[Saving]:
    yield from _indexes(table, audit)
    if dead := round(table.dead_rows * table.row_bytes):
        note = f"{table.dead_rows} dead rows: VACUUM lets new rows have the room"
        yield Saving("dead rows", table.name, dead, note)
    if table.surplus_bytes:
        note = "rows with more than one embedding: all but the largest of each"
        yield Saving("several embeddings", table.name, table.surplus_bytes, note)
    if table.orphans and table.orphans.rows.value:
        size = round(table.orphans.rows.value * table.row_bytes)
        note = f"{table.orphans.rows.text} rows of {table.orphans.sources} deleted sources"
        yield Saving("orphans", table.name, size, note)


def _indexes(table: Table, audit: Audit) -> Iterator[Saving]:
    for index in table.indexes:
        name = f"{table.size.schema}.{index.name}"
        if not index.valid:
            note = "its build failed: the server never uses it, but keeps it up to date"
            yield Saving("invalid index", name, index.bytes, note)
        elif index.scans == 0 and not index.needed:
            note = f"{index.method}, not used {_since(audit)}"
            yield Saving("unused index", name, index.bytes, note)


def _since(audit: Audit) -> str:
    since = audit.counted_since
    if since is None:
        return "since the counters began"
    early = ": too early to judge" if audit.at - since < _FAIR_TRIAL else ""
    return f"since {since:%Y-%m-%d %H:%M} UTC{early}"
