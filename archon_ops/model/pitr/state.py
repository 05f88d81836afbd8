"""What was last seen of a source's point-in-time recovery; kept for those who reach no server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from archon_ops.model.pitr.gaps import Hole
from archon_ops.model.pitr.labels import Label
from archon_ops.model.units import zulu


@dataclass(frozen=True)
class Archiver:
    """How WAL gets into the repositories, as the server tells (pg_stat_archiver, pg_wal).

    Attributes:
        last_archived_at: UTC; None where nothing was yet.
        last_failed_at: UTC; None where nothing failed.
        last_failed_wal: the segment that failed.
        failed_count: how often it failed since the counters were reset.
        waiting_bytes: WAL that waits to be archived.
        free_bytes: room where it waits; None where that cannot be told.
        mode: the server's archive_mode.
    """

    last_archived_at: datetime | None
    last_failed_at: datetime | None
    last_failed_wal: str | None
    failed_count: int
    waiting_bytes: int
    free_bytes: int | None
    mode: str = "on"

    @property
    def failing(self) -> bool:
        """Whether its last try failed."""
        if self.last_failed_at is None:
            return False
        return self.last_archived_at is None or self.last_failed_at > self.last_archived_at

    def full_in(self, now: datetime) -> timedelta | None:
        """When the disk is full if it goes on like this; None where that cannot be told."""
        if not self.failing or self.last_archived_at is None or self.free_bytes is None:
            return None
        since = (now - self.last_archived_at).total_seconds()
        if since <= 0 or self.waiting_bytes <= 0:
            return None
        return timedelta(seconds=self.free_bytes / (self.waiting_bytes / since))


@dataclass(frozen=True)
class State:
    """What was seen, and when.

    Attributes:
        at: UTC time of the look.
        stanza: what was looked at.
        labels: backups, oldest first.
        proven: names of those whose content was fingerprinted.
        earliest, latest: the window that can be restored.
        archiver: how WAL gets there; None where the server was not reached.
        trouble: why it could not be looked at, or what is wrong; empty when all is well.
        damaged: what a verification found damaged, since the last that found nothing.
        holes: moments in the window that cannot be restored, because WAL is missing.
        bare: numbers of repositories that hold no backup, while another one does.
        timeline: the one that the window is of: the server's; None where it was not known yet.
        elsewhere: names of backups of other branches, with which none on that one can begin.
    """

    at: datetime
    stanza: str
    labels: tuple[Label, ...] = ()
    proven: tuple[str, ...] = ()
    earliest: datetime | None = None
    latest: datetime | None = None
    archiver: Archiver | None = None
    trouble: str = ""
    damaged: tuple[str, ...] = ()
    holes: tuple[Hole, ...] = ()
    bare: tuple[int, ...] = ()
    timeline: int | None = None
    elsewhere: tuple[str, ...] = ()

    @property
    def broken(self) -> Hole | None:
        """The hole that no backup has ended yet."""
        return next((hole for hole in self.holes if hole.until is None), None)

    def document(self, now: datetime) -> dict[str, Any]:
        """The JSON form, as status and API have it."""
        archiver = self.archiver
        return {
            "stanza": self.stanza,
            "as_of": zulu(self.at),
            "earliest": zulu(self.earliest) if self.earliest else None,
            "latest": zulu(self.latest) if self.latest else None,
            "gaps": [
                {
                    "since": zulu(hole.since) if hole.since else None,
                    "until": zulu(hole.until) if hole.until else None,
                    "after_wal": hole.gap.before,
                    "before_wal": hole.gap.after or None,
                }
                for hole in self.holes
            ],
            "timeline": self.timeline,
            "trouble": self.trouble or None,
            "damaged": list(self.damaged),
            "archiving": archiver.mode != "off" and not archiver.failing if archiver else None,
            "wal_waiting_bytes": archiver.waiting_bytes if archiver else None,
            "last_archived": zulu(archiver.last_archived_at)
            if archiver and archiver.last_archived_at
            else None,
            "backups": self.entries(now),
        }

    def entries(self, now: datetime) -> list[dict[str, Any]]:
        """Its backups, newest first."""
        return [self._entry(label, now) for label in reversed(self.labels)]

    def _entry(self, label: Label, now: datetime) -> dict[str, Any]:
        return {
            "label": label.name,
            "kind": f"pitr-{label.kind}",
            "repository": label.repository,
            "timestamp_utc": zulu(label.stopped_at),
            "age_hours": round((now - label.stopped_at).total_seconds() / 3600, 1),
            "database_bytes": label.database_bytes,
            "stored_bytes": label.stored_bytes,
            "seconds": label.seconds,
            "prior": label.prior,
            "chain": [*label.reference, label.name],
            "proven": label.name in self.proven,
            "damaged": label.damaged,
            "timeline": label.timeline,
            "other_branch": label.name in self.elsewhere,
        }
