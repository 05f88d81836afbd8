"""What of one table a rescue brings back, row by row, before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from archon_ops.model.units import zulu

FORMAT = 1
Key = tuple[str, ...]


class Reason(StrEnum):
    """Why a row is brought back.

    missing: it was asked for, and the live table has no row of its key.
    changed: it was asked for, and the live row of its key differs.
    cascade: the deletion of a row that comes back took it along.
    parent: a row that comes back refers to it, and it is gone.
    """

    MISSING = "missing"
    CHANGED = "changed"
    CASCADE = "cascade"
    PARENT = "parent"


@dataclass(frozen=True)
class Row:
    """One row that is brought back.

    Attributes:
        key: its primary key, each column as text.
        reason: why.
        backup: SHA-256 of the row in the backup, over the columns that both sides have.
        live: of the live row that it replaces; None where there is none.
    """

    key: Key
    reason: Reason
    backup: str
    live: str | None = None


@dataclass(frozen=True)
class TablePlan:
    """One table of a rescue.

    Attributes:
        schema, table: its name.
        key: columns of its primary key.
        columns: columns that are compared and written.
        missing: rows of the backup that the live table lacks, among those looked at.
        changed: rows of both that differ, among those looked at.
        only_live: rows that the backup lacks; None where only chosen rows were looked at.
        rows: what is brought back.
    """

    schema: str
    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    missing: int
    changed: int
    only_live: int | None
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """Schema-qualified name, as people write it."""
        return f"{self.schema}.{self.table}"

    @property
    def inserts(self) -> tuple[Row, ...]:
        """Rows that the live table lacks."""
        return tuple(row for row in self.rows if row.live is None)

    @property
    def updates(self) -> tuple[Row, ...]:
        """Rows that replace a live one."""
        return tuple(row for row in self.rows if row.live is not None)

    def count(self, reason: Reason) -> int:
        """How many rows come back for this reason."""
        return sum(row.reason is reason for row in self.rows)


@dataclass(frozen=True)
class RescuePlan:
    """A rescue, decided but not done.

    Attributes:
        target: the target as it has to be typed.
        source: name of the source.
        made_at: UTC time.
        backup: name of the dump.
        sha256: of the dump; None where it has no manifest.
        path: where it lies.
        snapshot_at: UTC time of what it holds.
        table: what was asked for, schema-qualified.
        where: which of its rows, an expression; None for all.
        changed: whether rows that changed go back too.
        tables: in the order in which they were found: what was asked for comes first.
        notes: what else to know.
        incomplete: whether something that was asked for cannot be brought back; the notes say what.
        file: where the plan itself lies; empty as long as it was not written.
    """

    target: str
    source: str
    made_at: datetime
    backup: str
    sha256: str | None
    path: str
    snapshot_at: datetime
    table: str
    where: str | None
    changed: bool
    tables: tuple[TablePlan, ...]
    notes: tuple[str, ...] = ()
    incomplete: bool = False
    file: str = ""
    format: int = FORMAT

    @property
    def inserted(self) -> int:
        """Rows that are inserted."""
        return sum(len(table.inserts) for table in self.tables)

    @property
    def updated(self) -> int:
        """Live rows that are replaced."""
        return sum(len(table.updates) for table in self.tables)

    @property
    def rows(self) -> int:
        """Rows that are written."""
        return self.inserted + self.updated

    def table_rows(self) -> list[tuple[object, ...]]:
        """Rows for a table: what was found, and what comes back for which reason."""
        return [
            (
                t.name,
                t.missing,
                t.changed,
                t.only_live,
                *(t.count(reason) for reason in Reason),
            )
            for t in self.tables
        ]

    def text(self) -> str:
        """For a person who has to decide."""
        which = f" where {self.where}" if self.where else ""
        lines = [
            f"Rescue   {self.table}{which}",
            f"From     {self.backup}, database as of {zulu(self.snapshot_at)}",
            f"Into     {self.target}",
        ]
        lines += [self._line(table) for table in self.tables if table.rows]
        if not self.rows:
            lines.append("Writes   nothing")
        lines.append("Keeps    every other row as it is; all of it is one transaction")
        lines += [f"Plan     {self.file}"] if self.file else []
        return "\n".join([*lines, *(f"Note     {note}" for note in self.notes)])

    def _line(self, table: TablePlan) -> str:
        words = {
            Reason.MISSING: "missing",
            Reason.CHANGED: "changed, their live form is replaced",
            Reason.CASCADE: "deleted along with those",
            Reason.PARENT: "that others refer to",
        }
        parts = [f"{n} {words[reason]}" for reason in Reason if (n := table.count(reason))]
        return f"Writes   {table.name}: {'; '.join(parts)}"

    def document(self) -> dict[str, Any]:
        """The JSON form for people's programs: numbers; the plan file has every row."""
        return {
            "target": self.target,
            "file": self.file or None,
            "backup": self.backup,
            "path": self.path,
            "snapshot_at": zulu(self.snapshot_at),
            "table": self.table,
            "where": self.where,
            "changed": self.changed,
            "rows_inserted": self.inserted,
            "rows_updated": self.updated,
            "tables": [
                {
                    "table": t.name,
                    "missing": t.missing,
                    "changed": t.changed,
                    "only_live": t.only_live,
                    "brought_back": {reason.value: t.count(reason) for reason in Reason},
                }
                for t in self.tables
            ],
            "notes": list(self.notes),
            "complete": not self.incomplete,
        }


@dataclass(frozen=True)
class TableResult:
    """One table after a rescue.

    Attributes:
        table: schema-qualified name.
        inserted, updated: rows that were written.
        rows_before, rows_after: rows in it.
        restored_equal: whether every written row is what the backup holds.
        others_equal: whether every other row is what it was.
    """

    table: str
    inserted: int
    updated: int
    rows_before: int
    rows_after: int
    restored_equal: bool
    others_equal: bool

    @property
    def equal(self) -> bool:
        """Whether all of it holds."""
        return self.restored_equal and self.others_equal


@dataclass(frozen=True)
class RescueProof:
    """What was proven in the transaction, before it was committed.

    Attributes:
        tables: those that were written.
        elsewhere: tables that were written and should not have been, one line each.
        not_proven: what could not be proven, one line each.
    """

    tables: tuple[TableResult, ...]
    elsewhere: tuple[str, ...]
    not_proven: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether everything that could be compared holds."""
        return all(t.equal for t in self.tables) and not self.elsewhere

    @property
    def problems(self) -> tuple[str, ...]:
        """What does not hold, one line each."""
        rows = [
            f"table {t.table}: {what}"
            for t in self.tables
            for what, holds in (
                ("rows that came back are not what the backup holds", t.restored_equal),
                ("other rows changed too", t.others_equal),
            )
            if not holds
        ]
        return (*rows, *self.elsewhere)

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "equal": self.equal,
            "tables": [
                {
                    "table": t.table,
                    "inserted": t.inserted,
                    "updated": t.updated,
                    "rows_before": t.rows_before,
                    "rows_after": t.rows_after,
                    "restored_equal": t.restored_equal,
                    "others_equal": t.others_equal,
                    "equal": t.equal,
                }
                for t in self.tables
            ],
            "elsewhere": {"equal": not self.elsewhere, "differences": list(self.elsewhere)},
            "not_proven": list(self.not_proven),
        }
