"""The document's checklists: each box ticked from what is known, or left open with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from enum import StrEnum

from archon_ops.errors import UsageError
from archon_ops.model.boxes import (
    Box,
    Evidence,
    archived,
    by_hand,
    checked,
    created,
    elsewhere,
    exists,
    health,
    integrity,
    no_errors,
    progress,
    rehearsed,
    restored,
    retention,
    size,
    trend,
)

_WEEK, _MONTH = timedelta(days=7), timedelta(days=31)


class Phase(StrEnum):
    """When a box is to be ticked; `practice` holds what always applies."""

    BEFORE = "before"
    DURING = "during"
    AFTER = "after"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    PRACTICE = "practice"

    @property
    def heading(self) -> str:
        """For people."""
        return _TITLES[self]


_TITLES = {
    Phase.BEFORE: "Pre-Backup",
    Phase.DURING: "During Backup",
    Phase.AFTER: "Post-Backup",
    Phase.DAILY: "Daily",
    Phase.WEEKLY: "Weekly",
    Phase.MONTHLY: "Monthly, and Periodic Review",
    Phase.PRACTICE: "Best Practices",
}


def parse_phase(text: str) -> Phase:
    """The phase of this name.

    Raises:
        UsageError: there is none.
    """
    if text not in set(Phase):
        raise UsageError(f"{text!r} is no phase", f"one of {', '.join(Phase)}")
    return Phase(text)


def boxes(phase: Phase, known: Evidence) -> tuple[Box, ...]:
    """The boxes of a phase."""
    from archon_ops.model.practice import practices

    of: dict[Phase, Callable[[Evidence], Iterator[Box]]] = {
        Phase.BEFORE: _before,
        Phase.DURING: _during,
        Phase.AFTER: _after,
        Phase.DAILY: _daily,
        Phase.WEEKLY: _weekly,
        Phase.MONTHLY: _monthly,
        Phase.PRACTICE: practices,
    }
    return tuple(of[phase](known))


def _before(known: Evidence) -> Iterator[Box]:
    container = "container" if "container" in known.findings else "server"
    yield checked(known, "Verify Supabase container running", container, "engine")
    yield checked(known, "Check PostgreSQL is ready", "server", "engine", "container")
    yield checked(known, "Ensure sufficient disk space (> 10x backup size)", "disk", "directory")
    yield checked(known, "Confirm backup directory writable", "directory")
    yield checked(known, "Stop long-running operations (optional)", "server.sessions")


def _during(known: Evidence) -> Iterator[Box]:
    texts = (
        "Monitor backup progress",
        "Verify backup file created",
        "Check file size (should be reasonable)",
        "Confirm no errors in output",
    )
    run = known.last("backup")
    if run is None:
        for text in texts:
            yield Box(text, False, "no backup was run", f"inv backup{known.inv}")
        return
    yield progress(run, texts[0])
    yield created(known, run, texts[1])
    yield size(known, texts[2])
    yield no_errors(known, run, texts[3])


def _after(known: Evidence) -> Iterator[Box]:
    latest = known.catalog.latest()
    yield exists(known, latest, "Verify backup file exists")
    yield integrity(known, latest, "Check file integrity (pg_restore --list)")
    yield restored(known, "Test restoration in dev environment")
    yield by_hand("Update documentation if needed", "write down what has changed since the last")
    yield elsewhere(known, "Archive to external storage (if automated)")


def _daily(known: Evidence) -> Iterator[Box]:
    yield health(known, "Monitor backup health via dashboard or API")
    yield checked(known, "Check disk space in backup directory", "disk", "directory")


def _weekly(known: Evidence) -> Iterator[Box]:
    yield restored(known, "Verify latest backup is restorable", _WEEK)
    yield retention(known, "Review retention policy (adjust if needed)")


def _monthly(known: Evidence) -> Iterator[Box]:
    yield rehearsed(known, "Test disaster recovery procedure")
    yield archived(known, "Archive old backups to external storage")
    yield trend(known, "Audit backup size trends")
    yield rehearsed(known, "Test full disaster recovery")
    yield retention(known, "Review retention policy")
    yield checked(known, "Check backup storage capacity", "disk", "directory")
    yield by_hand(
        "Verify monitoring alerts work",
        f"inv status --fail-on aging{known.inv}; does whoever should know hear of its exit code?",
    )
    yield checked(known, "Update credentials if rotated", "key.unchanged", "key.decrypts")
    yield by_hand("Review and update this documentation", "read it against what you did this month")
