"""What a destructive command is about to do, in full, before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archon_ops.model.backup import Backup
from archon_ops.model.units import human_duration, human_size, zulu

ARCHON = "archon"
DATABASE = "database"


def target_of(source: str, host: str, database: str, system_identifier: str) -> str:
    """How a target is spelled, and typed: <source>@<host>/<database>#<last 4 of the identifier>."""
    return f"{source}@{host}/{database}#{system_identifier[-4:]}"


@dataclass(frozen=True)
class Loss:
    """What a restore does to one table.

    Attributes:
        table: schema-qualified name.
        rows_live: rows now; None where there is no such table, or it cannot be read.
        rows_backup: rows in the backup; None where it has no such table.
        newer: live rows that came or changed after the backup; None when that cannot be told.
        absent: live rows that the backup cannot hold, a lower bound.
        problem: why the live table cannot be read.
    """

    table: str
    rows_live: int | None
    rows_backup: int | None
    newer: int | None
    absent: int
    problem: str = ""

    @property
    def lost(self) -> int:
        """Rows that leave service, as far as it can be told."""
        return max(self.newer or 0, self.absent)


@dataclass(frozen=True)
class RestorePlan:
    """A restore, decided but not done.

    Attributes:
        target: the target as it has to be typed.
        scope: what is replaced.
        database: name that the restored database will have.
        in_place: whether it takes the place of the source's own database.
        target_exists: whether there is a database of that name now.
        backup: what is restored.
        path: where that lies.
        identities: system identifier of the backup's server (None: unknown) and of the target.
        estimated_seconds: expected duration.
        losses: what leaves service, by table.
        basis: how the losses were counted, or why they could not be.
        counted: whether they could be counted at all.
        dropped: name and bytes of kept databases that go when this is done.
        notes: what else to know.
        leaving: Archon's objects that are live and not in the backup; they leave as well.
        needed_bytes: about how many bytes are needed on the server; None where that is unknown.
        free_bytes: how many are free there; None where that cannot be told.
        safety: whether a safety backup of what is live is taken first.
        keeps: whether what leaves service is kept for an undo.
    """

    target: str
    scope: str
    database: str
    in_place: bool
    target_exists: bool
    backup: Backup
    path: str
    identities: tuple[str | None, str]
    estimated_seconds: float
    losses: tuple[Loss, ...]
    basis: str
    counted: bool
    dropped: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]
    leaving: tuple[str, ...] = ()
    needed_bytes: int | None = None
    free_bytes: int | None = None
    safety: bool = False
    keeps: bool = True

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Live tables, or the whole database, that cannot be read, with the reason."""
        if not self.counted:
            return (f"database {self.database}: {self.basis}",)
        return tuple(f"{loss.table}: {loss.problem}" for loss in self.losses if loss.problem)

    @property
    def rows_lost(self) -> int:
        """Rows that leave service altogether."""
        return sum(loss.lost for loss in self.losses)

    def text(self) -> str:
        """For a person who has to decide."""
        return "\n".join(
            [*self._what(), *self._loss_lines(), *(f"Note     {n}" for n in self.notes)]
        )

    def _what(self) -> list[str]:
        backup = self.backup
        proven = backup.restored_at
        lines = [
            f"Restore  {backup.name} ({human_size(backup.size_bytes)}), "
            f"database as of {zulu(backup.taken_at)}",
            f"Proven   by a restore at {zulu(proven)}"
            if proven
            else f"Proven   never by a restore; trust: {backup.trust}",
            f"Into     {self.target} (scope {self.scope})",
            f"Time     about {human_duration(self.estimated_seconds)}",
        ]
        if self.needed_bytes is not None:
            free = "unknown" if self.free_bytes is None else f"{human_size(self.free_bytes)} free"
            lines.append(f"Room     about {human_size(self.needed_bytes)} needed, {free}")
        if self.safety:
            lines.append("Safety   a backup of what is live is taken first, into safety/")
        lines.extend(self._before_and_after())
        lines.extend(f"Leaves   {name}, which the backup does not have" for name in self.leaving)
        lines.extend(
            f"Drops    {name} ({human_size(size)}), kept by an earlier restore"
            for name, size in self.dropped
        )
        return lines

    def _before_and_after(self) -> list[str]:
        if not self.target_exists:
            beside = "After    the source's own database stays as it is, this one beside it"
            return [] if self.in_place else [beside]
        if self.scope == ARCHON:
            whose, what, them = "Archon's present objects stay", "Archon's present objects", "them"
            others = ["Others   nothing that is not Archon's is touched"]
            new = "the new ones are"
        else:
            what, them = f"the present {self.database}", "it"
            whose, others, new = f"{what} stays", [], "the new one is"
        before = f"Before   {whose} in service until {new} proven"
        after = f"After    {what} {'are' if others else 'is'} kept; inv undo brings {them} back"
        return [before, *([after] if self.keeps else []), *others]

    def _loss_lines(self) -> list[str]:
        if not self.counted:
            return [f"Loss     cannot be counted, all that is newer leaves: {self.basis}"]
        if not self.target_exists:
            return [f"Loss     none: {self.basis}"]
        lines = [f"Loss     {self._lost_in_words()} ({self.basis})"]
        for loss in self.losses:
            if loss.problem:
                lines.append(f"         {loss.table}: cannot be read: {loss.problem}")
            elif loss.lost or loss.rows_live != loss.rows_backup:
                lost = f", {loss.lost} of those now are lost" if loss.lost else ""
                lines.append(
                    f"         {loss.table}: {_rows(loss.rows_live)} now, "
                    f"{_rows(loss.rows_backup)} in the backup{lost}"
                )
        return lines

    def _lost_in_words(self) -> str:
        if not self.rows_lost:
            return "none: no live row is newer than the backup"
        return f"{self.rows_lost} live rows are newer than the backup and leave service"

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "target": self.target,
            "scope": self.scope,
            "database": self.database,
            "in_place": self.in_place,
            "target_exists": self.target_exists,
            "backup": self.backup.name,
            "path": self.path,
            "snapshot_at": zulu(self.backup.taken_at),
            "size_bytes": self.backup.size_bytes,
            "trust": self.backup.trust.value,
            "proven_at": zulu(self.backup.restored_at) if self.backup.restored_at else None,
            "system_identifier_of_backup": self.identities[0],
            "system_identifier_of_target": self.identities[1],
            "estimated_seconds": round(self.estimated_seconds, 1),
            "rows_lost": self.rows_lost if self.counted else None,
            "rows_lost_basis": self.basis,
            "tables": [
                {
                    "table": loss.table,
                    "rows_live": loss.rows_live,
                    "rows_backup": loss.rows_backup,
                    "newer": loss.newer,
                    "lost": loss.lost,
                    "problem": loss.problem or None,
                }
                for loss in self.losses
            ],
            "leaving": list(self.leaving),
            "needed_bytes": self.needed_bytes,
            "free_bytes": self.free_bytes,
            "safety": self.safety,
            "drops": [name for name, _ in self.dropped],
            "notes": list(self.notes),
        }


def _rows(count: int | None) -> str:
    return "no table" if count is None else f"{count} rows"
