"""An undo, decided but not done."""

from __future__ import annotations

from dataclasses import dataclass

from archon_ops.model.plan import DATABASE
from archon_ops.model.units import zulu
from archon_ops.postgres.kept import CLUSTER, Kept


@dataclass(frozen=True)
class UndoPlan:
    """An undo, decided but not done.

    Attributes:
        target: the target as it has to be typed.
        kept: what comes back.
        oid: of the database in service now, which is kept in turn; None where there is none.
        leaving: table -> rows written since the switch, which leave service.
        uncounted: why those could not be counted; empty where they were.
        keys: keys to neighbours' tables that do not come back as they were, one line each.
        slots: logical replication slots that stay with the database that leaves.
    """

    target: str
    kept: Kept
    oid: int | None
    leaving: dict[str, int]
    uncounted: str = ""
    slots: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    @property
    def database_exists(self) -> bool:
        """Whether one is in service now."""
        return self.oid is not None

    @property
    def rows_leaving(self) -> int:
        """Rows written since the switch, in all tables."""
        return sum(self.leaving.values())

    def text(self) -> str:
        """For a person who has to decide."""
        lines = [
            f"Undo     brings back {self._name}, as of {zulu(self.kept.kept_at)}, "
            f"when {self._replaced_by} came instead",
            f"Into     {self.target}",
            self._after,
            *self._loss_lines(),
            *(f"Note     {key}" for key in self.keys),
        ]
        if self.slots:
            slots = ", ".join(self.slots)
            lines.append(f"Note     logical replication slots stay with what leaves: {slots}")
        return "\n".join(lines)

    @property
    def _name(self) -> str:
        if self.kept.scope == CLUSTER:
            return "the whole cluster, every database of it"
        return self.kept.database if self.kept.scope == DATABASE else "Archon's objects"

    @property
    def _after(self) -> str:
        if self.kept.scope == CLUSTER:
            return "After    the present cluster is kept; another inv undo brings it back"
        if not self.database_exists:
            return f"After    nothing is kept: there is no database {self._name} now"
        if self.kept.scope == DATABASE:
            return f"After    the present {self._name} is kept; another inv undo brings it back"
        return "After    Archon's present objects are kept; another inv undo brings them back"

    @property
    def _replaced_by(self) -> str:
        return "an undo" if self.kept.replaced_by == "undo" else self.kept.replaced_by

    def _loss_lines(self) -> list[str]:
        if not self.database_exists:
            return []
        lines = [f"         {table}: {rows}" for table, rows in self.leaving.items()]
        if self.uncounted:
            why = f"Loss     rows written since then cannot all be counted: {self.uncounted}"
            return [why, *lines]
        if not lines:
            return ["Loss     none: no row was written since then"]
        return [
            f"Loss     {self.rows_leaving} rows that were written since then leave service",
            *lines,
        ]
