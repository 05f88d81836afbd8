"""Compare all of Archon's tables with a backup, row by row; nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from archon_ops.actions.part import Part, opened_part
from archon_ops.actions.recording import recorded
from archon_ops.model.fingerprint import TableFingerprint
from archon_ops.model.units import zulu
from archon_ops.postgres import fingerprint
from archon_ops.postgres.relations import Name, Relation, relations, shared
from archon_ops.postgres.rows import digests
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.session import Connection
from archon_ops.site import Site
from archon_ops.storage.reference import resolve


@dataclass(frozen=True)
class TableDiff:
    """One table.

    Attributes:
        table: its name in schema public.
        rows_backup, rows_live: None where there is no such table.
        missing, changed, only_live: rows; None where they cannot be told apart.
        note: what else to know; empty where nothing is.
    """

    table: str
    rows_backup: int | None
    rows_live: int | None
    missing: int | None
    changed: int | None
    only_live: int | None
    note: str = ""

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same rows."""
        return (self.missing, self.changed, self.only_live) == (0, 0, 0)


@dataclass(frozen=True)
class Diff:
    """All of Archon, a backup against the live database.

    Attributes:
        backup: name of the dump.
        snapshot_at: UTC time of what it holds.
        tables: by name.
    """

    backup: str
    snapshot_at: datetime
    tables: tuple[TableDiff, ...]

    @property
    def equal(self) -> bool:
        """Whether all tables hold the same rows."""
        return all(table.equal for table in self.tables)

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "backup": self.backup,
            "snapshot_at": zulu(self.snapshot_at),
            "equal": self.equal,
            "tables": [
                {
                    "table": f"public.{t.table}",
                    "rows_backup": t.rows_backup,
                    "rows_live": t.rows_live,
                    "missing": t.missing,
                    "changed": t.changed,
                    "only_live": t.only_live,
                    "note": t.note or None,
                }
                for t in self.tables
            ],
        }


def differences(site: Site, reference: str) -> Diff:
    """Compare every archon_* table; those that are equal by fingerprint are not even loaded."""
    with recorded(site, "rescue") as run:
        site = run.site
        located = resolve(site.directory, reference)
        run.details.update({"dry_run": True, "diff": True, "backup": located.backup.name})
        with (
            site.server() as server,
            opened_part(site, located) as part,
            server.connect(site.database) as live,
        ):
            tables = _compare(site, live, part)
        return Diff(located.backup.name, located.backup.taken_at, tables)


def _compare(site: Site, live: Connection, part: Part) -> tuple[TableDiff, ...]:
    site.report.step("rescue.compare", "Comparing all of Archon")
    was = {(t.schema, t.table): t for t in part.manifest.tables if _archons((t.schema, t.table))}
    every = {(t.schema, t.name): t for t in fingerprint.tables(live, Scope())}
    seconds = site.settings.deadlines.proof
    now = {n: fingerprint.one(live, every[n], timeout=seconds) for n in every if _archons(n)}
    same = {n for n in was.keys() & now.keys() if _content(was[n]) == _content(now[n])}
    unlike = (was.keys() & now.keys()) - same
    if unlike:
        part.load(unlike)
    ours, theirs = part.relations(), relations(live)
    found = []
    for name in sorted(was.keys() | now.keys()):
        then_rows = was[name].rows if name in was else None
        now_rows = now[name].rows if name in now else None
        found.append(TableDiff(name[1], then_rows, now_rows, 0, 0, 0))
        if name in unlike:
            missing, changed, only, note = _rows(part, live, ours[name], theirs[name], seconds)
            found[-1] = TableDiff(name[1], then_rows, now_rows, missing, changed, only, note)
        elif name not in now:
            note = "there is no such table now"
            found[-1] = TableDiff(name[1], then_rows, None, then_rows, 0, 0, note)
        elif name not in was:
            note = "the backup has no such table"
            found[-1] = TableDiff(name[1], None, now_rows, 0, 0, now_rows, note)
    return tuple(found)


def _archons(name: Name) -> bool:
    return name[0] == "public" and name[1].startswith("archon_")


def _content(table: TableFingerprint) -> tuple[object, ...]:
    return table.rows, table.content, table.columns


def _rows(
    part: Part, live: Connection, then: Relation, now: Relation, seconds: float
) -> tuple[int | None, int | None, int | None, str]:
    """Missing, changed and only-live rows of one table, and what else to know."""
    ours, theirs = shared(then, now)
    odd = sorted(set(then.column_names) ^ set(now.column_names))
    note = f"columns on one side only: {', '.join(odd)}" if odd else ""
    if not (then.key and then.key == now.key):
        return None, None, None, "no common primary key: rows cannot be told apart"
    there = dict(digests(live, theirs, timeout=seconds))
    missing = changed = 0
    with part.server.connect(part.database) as backup:
        for key, digest in digests(backup, ours, timeout=seconds):
            found = there.pop(key, None)
            missing += found is None
            changed += found not in (None, digest)
    return missing, changed, len(there), note
