"""How large a database was when: from the manifests, and from points that were kept beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from archon_ops.model.backup import Manifest, TableSize
from archon_ops.model.retention import CLOCK_TOLERANCE

ARCHON_PREFIX = "archon_"
DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Point:
    """The sizes of one database at one time.

    Attributes:
        at: UTC time.
        system_identifier: the server's.
        database: its name.
        database_bytes: all of it, neighbours and catalogue included.
        sizes: Archon's tables.
        rows: "schema.table" -> rows; estimates where no backup counted them.
        backup: name of the backup that it was taken with; None for a point without one.
        backup_bytes: size of that backup.
        backup_seconds: from its snapshot to its end.
        content: digest of what Archon's tables held; equal for equal content.
    """

    at: datetime
    system_identifier: str
    database: str
    database_bytes: int
    sizes: tuple[TableSize, ...]
    rows: dict[str, int]
    backup: str | None = None
    backup_bytes: int | None = None
    backup_seconds: float | None = None
    content: str | None = None

    @property
    def archon_bytes(self) -> int:
        """Archon's tables together."""
        return sum(size.total_bytes for size in self.sizes)

    @property
    def identity(self) -> tuple[str, str]:
        """Which database it speaks of."""
        return self.system_identifier, self.database


@dataclass(frozen=True)
class History:
    """The points of one database, oldest first, each at a time of its own.

    Attributes:
        points: those that count.
        notes: what was left out and why, one line each.
    """

    points: tuple[Point, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def newest(self) -> Point | None:
        """The last point."""
        return self.points[-1] if self.points else None

    @property
    def days(self) -> tuple[float, ...]:
        """Times of the points, in days after the first."""
        first = self.points[0].at if self.points else None
        return tuple((p.at - first).total_seconds() / DAY_SECONDS for p in self.points if first)

    @property
    def span(self) -> timedelta:
        """From the first point to the last."""
        return self.points[-1].at - self.points[0].at if self.points else timedelta(0)

    def at(self, when: datetime) -> Point | None:
        """The newest point that is not younger than a time; None where the history begins later."""
        return max((p for p in self.points if p.at <= when), key=lambda p: p.at, default=None)

    def only(self, keep: Callable[[Point], bool]) -> History:
        """The points that a condition keeps."""
        return History(tuple(p for p in self.points if keep(p)), self.notes)


@dataclass(frozen=True)
class Change:
    """What changed between a point and now.

    Attributes:
        since: what the period is called ("last audit", "7 d", "30 d").
        at: time of the point; None where the history does not reach that far back.
        database_bytes, archon_bytes: growth; negative for a shrink.
        tables: "schema.table" -> growth of its total.
    """

    since: str
    at: datetime | None
    database_bytes: int | None = None
    archon_bytes: int | None = None
    tables: dict[str, int] | None = None


def point_of(manifest: Manifest) -> Point:
    """What a manifest says of sizes."""
    rows = {f"{t.schema}.{t.table}": t.rows for t in manifest.tables}
    sizes = tuple(s for s in manifest.sizes if s.table.startswith(ARCHON_PREFIX))
    return Point(
        at=manifest.snapshot_at,
        system_identifier=manifest.server.system_identifier,
        database=manifest.server.database,
        database_bytes=manifest.database_bytes,
        sizes=sizes,
        rows={n: rows[n] for n in (f"{s.schema}.{s.table}" for s in sizes) if n in rows},
        backup=manifest.name,
        backup_bytes=manifest.size_bytes,
        backup_seconds=(manifest.finished_at - manifest.snapshot_at).total_seconds(),
        content=_content(manifest),
    )


def _content(manifest: Manifest) -> str:
    ours = sorted(repr(t) for t in manifest.tables if t.table.startswith(ARCHON_PREFIX))
    return hashlib.sha256("\n".join(ours).encode()).hexdigest()[:32]


def history(
    points: Iterable[Point], now: datetime, identity: tuple[str, str] | None = None
) -> History:
    """The history of one database.

    Args:
        points: all that is known, in any order, twice the same allowed.
        now: UTC time; what lies well beyond it carries a wrong date.
        identity: system identifier and name of the database; None for that of the newest point.
    """
    known = {(p.at, p.identity, p.backup): p for p in points}.values()
    ordered = sorted(known, key=lambda p: (p.at, p.backup or ""))
    dated = [p for p in ordered if p.at <= now + CLOCK_TOLERANCE]
    wanted = identity or (dated[-1].identity if dated else None)
    ours = [p for p in dated if p.identity == wanted]
    # Of two at one instant the one with a backup says more.
    at_once = {p.at: p for p in ours}
    notes = (
        *_note(len(ordered) - len(dated), "dated in the future: a clock was wrong"),
        *_note(len(dated) - len(ours), "of another server or database"),
    )
    return History(tuple(at_once.values()), notes)


def changes(past: History, now: Point) -> tuple[Change, ...]:
    """Growth since the last point, and over 7 and 30 days."""
    before = past.only(lambda p: p.at < now.at)
    return (
        _change("last audit", before.newest, now),
        *(_change(f"{days} d", before.at(now.at - timedelta(days=days)), now) for days in (7, 30)),
    )


def _change(since: str, then: Point | None, now: Point) -> Change:
    if then is None:
        return Change(since, None)
    old = {f"{s.schema}.{s.table}": s.total_bytes for s in then.sizes}
    new = {f"{s.schema}.{s.table}": s.total_bytes for s in now.sizes}
    tables = {n: new.get(n, 0) - old.get(n, 0) for n in sorted({*old, *new})}
    return Change(
        since,
        then.at,
        now.database_bytes - then.database_bytes,
        now.archon_bytes - then.archon_bytes,
        {name: grown for name, grown in tables.items() if grown},
    )


def _note(count: int, what: str) -> tuple[str, ...]:
    points = "1 point" if count == 1 else f"{count} points"
    return (f"{points} left out, {what}",) if count else ()
