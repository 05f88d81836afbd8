"""What a rehearsed migration did: to time, locks, objects, rows and Archon's own functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from archon_ops.model.script import Statement
from archon_ops.model.units import human_duration, zulu

# Lock modes that make somebody of Archon's wait, weakest first, and whom.
WAITERS = {
    "ShareLock": "writers wait",
    "ShareRowExclusiveLock": "writers wait",
    "ExclusiveLock": "writers wait",
    "AccessExclusiveLock": "readers and writers wait",
}
_MODES = tuple(WAITERS)


@dataclass(frozen=True)
class Ran:
    """A statement that was carried out.

    Attributes:
        statement: which.
        seconds: how long it took.
        watched: whether its locks were seen; not where it refuses to run in a transaction.
    """

    statement: Statement
    seconds: float
    watched: bool


@dataclass(frozen=True)
class Held:
    """A lock on a table that was there before: what others would have waited for.

    Attributes:
        table: schema-qualified name.
        mode: the strongest mode, as PostgreSQL names it.
        seconds: for how long at most it was held.
    """

    table: str
    mode: str
    seconds: float

    @property
    def waiters(self) -> str:
        """Who waits for it."""
        return WAITERS[self.mode]


def strongest(one: str, other: str) -> str:
    """The stronger of two modes of `WAITERS`."""
    return max(one, other, key=_MODES.index)


@dataclass(frozen=True)
class Failure:
    """The statement that failed, and what PostgreSQL said.

    Attributes:
        statement: which.
        line: line of the file that PostgreSQL points at, else the statement's first.
        message: its words.
    """

    statement: Statement
    line: int
    message: str

    @property
    def text(self) -> str:
        """For people."""
        one = self.statement
        return f"{one.file} line {self.line}: statement {one.number} ({one.head}): {self.message}"


@dataclass(frozen=True)
class Changes:
    """Schema objects that a migration made, removed and changed."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> Changes:
    """Compare two inventories."""
    both = before.keys() & after.keys()
    return Changes(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(before.keys() - after.keys())),
        tuple(sorted(name for name in both if before[name] != after[name])),
    )


@dataclass(frozen=True)
class Rehearsal:
    """A rehearsal that came to an end, good or bad.

    Attributes:
        backup: name of the dump that it began from.
        snapshot_at: UTC time of what that holds.
        passed_over: newer backups that were not trusted, one line each.
        server: "PostgreSQL 17.2", of the sandbox.
        role: as whom it ran, with what attributes.
        ran: statements that were carried out, in their order.
        locks: on tables that were there before.
        objects: schema objects that changed.
        rows: table -> rows before and after, where they differ; None where there is no table.
        broken: functions of Archon's that ran before and fail now, with PostgreSQL's words.
        working: functions of Archon's that ran before and after.
        idle: those that did not run before either.
        failure: where it ended; None where all of it ran.
        seconds: of all statements.
    """

    backup: str
    snapshot_at: datetime
    passed_over: tuple[str, ...]
    server: str
    role: str
    ran: tuple[Ran, ...]
    locks: tuple[Held, ...]
    objects: Changes
    rows: Mapping[str, tuple[int | None, int | None]]
    broken: Mapping[str, str]
    working: tuple[str, ...]
    idle: tuple[str, ...]
    failure: Failure | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether it ran through and broke no function of Archon's."""
        return self.failure is None and not self.broken

    @property
    def problem(self) -> str:
        """Why it did not pass; empty where it did."""
        if self.failure:
            return self.failure.text
        if self.broken:
            lines = [f"{name}: {why}" for name, why in self.broken.items()]
            more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
            return f"it ran, and this function of Archon's does not any more: {lines[0]}{more}"
        return ""

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "passed": self.passed,
            "backup": self.backup,
            "snapshot_at": zulu(self.snapshot_at),
            "passed_over": list(self.passed_over),
            "server": self.server,
            "role": self.role,
            "seconds": round(self.seconds, 3),
            "statements": [
                {
                    "file": r.statement.file,
                    "number": r.statement.number,
                    "line": r.statement.line,
                    "head": r.statement.head,
                    "seconds": round(r.seconds, 3),
                    "locks_seen": r.watched,
                }
                for r in self.ran
            ],
            "failure": None
            if self.failure is None
            else {
                "file": self.failure.statement.file,
                "number": self.failure.statement.number,
                "line": self.failure.line,
                "statement": self.failure.statement.head,
                "message": self.failure.message,
            },
            "locks": [
                {
                    "table": held.table,
                    "mode": held.mode,
                    "waiters": held.waiters,
                    "seconds": round(held.seconds, 3),
                }
                for held in self.locks
            ],
            "objects": {
                "added": list(self.objects.added),
                "removed": list(self.objects.removed),
                "changed": list(self.objects.changed),
            },
            "rows": [
                {"table": table, "before": before, "after": after}
                for table, (before, after) in self.rows.items()
            ],
            "functions": {
                "working": list(self.working),
                "broken": dict(self.broken),
                "not_running_before": list(self.idle),
            },
        }

    def text(self) -> str:
        """For a person who has to decide."""
        lines = [
            f"Backup   {self.backup}, database as of {zulu(self.snapshot_at)}",
            *(f"         passed over: {line}" for line in self.passed_over),
            f"Ran      {_statements(len(self.ran))} in {_short(self.seconds)}, "
            f"on {self.server}, as {self.role}",
            *self._lock_lines(),
            *self._object_lines(),
            *(
                f"Rows     {t}: {_rows(b)} before, {_rows(a)} after"
                for t, (b, a) in self.rows.items()
            ),
            *self._function_lines(),
        ]
        if self.failure:
            lines.append(f"Failed   {self.failure.text}")
        if self.failure and self._left:
            lines.append(
                "         what ran before it stays done, there as here: put BEGIN; and COMMIT; "
                "around the file"
            )
        return "\n".join(lines)

    @property
    def _left(self) -> bool:
        """Whether anything is not as it was before."""
        objects = self.objects
        return bool(self.rows or objects.added or objects.removed or objects.changed)

    def _lock_lines(self) -> list[str]:
        unseen = [r.statement for r in self.ran if not r.watched]
        lines = [
            f"Locks    {held.table}: {held.waiters} for {_short(held.seconds)} ({held.mode})"
            for held in self.locks
        ] or ["Locks    none that makes readers or writers wait"]
        return lines + [f"         not seen: {s.place}, {s.head}" for s in unseen]

    def _object_lines(self) -> list[str]:
        words = (
            ("new", self.objects.added),
            ("gone", self.objects.removed),
            ("changed", self.objects.changed),
        )
        return [f"Schema   {word}: {name}" for word, names in words for name in names] or [
            "Schema   as before"
        ]

    def _function_lines(self) -> list[str]:
        lines = [f"Broken   {name}: {why}" for name, why in self.broken.items()]
        if self.working:
            lines.append(f"Archon   {len(self.working)} of its search functions run as before")
        return lines + [f"Archon   {name} did not run before either" for name in self.idle]


def _short(seconds: float) -> str:
    """A duration of which the milliseconds count."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else human_duration(seconds)


def _rows(count: int | None) -> str:
    return "no table" if count is None else str(count)


def _statements(number: int) -> str:
    return f"{number} statement{'' if number == 1 else 's'}"
