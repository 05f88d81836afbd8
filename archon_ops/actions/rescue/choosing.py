"""Which rows come back: those asked for, what their deletion took along, what they refer to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from archon_ops.model.rescue import Key, Reason, Row, TablePlan
from archon_ops.postgres.relations import Name, Reference, Relation
from archon_ops.postgres.rows import children_of, digests, parents_of
from archon_ops.postgres.session import Connection


@dataclass(frozen=True)
class Side:
    """One of the two databases.

    Attributes:
        connection: session on it.
        relations: its tables, with the columns alone that both sides have.
    """

    connection: Connection
    relations: dict[Name, Relation]


@dataclass
class Chooser:
    """Collects rows, table by table.

    Attributes:
        backup: the sandbox, where the needed tables are loaded.
        live: the live database.
        links: its foreign keys.
        timeout: seconds for any one table.
        chosen: what was collected: table -> key -> row.
        found: missing, changed and only-live rows of the tables that were looked at.
    """

    backup: Side
    live: Side
    links: tuple[Reference, ...]
    timeout: float
    chosen: dict[Name, dict[Key, Row]] = field(default_factory=dict)
    found: dict[Name, tuple[int, int, int | None]] = field(default_factory=dict)

    def ask(self, name: Name, keys: tuple[Key, ...] | None, *, changed: bool) -> None:
        """Compare a table, or its rows of some keys, and collect what is missing or changed.

        Args:
            name: the table.
            keys: of rows of the backup; None for the whole table.
            changed: whether rows that changed are collected too.
        """
        live = dict(self._digests(self.live, name, keys))
        rows = self.chosen.setdefault(name, {})
        missing = altered = 0
        for key, digest in self._digests(self.backup, name, keys):
            there = live.pop(key, None)
            if there is None:
                missing += 1
                rows[key] = Row(key, Reason.MISSING, digest)
            elif there != digest:
                altered += 1
                if changed:
                    rows[key] = Row(key, Reason.CHANGED, digest, there)
        self.found[name] = (missing, altered, len(live) if keys is None else None)

    def follow_deletions(self, start: Name, *, changed: bool) -> None:
        """Collect what a deletion of the missing rows took along, however far it went.

        Args:
            start: the table that was asked for.
            changed: whether references that it cleared are set again.
        """
        waiting = [(start, [k for k, row in self.chosen[start].items() if row.live is None])]
        while waiting:
            name, keys = waiting.pop()
            for link in self.links:
                if not keys or link.parent != name or not self._usable(link):
                    continue
                if link.on_delete == "cascade":
                    gone = self._add(link.child, self._referring(link, keys), Reason.CASCADE)
                    waiting.append((link.child, gone))
                elif link.on_delete == "clear" and changed:
                    self._add_changed(link.child, self._referring(link, keys))

    def follow_references(self) -> None:
        """Collect the rows that collected ones refer to and that are gone."""
        waiting = [(name, list(rows)) for name, rows in self.chosen.items()]
        while waiting:
            name, keys = waiting.pop()
            for link in self.links:
                if link.child == name and keys and self._usable(link):
                    child, parent = self.backup.relations[name], self.backup.relations[link.parent]
                    needed = parents_of(
                        self.backup.connection, link, child, parent, keys, timeout=self.timeout
                    )
                    added = self._add(link.parent, needed, Reason.PARENT)
                    waiting.append((link.parent, added))

    def plans(self) -> tuple[TablePlan, ...]:
        """What was collected."""
        return tuple(self._plan(name, rows) for name, rows in self.chosen.items())

    def _plan(self, name: Name, rows: dict[Key, Row]) -> TablePlan:
        relation = self.live.relations[name]
        missing, changed, only_live = self.found.get(name, (len(rows), 0, None))
        return TablePlan(
            *name,
            relation.key,
            relation.column_names,
            missing,
            changed,
            only_live,
            tuple(rows.values()),
        )

    def _usable(self, link: Reference) -> bool:
        """Whether both its tables can be compared, and had its columns in the backup too."""
        return all(
            name in self.backup.relations
            and set(columns) <= set(self.backup.relations[name].column_names)
            for name, columns in (
                (link.child, link.child_columns),
                (link.parent, link.parent_columns),
            )
        )

    def _referring(self, link: Reference, keys: list[Key]) -> tuple[Key, ...]:
        child, parent = self.backup.relations[link.child], self.backup.relations[link.parent]
        return children_of(self.backup.connection, link, child, parent, keys, timeout=self.timeout)

    def _add(self, name: Name, keys: Iterable[Key], reason: Reason) -> list[Key]:
        """Collect those of these rows that are gone and were not collected yet."""
        rows = self.chosen.setdefault(name, {})
        fresh = tuple(key for key in keys if key not in rows)
        live = dict(self._digests(self.live, name, fresh))
        gone = tuple(key for key in fresh if key not in live)
        added = {k: Row(k, reason, digest) for k, digest in self._digests(self.backup, name, gone)}
        rows.update(added)
        return list(added)

    def _add_changed(self, name: Name, keys: tuple[Key, ...]) -> None:
        """Collect those of these rows that live and differ."""
        rows = self.chosen.setdefault(name, {})
        fresh = tuple(key for key in keys if key not in rows)
        live = dict(self._digests(self.live, name, fresh))
        for key, digest in self._digests(self.backup, name, tuple(live)):
            if live[key] != digest:
                rows[key] = Row(key, Reason.CHANGED, digest, live[key])

    def _digests(
        self, side: Side, name: Name, keys: tuple[Key, ...] | None
    ) -> Iterable[tuple[Key, str]]:
        return digests(side.connection, side.relations[name], keys, timeout=self.timeout)
